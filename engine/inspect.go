package engine

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// An Inspection says what is in a state directory, and what is missing.
type Inspection struct {
	Dir    string
	Format int // of the store; 0 if it is empty
	Files  int
	Bytes  int64 // read
	// Problems says what is wrong, by file; empty if everything that was committed is there.
	Problems []string
	// Lost says what cannot be read any more, Again what repair has pulled again or what a person must do.
	Lost, Again []string
	Chunks      int // that wait for some output
	Events      int // in them
	Oldest      time.Time
	Cursors     map[string]map[string]json.RawMessage // as they are after a repair
	Backlogs    map[string]int                        // chunks that wait, by output

	err  error // the problems
	plan repairPlan
}

// A repairPlan is the store that can be made of a salvage.
type repairPlan struct {
	seq         uint64
	head, block uint64
	chunks      []uint64 // of the salvage, in order; they get the numbers before head
	tails       map[string]uint64
	cursors     map[string][]byte
	ledgers     map[string][]byte
	seen        []string
	blocks      map[uint64]uint64 // their versions
	versions    map[uint64]uint64 // of the chunks
}

// Inspect reads a state directory that no process has open, and changes nothing.
func Inspect(dir string) (*Inspection, error) {
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, openError(dir, err)
	}
	defer unlock()
	if err := halfReplaced(dir); err != nil {
		return nil, openError(dir, err)
	}
	i, err := inspect(dir)
	if err != nil {
		return nil, openError(dir, err)
	}
	return i, nil
}

func inspect(dir string) (*Inspection, error) {
	f, err := look(dir)
	if err != nil {
		return nil, err
	}
	i := &Inspection{Dir: dir, Format: f.format, Files: f.report.Files, Bytes: f.report.Bytes, err: f.verdict(),
		Cursors: map[string]map[string]json.RawMessage{}, Backlogs: map[string]int{}}
	if errors.Is(i.err, errNewer) {
		return nil, i.err
	}
	s, err := gather(dir, i.err != nil)
	if err != nil {
		return nil, err
	}
	i.judge(&f, s)
	if i.err != nil {
		i.Problems = strings.Split(i.err.Error(), "\n")
	}
	return i, nil
}

// judge works out what of the salvage makes a store, and what is lost.
func (i *Inspection) judge(f *found, s *salvage) {
	h := s.head()
	p := repairPlan{seq: max(f.witness.seq, s.last.seq) + 1, head: max(h.head, f.witness.head), block: max(h.block, f.witness.block)}
	first := s.first(f.witness.first, p.head)
	holes := s.holes(first, p.head)
	if i.err == nil {
		for _, h := range holes {
			i.err = errors.Join(i.err, fmt.Errorf("chunks %d to %d of the outbox cannot be read: %w", h.first, h.last, s.chunks[h.first].err))
		}
	}
	p.chunks = s.kept(first, p.head)
	p.tails, p.versions = map[string]uint64{}, map[uint64]uint64{}
	for sink, v := range s.tails {
		if v.deleted || len(v.value) != 8 {
			continue
		}
		old := max(binary.BigEndian.Uint64(v.value), first)
		at, _ := slices.BinarySearch(p.chunks, old)
		p.tails[sink] = p.head - uint64(len(p.chunks)-at)
		i.Backlogs[sink] = len(p.chunks) - at
	}
	i.Chunks = len(p.chunks)
	for _, id := range p.chunks {
		c := s.chunks[id]
		i.Events += c.events
		p.versions[id] = c.version
		if i.Oldest.IsZero() || c.committed.Before(i.Oldest) {
			i.Oldest = c.committed
		}
	}
	i.lose(f, s, holes)
	i.rewind(s, holes, &p)
	i.keepSeen(s, holes, &p)
	p.ledgers = s.keptLedgers(holes, p.head)
	i.plan = p
}

// first returns the oldest chunk that some sink has not acknowledged, as far as is known.
func (s *salvage) first(witnessed, head uint64) uint64 {
	oldest := oldestTail(s.tails)
	if oldest == math.MaxUint64 {
		oldest = head
		for id, c := range s.chunks {
			if !c.deleted {
				oldest = min(oldest, id)
			}
		}
	}
	return max(oldest, witnessed)
}

// oldestTail returns the first chunk that some sink has not acknowledged, and the largest number if there is no sink.
func oldestTail(tails map[string]valued) uint64 {
	oldest := uint64(math.MaxUint64)
	for _, v := range tails {
		if !v.deleted && len(v.value) == 8 {
			oldest = min(oldest, binary.BigEndian.Uint64(v.value))
		}
	}
	return oldest
}

// lose writes down what is lost.
func (i *Inspection) lose(f *found, s *salvage, holes []hole) {
	if i.err == nil {
		return
	}
	if n := f.witness.seq; s.last.seq < n {
		i.Lost = append(i.Lost, fmt.Sprintf("commits %d to %d, until %s: cursors and remembered keys are older by them", s.last.seq+1, n, f.witness.at.Format(time.RFC3339)))
	}
	for _, h := range holes {
		i.Lost = append(i.Lost, h.String())
	}
	if len(i.Lost) == 0 {
		i.Lost = append(i.Lost, "no event: what the outputs have not acknowledged can be read")
	}
}

func (h hole) String() string {
	text := fmt.Sprintf("chunk %d of the outbox: events", h.first)
	if h.last > h.first {
		text = fmt.Sprintf("chunks %d to %d of the outbox: events", h.first, h.last)
	}
	if !h.from.IsZero() {
		text += " committed after " + h.from.Format(time.RFC3339)
	}
	if !h.to.IsZero() {
		text += " and before " + h.to.Format(time.RFC3339)
	}
	return text + " that some output had not acknowledged"
}

// rewind chooses cursors from before the first lost chunk, so that what it had is pulled again.
func (i *Inspection) rewind(s *salvage, holes []hole, p *repairPlan) {
	since := since(holes)
	p.cursors = map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(s.cursors)) {
		versions := s.cursors[name]
		last := versions[len(versions)-1]
		if last.deleted || !json.Valid(last.value) {
			continue
		}
		collector, cursor, _ := strings.Cut(name, "\x00")
		use := last
		if last.version > since {
			if old, ok := before(versions, since); ok {
				use = old
				i.Again = append(i.Again, fmt.Sprintf("%s goes back from %s to %s = %s: what came after is pulled again", collector, last.value, cursor, old.value))
			} else {
				i.Again = append(i.Again, fmt.Sprintf("%s stays at %s = %s, no older one was found: if lost events are its own, set it back with starling state set", collector, cursor, last.value))
			}
		}
		p.cursors[name] = use.value
		if i.Cursors[collector] == nil {
			i.Cursors[collector] = map[string]json.RawMessage{}
		}
		i.Cursors[collector][cursor] = use.value
	}
}

// since returns the version of the last commit before the first hole.
func since(holes []hole) uint64 {
	v := uint64(math.MaxUint64)
	for _, h := range holes {
		v = min(v, h.after)
	}
	return v
}

// keptLedgers chooses the days of ledgers from before the first hole. What waits for outputs gets new
// numbers in a repair, and after a hole nobody knows what of it is lost.
func (s *salvage) keptLedgers(holes []hole, head uint64) map[string][]byte {
	kept := map[string][]byte{}
	for name, versions := range s.ledgers {
		v, ok := before(versions, since(holes))
		if !ok {
			continue
		}
		d, err := decodeDay(v.value)
		if err != nil {
			continue
		}
		for i := range d.spans {
			if sp := &d.spans[i]; sp.next > 0 && len(holes) > 0 {
				sp.Lost, sp.next = true, head
			}
		}
		if text, err := d.encode(); err == nil {
			kept[name] = text
		}
	}
	return kept
}

// before returns the newest of versions that is not newer than limit.
func before(versions []valued, limit uint64) (valued, bool) {
	for _, v := range slices.Backward(versions) {
		if v.version <= limit {
			return v, !v.deleted && json.Valid(v.value)
		}
	}
	return valued{}, false
}

// keepSeen chooses the remembered keys: not those of lost chunks, whose rows must be sent again.
func (i *Inspection) keepSeen(s *salvage, holes []hole, p *repairPlan) {
	p.blocks = map[uint64]uint64{}
	missing := 0
	for key, v := range s.seen {
		lost := slices.ContainsFunc(holes, func(h hole) bool { return h.after < v.version && v.version <= h.before })
		if v.deleted || lost || len(key) < 8 {
			continue
		}
		id := binary.BigEndian.Uint64([]byte(key[len(key)-8:]))
		b, ok := s.blocks[id]
		if !ok || b.deleted {
			missing++
			continue
		}
		p.seen = append(p.seen, key)
		p.blocks[id] = b.version
	}
	if missing > 0 {
		if i.err == nil {
			i.err = fmt.Errorf("%d groups of remembered keys are missing", missing)
		}
		i.Lost = append(i.Lost, fmt.Sprintf("%d groups of remembered keys: their rows come twice if they are asked for again", missing))
	}
}
