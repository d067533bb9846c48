package engine

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// tapedLedger is how much of the ledger goes onto a tape.
const tapedLedger = 100 * 24 * time.Hour

// record begins to record p, which is about to run script. A nil Recorder wants nothing.
func (r *Recorder) record(p *Pull, script *Script) error {
	if r == nil {
		return nil
	}
	limit := r.Limit() // a new configuration may change it at any time
	if limit == 0 {
		return nil
	}
	t := &Tape{Collector: p.collector, Script: script.Name, Version: script.Version, Seed: rand.Uint64(), Limits: p.env.Limits,
		Requests: p.limits, Network: p.env.Network.rules(), Settings: map[string]any{}, Identity: p.env.Identity.Endpoint, Given: map[string]json.RawMessage{}, Sources: script.sources}
	script.settings.tape(t, script.Declared)
	d := &deck{Tape: t, measure: p.measure, wall: p.now, limit: limit, sources: map[any]*tokenNote{}, first: map[HourKey]bool{}, given: map[string]bool{}}
	d.began = p.measure()
	t.Started = p.now().Round(0).UTC()
	part := time.Duration(t.Started.Nanosecond()) % time.Microsecond
	d.began, t.Started = d.began.Add(-part), t.Started.Add(-part)
	if deadline, ok := p.ctx.Deadline(); ok {
		t.Time = time.Until(deadline).Round(time.Microsecond)
	}
	var err error
	if t.Before, err = p.env.Store.before(p.collector, t.Started); err != nil {
		return err
	}
	p.started, p.lane = t.Started, d.newLane(0, 0)
	p.hash = sha256.New()
	p.apiClock = p.env.Shared.apiClock(p.collector).clone()
	p.Given("engine.clock", func() json.RawMessage { return p.apiClock.save(p) }, nil)
	return nil
}

// Run runs script in p, for tests and tools, and returns its tape. The error is one of the recorder; the tape has that of the pull.
func (r *Recorder) Run(p *Pull, script *Script) (*Tape, error) {
	if err := r.record(p, script); err != nil {
		return nil, err
	}
	handover, err := script.Run(p)
	return r.finish(p, handover, err), nil
}

// finish ends the recording of p.
func (r *Recorder) finish(p *Pull, handover bool, err error) *Tape {
	l := p.lane
	l.tick()
	t := l.Tape
	p.env.Shared.apiClock(p.collector).take(p.apiClock)
	if i := slices.IndexFunc(t.Exchanges, func(e *Exchange) bool { return e.dropped }); i >= 0 {
		t.Exchanges = t.Exchanges[:i]
	}
	if handover {
		t.Handover = l.commits
	}
	if p.ctx.Err() != nil {
		cause := context.Cause(p.ctx)
		t.End = &TapeEnd{At: l.at, Cause: cause.Error(), Asked: isCanceled(p.ctx), Engine: errors.Is(cause, errStopping)}
	}
	t.Stats, t.Err, t.Sum = p.Stats, err, p.hash.Sum(nil)
	if all, cerr := p.env.Store.Cursors(); cerr == nil {
		t.After = all[p.collector]
	}
	p.lane = nil // what is done with the pull from now on is not on the tape
	return t
}

// before returns the state of a collector but for the keys, of which those that matter are found out.
func (s *Store) before(collector string, now time.Time) (Before, error) {
	cursors, err := s.Cursors()
	if err != nil {
		return Before{}, err
	}
	c, err := s.Coverage(collector, now.Add(-tapedLedger), time.Time{})
	return Before{Cursors: cursors[collector], Marks: c.marks(), Hours: c.Hours}, err
}

// restore makes the state of a collector what it was before a pull.
func (s *Store) restore(collector string, b Before) error {
	st := staging{cursors: b.Cursors, marks: b.Marks, counts: map[int64]*HourCount{}}
	for _, k := range b.Keys {
		st.remember(k.Bucket, k.Key)
	}
	for _, h := range b.Hours {
		counts := h
		counts.Hour = time.Time{}
		st.counts[floorDiv(h.Hour.Unix(), 3600)] = &counts
	}
	return s.submit(context.Background(), collector, st)
}

// tape puts the settings that a script has declared on t.
func (s *Settings) tape(t *Tape, declared []Declaration) {
	kinds := map[string]string{}
	for _, d := range declared {
		kinds[d.Name] = d.Type
	}
	for key := range s.declared {
		v, ok := s.Lookup(key)
		if !ok || v.node == nil || v.node.isNull() {
			continue
		}
		t.Settings[key] = v.Go()
		if text, ok := v.Text(); ok && (kinds[key] == "string" || kinds[key] == "secret" || kinds[key] == "file") {
			t.Settings[key] = text
		}
		if kinds[key] == "secret" || v.node.secret || looksSecret(key) || namesIdentity(key) {
			t.Secret = append(t.Secret, key)
		}
	}
	slices.Sort(t.Secret)
}

func (n *Network) rules() NetworkRules {
	if n == nil {
		return NetworkRules{}
	}
	r := NetworkRules{Hosts: n.Hosts, Private: n.Private, Named: sortedKeys(n.named)}
	for _, p := range n.Prefixes {
		r.Prefixes = append(r.Prefixes, p.String())
	}
	return r
}

func (r NetworkRules) network() (*Network, error) {
	n := &Network{Hosts: r.Hosts, Private: r.Private, named: map[string]bool{}}
	for _, text := range r.Prefixes {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		n.Prefixes = append(n.Prefixes, p)
	}
	for _, host := range r.Named {
		n.named[host] = true
	}
	return n, nil
}

// savedClock is an APIClock on a tape.
type savedClock struct {
	Heard bool            `json:"heard,omitempty"`
	Skews []time.Duration `json:"skews,omitempty"`
	Last  time.Time       `json:"last,omitzero"`
	Clock time.Time       `json:"clock,omitzero"`
	Told  time.Time       `json:"told,omitzero"`
}

func (c *APIClock) save(p *Pull) json.RawMessage {
	if !c.heard && len(c.skews) == 0 {
		return nil
	}
	data, err := json.Marshal(savedClock{c.heard, c.skews, c.last.Round(0), p.Portable(c.clock), c.told.Round(0)})
	if err != nil {
		return nil
	}
	return data
}

func (c *APIClock) restore(data json.RawMessage) {
	var s savedClock
	if json.Unmarshal(data, &s) == nil {
		c.heard, c.skews, c.last, c.clock, c.told = s.Heard, s.Skews, s.Last, s.Clock, s.Told
	}
}

// clone returns a clock that knows what c does.
func (c *APIClock) clone() *APIClock {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &APIClock{heard: c.heard, skews: slices.Clone(c.skews), last: c.last, clock: c.clock, told: c.told, notes: c.notes}
}

// take makes c know what the other one does.
func (c *APIClock) take(other *APIClock) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard, c.skews, c.last, c.clock, c.told, c.notes = other.heard, slices.Clone(other.skews), other.last, other.clock, other.told, other.notes
}

// join adds what another one, made of c when it had so many notes, has learned since.
func (c *APIClock) join(other *APIClock, notes int) {
	fresh := other.notes - notes
	if c.notes == notes || fresh == 0 {
		if fresh > 0 {
			c.take(other)
		}
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard, c.notes = c.heard || other.heard, c.notes+fresh
	c.skews = append(c.skews, other.skews[max(0, len(other.skews)-fresh):]...)
	c.skews = c.skews[max(0, len(c.skews)-skewAnswers):]
}
