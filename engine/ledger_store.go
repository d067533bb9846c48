package engine

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
)

func ledgerKey(collector string, day int64) []byte {
	return binary.BigEndian.AppendUint64([]byte(prefLedger+collector+"\x00"), uint64(day))
}

// Mark notes something about a stretch of event time, with the next commit. Parts of a second at the
// ends are left out.
func (p *Pull) Mark(m Mark) {
	m.From, m.To = m.From.UTC(), m.To.UTC().Truncate(time.Second)
	if from := m.From.Truncate(time.Second); from.Before(m.From) {
		m.From = from.Add(time.Second)
	}
	if oldest := m.To.AddDate(0, 0, -maxMarkDays); m.From.Before(oldest) {
		m.From = oldest
	}
	m.Reason = cut(p.env.Redactor.Redact(m.Reason), maxReason)
	if !m.From.Before(m.To) {
		return
	}
	if p.sweep != nil {
		m.first = p.sweep.first
	} else {
		m.first = p.env.Store.nextChunk()
	}
	p.staged.marks = append(p.staged.marks, m)
}

// Count adds to the counts of the hour of at, with the next commit.
func (p *Pull) Count(at time.Time, c HourCount) {
	hour := floorDiv(at.Unix(), 3600)
	if p.staged.counts == nil {
		p.staged.counts = map[int64]*HourCount{}
	}
	sum := p.staged.counts[hour]
	if sum == nil {
		sum = &HourCount{}
		p.staged.counts[hour] = sum
	}
	sum.add(c)
}

// Coverage is the ledger between two times, what the pull has staged not included.
func (p *Pull) Coverage(from, to time.Time) (Coverage, error) {
	if p.staged.wipe {
		return Coverage{Collector: p.collector, From: from, To: to}, nil
	}
	return p.env.Store.Coverage(p.collector, from, to)
}

// An outboxEdge says how far all outputs are, as numbers of chunks.
type outboxEdge struct {
	acked   uint64 // all have acknowledged what is before it
	dropped uint64 // before it, something was dropped; 0 if nothing was
}

// edge must be called with s.mu held.
func (s *Store) edge() outboxEdge {
	e := outboxEdge{acked: s.first}
	if len(s.tails) > 0 {
		e.acked = slices.Min(slices.Collect(maps.Values(s.tails)))
	}
	for _, d := range s.drops {
		if d.Chunks > 0 {
			e.dropped = max(e.dropped, d.Last+1)
		}
	}
	return e
}

// noteLedger writes the marks and counts of c into txn.
func noteLedger(txn *badger.Txn, c *commitRequest, outbox outboxEdge) error {
	days := map[int64]*ledgerDay{}
	day := func(n int64) (*ledgerDay, error) {
		if d := days[n]; d != nil {
			return d, nil
		}
		text, err := get(txn, string(ledgerKey(c.collector, n)))
		if err != nil {
			return nil, err
		}
		// What cannot be read says nothing, which is never too much.
		d, _ := decodeDay(text)
		days[n] = &d
		return &d, nil
	}
	for _, m := range c.marks {
		m.next = c.next
		for n := dayOf(m.From); n <= dayOf(m.To.Add(-time.Second)); n++ {
			d, err := day(n)
			if err != nil {
				return err
			}
			part := m
			part.From, part.To = later(m.From, dayStart(n)), earlier(m.To, dayStart(n+1))
			d.overlay(part, outbox)
		}
	}
	for hour, counts := range c.counts {
		d, err := day(floorDiv(hour, 24))
		if err != nil {
			return err
		}
		d.hours[hour-24*floorDiv(hour, 24)].add(*counts)
	}
	for _, n := range slices.Sorted(maps.Keys(days)) {
		text, err := days[n].encode()
		if err != nil {
			return err
		}
		if err := txn.Set(ledgerKey(c.collector, n), text); err != nil {
			return err
		}
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// lostAtOnce bounds how many days of ledgers a transaction changes.
const lostAtOnce = 100

// loseInLedger notes that chunks from, …, to-1 are dropped before every output had them. It takes as many transactions as it needs,
// before they are dropped: a kill in between leaves what is called lost too early, and nothing that is called delivered.
func (s *Store) loseInLedger(from, to uint64) error {
	after := "" // the last day that was changed
	for {
		n := 0
		err := s.update(nil, func(txn *badger.Txn) error {
			changed, err := lostDays(txn, after, from, to)
			for _, key := range slices.Sorted(maps.Keys(changed)) {
				if err != nil {
					return err
				}
				var text []byte
				if text, err = changed[key].encode(); err == nil {
					err = txn.Set([]byte(key), text)
				}
				after = key
			}
			n = len(changed)
			return err
		})
		if err != nil || n < lostAtOnce {
			return err
		}
	}
}

// lostDays returns the first days behind a key that have spans of chunks from, …, to-1, by their keys and with these spans lost.
func lostDays(txn *badger.Txn, after string, from, to uint64) (map[string]*ledgerDay, error) {
	changed := map[string]*ledgerDay{}
	err := scan(txn, prefLedger, true, func(key string, item *badger.Item) error {
		if prefLedger+key <= after || len(changed) == lostAtOnce {
			return nil
		}
		return item.Value(func(v []byte) error {
			d, err := decodeDay(v)
			if err != nil {
				return nil // it says nothing
			}
			for i := range d.spans {
				if s := &d.spans[i]; s.first < to && from < s.next && !s.Lost {
					s.Lost, changed[prefLedger+key] = true, &d
				}
			}
			return nil
		})
	})
	return changed, err
}

// ledgerKeys are the keys of a collector's ledger.
func ledgerKeys(txn *badger.Txn, collector string) ([][]byte, error) {
	var keys [][]byte
	err := scan(txn, prefLedger+collector+"\x00", false, func(_ string, item *badger.Item) error {
		keys = append(keys, item.KeyCopy(nil))
		return nil
	})
	return keys, err
}

// A CoveredSpan is a span of the ledger, and whether every output has acknowledged all of it.
type CoveredSpan struct {
	Span
	Delivered bool `json:"delivered"`
}

// Complete reports whether everything that the API had for the span is at every output.
func (c CoveredSpan) Complete() bool { return c.State == SpanSettled && c.Delivered && !c.Lost }

// Coverage is what the ledger says about a stretch of event time.
type Coverage struct {
	Collector string        `json:"collector"`
	From      time.Time     `json:"from"`
	To        time.Time     `json:"to"`
	Spans     []CoveredSpan `json:"spans"` // ascending; where there is none, nothing was asked for
	Hours     []HourCount   `json:"hours"` // ascending; hours without rows are left out
	Damaged   []DamagedDay  `json:"damaged,omitempty"`
}

// marks are what makes another ledger say the same of the spans.
func (c Coverage) marks() (marks []Mark) {
	for _, s := range c.Spans {
		marks = append(marks, Mark{From: s.From, To: s.To, State: s.State, Swept: s.Swept, Reason: s.Reason})
	}
	return marks
}

// A DamagedDay is a part of the ledger that cannot be read, From inclusive and To exclusive, UTC. What it
// said is not known, so there is no span; the next commit that has something to say of it begins it anew.
type DamagedDay struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Reason string    `json:"reason"`
}

// Coverage returns the ledger of a collector between two times. A zero time means the beginning or the
// end of the ledger. A day of it that is damaged is no error. It may be called at any time, by any goroutine.
func (s *Store) Coverage(collector string, from, to time.Time) (Coverage, error) {
	s.mu.Lock()
	acked := s.edge().acked // before the ledger is read: what is committed in between is not acknowledged
	s.mu.Unlock()
	var spans []Span
	c := Coverage{Collector: collector, From: from.UTC(), To: to.UTC()}
	err := s.view(func(txn *badger.Txn) error {
		return scanDays(txn, collector, from, to, func(n int64, d ledgerDay, damage error) {
			if damage != nil {
				c.damaged(n, damage)
				return
			}
			spans = append(spans, d.spans...)
			for h, counts := range d.hours {
				counts.Hour = dayStart(n).Add(time.Duration(h) * time.Hour)
				if counts != (HourCount{Hour: counts.Hour}) && within(counts.Hour, counts.Hour.Add(time.Hour), from, to) {
					c.Hours = append(c.Hours, counts)
				}
			}
		})
	})
	if err != nil {
		return Coverage{}, storeError("read the coverage of "+collector, err, "")
	}
	for _, sp := range joined(spans, acked) {
		if !within(sp.From, sp.To, from, to) {
			continue
		}
		if !from.IsZero() {
			sp.From = later(sp.From, from.UTC())
		}
		if !to.IsZero() {
			sp.To = earlier(sp.To, to.UTC())
		}
		c.Spans = append(c.Spans, CoveredSpan{sp, sp.next == 0})
	}
	c.bound(from, to)
	return c, nil
}

// damaged notes that a day cannot be read.
func (c *Coverage) damaged(day int64, err error) {
	d := DamagedDay{From: dayStart(day), To: dayStart(day + 1), Reason: err.Error()}
	if !within(d.From, d.To, c.From, c.To) {
		return
	}
	d.From = later(d.From, c.From)
	if !c.To.IsZero() {
		d.To = earlier(d.To, c.To)
	}
	c.Damaged = append(c.Damaged, d)
}

// bound puts the ends of the ledger where a time is zero.
func (c *Coverage) bound(from, to time.Time) {
	var begin, end time.Time
	stretch := func(a, b time.Time) {
		if begin.IsZero() || a.Before(begin) {
			begin = a
		}
		end = later(end, b)
	}
	for _, s := range c.Spans {
		stretch(s.From, s.To)
	}
	for _, d := range c.Damaged {
		stretch(d.From, d.To)
	}
	if from.IsZero() {
		c.From = begin
	}
	if to.IsZero() {
		c.To = end
	}
}

// within reports whether the range a to b has a part between from and to, of which a zero one bounds nothing.
func within(a, b, from, to time.Time) bool {
	return (to.IsZero() || a.Before(to)) && (from.IsZero() || b.After(from))
}

// scanDays calls f with the days of a ledger, in order, or with why one cannot be read.
func scanDays(txn *badger.Txn, collector string, from, to time.Time, f func(n int64, d ledgerDay, damage error)) error {
	prefix := []byte(prefLedger + collector + "\x00")
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix, PrefetchValues: true, PrefetchSize: 16})
	defer it.Close()
	begin := prefix
	if !from.IsZero() {
		begin = ledgerKey(collector, max(dayOf(from), 0))
	}
	for it.Seek(begin); it.Valid(); it.Next() {
		key := it.Item().Key()[len(prefix):]
		if len(key) != 8 {
			continue
		}
		n := int64(binary.BigEndian.Uint64(key))
		if !to.IsZero() && n > dayOf(to) {
			return nil
		}
		err := it.Item().Value(func(v []byte) error {
			d, err := decodeDay(v)
			f(n, d, err)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Covered lists the collectors that have a ledger, in order.
func (s *Store) Covered() ([]string, error) {
	var names []string
	err := s.view(func(txn *badger.Txn) error {
		return scan(txn, prefLedger, false, func(key string, _ *badger.Item) error {
			name, _, _ := strings.Cut(key, "\x00")
			if len(names) == 0 || names[len(names)-1] != name {
				names = append(names, name)
			}
			return nil
		})
	})
	if err != nil {
		return nil, storeError("list the ledgers", err, "")
	}
	return names, nil
}
