package engine

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// maxPause is the longest that a Quota is paused, whatever the API asks for: it may be wrong, and a
	// look each quarter of an hour finds out. It is also the longest wait inside a pull; what takes longer
	// ends the pull, and the engine waits.
	maxPause = 15 * time.Minute
	// afterPause comes on top of what the API asked for.
	afterPause = time.Second
	// throttleStep is how much longer a pause is each time that an API does not say how long. Rejected
	// requests count against its quota as well, so hurrying makes it worse.
	throttleStep = 30 * time.Second
	throttleMost = 4 // steps
)

// A Pace is how many requests may be sent: at most N in any stretch of Per; 0 means any number. Share,
// from 0 to 1, keeps the rest of N for others: together, requests with a Share below 1 get no more than
// that part of N, at least one. 0 means all of it.
type Pace struct {
	N     int
	Per   time.Duration
	Share float64
}

// A Rate is a quota as a script says it; without a name it is the script's own.
type Rate struct {
	Name string
	Pace
}

func (p Pace) shared() bool { return p.Share > 0 && p.Share < 1 }

// A Quota says when requests that count against the same allowance may be sent: in the order in which
// they asked, none while the other side asked for a pause, and after a pause first one alone, so that a
// crowd does not run into the next. The zero Quota is ready to use and not kept; Store.Quota returns those
// that are common to all collectors and outlive the process. Its methods may be called from any goroutine.
//
// It counts what was sent and is no token bucket, because quotas are written as "n in any 5 minutes": a
// bucket of n that refills while it is used lets up to twice as many through.
type Quota struct {
	name string

	mu     sync.Mutex
	kept   *quotaFile    // nil: not kept
	pace   Pace          // of the latest request
	keep   time.Duration // the longest Per so far
	all    []time.Time   // the sends of the last keep, oldest first
	shared []time.Time   // of them, those with a share below 1
	sends  uint64        // since the start
	queue  []*Turn       // who waits, in order
	full   time.Time     // if not zero: it counts as used up at that time, once its Pace is known

	paused  time.Time // no send before
	strikes int       // pauses in a row
	told    uint64    // the first send that was made after the latest pause was imposed
	doubt   bool      // no request was answered since then
	probe   *Turn     // the one that tries

	waits     int64
	waited    time.Duration
	throttled int64
}

// A Turn is leave to send one request. End it with Done or Throttled.
type Turn struct {
	quota  *Quota
	pull   *Pull
	pace   Pace
	wake   chan struct{}
	number uint64
	// Waited is how long it took to come.
	Waited time.Duration
}

// Take waits for a turn, counts it as sent, and returns it. A turn that is too far away for the pull is
// an error with CodeThrottled that says how far.
func (q *Quota) Take(p *Pull, op string, pace Pace) (*Turn, error) {
	if p.lane != nil {
		return p.lane.take(q, p, op, pace)
	}
	return q.turnOf(p, op, pace)
}

func (q *Quota) turnOf(p *Pull, op string, pace Pace) (*Turn, error) {
	t := &Turn{quota: q, pull: p, pace: pace}
	began := p.QuotaClock()
	wait, err := q.join(t, began)
	if wait > 0 && err == nil {
		p.log.Debug("waits for its turn in a quota", "wait", wait.String())
	}
	for ; wait > 0 && err == nil; wait, err = q.try(t, p.QuotaClock()) {
		if wait > maxPause+2*afterPause || !p.CanWait(wait) {
			q.leave(t)
			err = &Error{Code: CodeThrottled, Op: op, Wait: wait,
				Err: fmt.Errorf("the next request may be sent in %v, too late for this pull", wait.Round(time.Second))}
		} else if err = p.waitOr(wait, t.wake); err != nil {
			q.leave(t)
		}
		if err != nil {
			break
		}
	}
	t.Waited = p.QuotaClock().Sub(began)
	if t.Waited > 0 {
		q.tellWait(t.Waited)
		p.env.Telemetry.Throttled.Add(p.ctx, t.Waited.Seconds(), attrs(KeyCollector.String(p.collector)))
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// join is the first try, and puts t at the end of the queue if it has to wait.
func (q *Quota) join(t *Turn, now time.Time) (time.Duration, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pace, q.keep = t.pace, max(q.keep, t.pace.Per)
	if !q.full.IsZero() && t.pace.N > 0 {
		for range t.pace.N {
			q.all, q.shared = insert(q.all, q.full), insert(q.shared, q.full)
		}
		q.full = time.Time{}
	}
	wait := q.waitFor(t, now)
	if wait <= 0 {
		return 0, q.send(t, now)
	}
	t.wake = make(chan struct{}, 1)
	q.queue = append(q.queue, t)
	return wait, nil
}

// try takes the turn if it has come, or returns how long to wait before the next try.
func (q *Quota) try(t *Turn, now time.Time) (time.Duration, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	wait := q.waitFor(t, now)
	if wait > 0 {
		return wait, nil
	}
	q.remove(t)
	return 0, q.send(t, now)
}

func (q *Quota) leave(t *Turn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.remove(t)
	q.wakeAll()
}

func (q *Quota) remove(t *Turn) {
	q.queue = slices.DeleteFunc(q.queue, func(o *Turn) bool { return o == t })
}

func (q *Quota) wakeAll() {
	for _, t := range q.queue {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// probeLook is how soon others look whether the one that tries was answered, if nobody tells them.
const probeLook = 10 * time.Second

// waitFor returns how long it takes until t may send, when all that wait before it have sent as early as
// they may.
func (q *Quota) waitFor(t *Turn, now time.Time) time.Duration {
	q.forget(now)
	from := now
	if q.paused.After(from) {
		from = q.paused
	}
	all, shared := q.all, q.shared
	for i, ahead := range q.queue {
		if ahead == t {
			break
		}
		at := earliest(all, shared, from, ahead.pace)
		if q.doubt && !at.After(now) {
			return probeLook // it tries first
		}
		if i == 0 {
			all, shared = slices.Clone(all), slices.Clone(shared)
		}
		all = insert(all, at)
		if ahead.pace.shared() {
			shared = insert(shared, at)
		}
	}
	wait := earliest(all, shared, from, t.pace).Sub(now)
	if wait <= 0 && q.doubt && q.probe != nil {
		return probeLook
	}
	return wait
}

// earliest returns the first moment from at on when a request with this pace may be sent.
func earliest(all, shared []time.Time, at time.Time, pace Pace) time.Time {
	if pace.N == 0 {
		return at
	}
	for {
		next := room(all, at, pace.N, pace.Per)
		if pace.shared() {
			n := max(1, int(float64(pace.N)*pace.Share))
			next = room(shared, spread(shared, next, n, pace.Per), n, pace.Per)
		}
		if next.Equal(at) {
			return at
		}
		at = next
	}
}

// room returns the first moment from at on before which, for per, fewer than n were sent.
func room(sent []time.Time, at time.Time, n int, per time.Duration) time.Time {
	for {
		before := upTo(sent, at)
		if before < n {
			return at
		}
		free := sent[before-n].Add(per)
		if !free.After(at) {
			return at
		}
		at = free
	}
}

// upTo returns how many of the times, which are sorted, are not after at.
func upTo(sent []time.Time, at time.Time) int {
	n, _ := slices.BinarySearchFunc(sent, at, func(s, at time.Time) int {
		if s.After(at) {
			return 1
		}
		return -1
	})
	return n
}

func insert(sent []time.Time, at time.Time) []time.Time {
	return slices.Insert(sent, upTo(sent, at), at)
}

// forget drops the sends that no request looks back to.
func (q *Quota) forget(now time.Time) {
	for _, sent := range []*[]time.Time{&q.all, &q.shared} {
		old := 0
		for old < len(*sent) && now.Sub((*sent)[old]) >= q.keep {
			old++
		}
		*sent = (*sent)[old:]
	}
}

// send counts t as sent. When it cannot be kept it must not be sent: a restart would not know of it.
func (q *Quota) send(t *Turn, now time.Time) error {
	q.count(now, t.pace)
	t.number = q.sends
	if q.doubt {
		q.probe = t
	}
	if err := q.kept.note(q, now, t.pace.shared()); err != nil {
		q.release(t)
		return storeError("keep what was sent of the quota "+q.name, err, "check the free space and the health of the state directory's disk")
	}
	return nil
}

func (q *Quota) count(now time.Time, pace Pace) {
	q.sends++
	if pace.N == 0 {
		return
	}
	q.all = insert(q.all, now)
	if pace.shared() {
		q.shared = insert(q.shared, now)
	}
}

// Again counts one more request that the turn led to, such as a redirect. It is not waited for.
func (t *Turn) Again(now time.Time) {
	q := t.quota
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count(now, t.pace)
	q.kept.note(q, now, t.pace.shared()) // an error comes again at the next turn
}

// release lets others go on when t was the one that tried.
func (q *Quota) release(t *Turn) {
	if q.probe == t {
		q.probe = nil
		q.wakeAll()
	}
}

// Done ends a turn. Answered says that there was an answer, and none that asks for less.
func (t *Turn) Done(answered bool) {
	q := t.quota
	q.mu.Lock()
	defer q.mu.Unlock()
	if answered && t.number > q.told {
		q.doubt, q.strikes = false, 0
	}
	q.release(t)
}

// Throttled ends a turn whose answer asks for less: everybody waits as long as it says, and a second,
// but at most 15 minutes; 30, 60, 90 and then 120 seconds when it does not say, which is zero. It returns
// how long that is. Those that were sent before the pause was known make it no longer, unless they say so.
func (t *Turn) Throttled(now time.Time, after time.Duration) time.Duration {
	if l := t.pull.lane; l != nil {
		return l.paused(func() time.Duration { return t.throttle(now, after) })
	}
	return t.throttle(now, after)
}

func (t *Turn) throttle(now time.Time, after time.Duration) time.Duration {
	q := t.quota
	q.mu.Lock()
	defer q.mu.Unlock()
	q.throttled++
	news := t.number > q.told
	if news {
		q.strikes = min(q.strikes+1, throttleMost)
		q.told, q.doubt = q.sends, true
	}
	var pause time.Duration
	switch {
	case after > 0:
		pause = min(after, maxPause) + afterPause + t.pull.Jitter(afterPause)
	case news:
		pause = throttleStep * time.Duration(q.strikes)
		pause += t.pull.Jitter(pause / 4)
	}
	if until := now.Add(pause); until.After(q.paused) {
		q.paused = until
		q.kept.pause(until) // an error comes again at the next turn
	}
	q.release(t)
	return max(q.paused.Sub(now), 0)
}

func (q *Quota) tellWait(d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waits++
	q.waited += d
}
