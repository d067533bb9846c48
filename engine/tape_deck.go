package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"hash"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// A deck turns a tape: it records a pull or plays one back. What happens beside the script has a lane of
// its own, so that the order of what goes on at the same time does not matter.
//
// A pull with a deck goes by a clock that stands still between what is on the tape: requests, answers,
// waits and commits. Quotas go by the real one.
type deck struct {
	*Tape
	playing bool
	rewrite bool // what is asked replaces what is on the tape

	began   time.Time        // for measuring, at Started
	measure func() time.Time // while recording
	wall    func() time.Time // likewise
	end     func(error)      // ends the pull, while playing
	halt    func(string)     // stops its script at the next instruction
	limit   int64

	// mu guards what all lanes change while recording: these, and Exchanges, Cut and Tokens of the tape.
	mu      sync.Mutex
	size    int64
	lanes   int
	sources map[any]*tokenNote

	// The script alone changes these. While playing there is but one goroutine, for what is beside the script has run when
	// Beside returns.
	commits int
	ended   bool // while playing, as are asked and gone
	asked   []Asked
	gone    map[int]bool // lanes that the script did not wait for
	first   map[HourKey]bool
	looked  int
	given   map[string]bool
	found   []HourKey
}

type tokenNote struct {
	number  int
	version int // that the pull knows
	given   int // tokens of the tape that were handed out
}

// A lane is the place of one goroutine on the tape.
type lane struct {
	*deck
	number int
	at     time.Duration // the time that the lane has
	set    time.Duration
	random *rand.Rand
	turns  []*asking
	last   *Exchange
	late   context.CancelCauseFunc // ends the request that is made, while playing
}

// An asking is a request on its way to being sent.
type asking struct {
	op, method, url string
	takes           int
	queued          []QueuedTurn
	planned         *Exchange // while playing
}

func (d *deck) newLane(at, set time.Duration) *lane {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := &lane{deck: d, number: d.lanes, at: at, set: set, random: newChance(d.Seed, uint64(d.lanes))}
	d.lanes++
	return l
}

func newChance(seed, lane uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, lane)) }

func (l *lane) clock() time.Time { return l.began.Add(l.at) }
func (l *lane) now() time.Time   { return l.Started.Add(l.at + l.set) }

// tick looks at the real clock.
func (l *lane) tick() {
	if l.playing {
		return
	}
	l.at = max(l.at, l.measure().Sub(l.began).Round(time.Microsecond))
	const drift = 100 * time.Millisecond // less is how clocks are
	if set := l.wall().Round(0).Sub(l.Started) - l.at; (set - l.set).Abs() > drift {
		l.set = set.Round(time.Microsecond)
	}
}

// advance goes on by d without a look at the clock.
func (l *lane) advance(d time.Duration) { l.moveTo(l.at + d) }

func (l *lane) moveTo(at time.Duration) {
	l.at = max(l.at, at)
	if l.playing && l.number == 0 && l.End != nil && l.at >= l.End.At {
		l.stop()
	}
}

// stop ends the pull as the recorded one ended. Only the script's own lane does, so that it is always at the same place.
func (l *lane) stop() {
	if l.ended {
		return
	}
	l.ended = true
	var cause error = recordedCause(l.End.Cause)
	if l.End.Engine {
		cause = errStopping
	}
	l.end(cause)
	if l.halt != nil { // when the pull's context ends, its script is stopped some time later
		l.halt(cause.Error())
	}
}

type recordedCause string

func (c recordedCause) Error() string { return string(c) }

// committed notes a commit.
func (l *lane) committed() {
	l.commits++
	if !l.playing {
		l.tick()
		l.Commits = append(l.Commits, l.at)
		return
	}
	if l.commits <= len(l.Commits) {
		l.moveTo(l.Commits[l.commits-1])
	}
}

// lookupBytes is what it costs to remember a key that was looked up.
const lookupBytes = 100

// lookup notes whether a row was sent before the pull, or knows it.
func (d *deck) lookup(bucket int64, key Key, known bool) bool {
	k := HourKey{bucket, key}
	if !d.playing {
		was, again := d.first[k]
		if !again {
			was = known
			if int64(len(d.first)) < d.limit/lookupBytes {
				d.first[k] = known
			}
		}
		d.lookups = append(d.lookups, was)
		return known
	}
	if d.lookups == nil {
		return known
	}
	d.looked++
	if d.looked <= len(d.lookups) && d.lookups[d.looked-1] {
		if !d.first[k] {
			d.first[k] = true
			d.found = append(d.found, k)
		}
		return true
	}
	return known
}

// Given has a builtin take over what it knew of earlier pulls when a recording is played. While one is made,
// save says what that is: nil if it is nothing. Name is the builtin's.
func (p *Pull) Given(name string, save func() json.RawMessage, restore func(json.RawMessage)) {
	switch {
	case p.lane == nil || p.lane.given[name]:
		return
	case p.lane.playing:
		if data := p.lane.Tape.Given[name]; data != nil {
			restore(data)
		}
	default:
		if data := save(); data != nil {
			p.lane.Tape.Given[name] = data
		}
	}
	p.lane.given[name] = true
}

// Portable returns a moment of Clock as one that means the same when the pull is played.
func (p *Pull) Portable(at time.Time) time.Time {
	if p.lane == nil || at.IsZero() {
		return at
	}
	return p.lane.Started.Add(at.Sub(p.lane.began))
}

// GivenToken is asked before a token of source is used, which has the version known, and is valid until
// expires. It returns the times of a token to take in its place, and whether there is one.
func (p *Pull) GivenToken(source any, known int, renew, expires time.Time) (time.Time, time.Time, bool) {
	l := p.lane
	if l == nil {
		return renew, expires, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	note := l.sources[source]
	if note == nil {
		note = &tokenNote{number: len(l.sources) + 1}
		l.sources[source] = note
	}
	if !l.playing {
		if note.version != known && expires.After(l.clock()) {
			l.Tokens = append(l.Tokens, GivenToken{Source: note.number, At: l.at, Renew: renew.Sub(l.began), Expires: expires.Sub(l.began)})
		}
		note.version = known
		return renew, expires, false
	}
	for i, t := range l.Tokens {
		if t.Source == note.number && i >= note.given && t.At <= l.at {
			note.given = i + 1
			return l.began.Add(t.Renew), l.began.Add(t.Expires), true
		}
	}
	return renew, expires, false
}

// OwnToken says that the pull itself has got the token version of source.
func (p *Pull) OwnToken(source any, version int) {
	if l := p.lane; l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if note := l.sources[source]; note != nil {
			note.version = version
		}
	}
}

// Deadline returns when the time of the pull is up, as Clock measures, and whether it ever is.
func (p *Pull) Deadline() (time.Time, bool) {
	if p.lane != nil {
		return p.lane.began.Add(p.lane.Time), p.lane.Time > 0
	}
	return p.ctx.Deadline()
}

// Stopped reports whether the pull has ended because somebody asked for it, and not because its time is up.
func (p *Pull) Stopped() bool {
	if p.lane != nil && p.lane.playing && p.lane.End != nil {
		return p.ctx.Err() != nil && p.lane.End.Asked
	}
	return isCanceled(p.ctx)
}

// leftLane is the place of the lane among those that were left; -1 if it was not.
func (l *lane) leftLane() int {
	return slices.IndexFunc(l.Left, func(left LeftLane) bool { return left.Lane == l.number })
}

// WithTimeout bounds the time of one request; cause is what is said when it is up.
func (p *Pull) WithTimeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	if p.lane == nil || !p.lane.playing {
		return context.WithTimeoutCause(ctx, d, cause)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	p.lane.late = cancel
	return ctx, func() { cancel(nil) }
}

// sumEvent adds an event to the hash of a pull's events.
func sumEvent(h hash.Hash, table *Table, at time.Time, body []byte) {
	fmt.Fprintf(h, "%s %s %d %d %d:", table.Tag, table.Host, table.Priority, at.UnixMilli(), len(body))
	h.Write(body)
}
