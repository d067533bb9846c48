package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// An Asked is a request that was made while a tape was played.
type Asked struct {
	Lane        int
	Method, URL string
	Header      http.Header
	Body        []byte
	// Exchange is the one that answered, counted from 0; -1 if the tape has none.
	Exchange int
}

// Transport sends the pull's requests; those that are direct go to the platform of the machine.
func (p *Pull) Transport(direct bool) http.RoundTripper {
	next := p.env.Transport
	if direct {
		next = p.env.Identity.Transport
	}
	switch l := p.lane; {
	case l == nil:
		return next
	case l.playing:
		return playTransport{l}
	default:
		return recordTransport{l, p, next, direct}
	}
}

func bodyOf(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	body := r.Body
	if r.GetBody != nil {
		var err error
		if body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	return io.ReadAll(body)
}

type recordTransport struct {
	lane   *lane
	pull   *Pull
	next   http.RoundTripper
	direct bool
}

func (t recordTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	l := t.lane
	body, err := bodyOf(r)
	if err != nil {
		return nil, err
	}
	l.tick()
	e := &Exchange{Lane: l.number, Method: r.Method, URL: r.URL.String(), Header: r.Header.Clone(), Body: body, Sent: l.at, direct: t.direct}
	if n := len(l.turns); n > 0 && l.turns[n-1].url == e.URL {
		e.Queued, l.turns[n-1].queued = l.turns[n-1].queued, nil
	}
	l.last = e
	l.add(e, int64(len(e.URL)+len(body))+1024)
	resp, err := t.next.RoundTrip(r)
	l.tick()
	e.Headed, e.Done, e.Set = l.at, l.at, l.set
	if err != nil {
		e.Fault = t.fault(r.Context(), err)
		return nil, err
	}
	e.Status, e.Answer, e.Length = resp.StatusCode, resp.Header.Clone(), resp.ContentLength
	resp.Body = &tapedBody{ReadCloser: resp.Body, record: t, ctx: r.Context(), exchange: e}
	return resp, nil
}

// fault describes an error of the network.
func (t recordTransport) fault(ctx context.Context, err error) *Fault {
	f := &Fault{Text: err.Error()}
	if e, ok := errors.AsType[*Error](err); ok && e.Err != nil {
		f.Text, f.Code, f.Hint, f.Wait = e.Err.Error(), e.Code, e.Hint, e.Wait
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		f.Certificate = true
	}
	if ctx.Err() == nil {
		return f
	}
	f.Text = context.Cause(ctx).Error()
	whole := t.pull.ctx
	if t.pull.outer != nil {
		whole = t.pull.outer
	}
	f.Ended = whole.Err() != nil
	f.Left = !f.Ended && t.pull.ctx.Err() != nil
	f.Late = !f.Ended && !f.Left
	return f
}

// add puts an exchange on the tape, or nothing any more when the tape is full.
func (d *deck) add(e *Exchange, size int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.size += size
	if d.Cut = d.Cut || d.size > d.limit; !d.Cut {
		d.Exchanges = append(d.Exchanges, e)
	}
}

// grow reports whether there is room on the tape for n more bytes of e.
func (d *deck) grow(e *Exchange, n int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.size += int64(n)
	if d.Cut = d.Cut || d.size > d.limit; d.Cut && !e.dropped {
		e.dropped, e.Data = true, nil
	}
	return !d.Cut
}

// A tapedBody keeps what is read of a body.
type tapedBody struct {
	io.ReadCloser
	record   recordTransport
	ctx      context.Context
	exchange *Exchange
	over     bool
}

func (b *tapedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	e, l := b.exchange, b.record.lane
	if n > 0 && l.grow(e, n) {
		e.Data = append(e.Data, p[:n]...)
	}
	if err != nil && !b.over {
		b.over = true
		l.tick()
		e.Done = l.at
		if err != io.EOF {
			e.Fault = b.record.fault(b.ctx, err)
		}
	}
	return n, err
}

func (b *tapedBody) Close() error {
	if !b.over {
		b.over = true
		b.record.lane.tick()
		b.exchange.Done = b.record.lane.at
	}
	return b.ReadCloser.Close()
}

// Asks says that a request is to be sent, for which quotas are asked first. Call done when it was sent or is not to be.
func (p *Pull) Asks(op, method, url string) (done func(), err error) {
	l := p.lane
	if l == nil {
		return func() {}, nil
	}
	a := &asking{op: op, method: method, url: url}
	l.turns = append(l.turns, a)
	done = func() { l.turns = l.turns[:len(l.turns)-1] }
	if !l.playing {
		return done, nil
	}
	e, _ := l.match(l.number, l.leftLane() >= 0, func(e *Exchange) bool {
		return e.Method == method && (e.URL == url || l.rewrite && hostIn(e.URL) == hostIn(url))
	})
	a.planned = e
	if e == nil || !e.Fault.unsent() {
		return done, nil
	}
	e.taken, e.URL = true, url
	l.moveTo(e.Headed)
	err = l.fail(e.Fault)
	if own, ok := err.(*Error); ok {
		own.Op = op
	}
	return done, err
}

// take is a turn in a quota, as the tape has it or for the tape.
func (l *lane) take(q *Quota, p *Pull, op string, pace Pace) (*Turn, error) {
	var a *asking
	n := 0
	if len(l.turns) > 0 {
		a = l.turns[len(l.turns)-1]
		n = a.takes
		a.takes++
	}
	if l.playing {
		t := &Turn{quota: q, pull: p, pace: pace}
		if a != nil && a.planned != nil {
			for _, w := range a.planned.Queued {
				if w.Take == n {
					t.Waited = w.Waited
					l.moveTo(w.At)
				}
			}
		}
		return t, nil
	}
	t, err := q.turnOf(p, op, pace)
	switch { // who does not wait sees no other time
	case a == nil:
	case err != nil:
		l.tick()
		f := recordTransport{lane: l, pull: p}.fault(p.ctx, err)
		f.Unsent = true
		l.add(&Exchange{Lane: l.number, Method: a.method, URL: a.url, Sent: l.at, Headed: l.at, Done: l.at, Set: l.set, Fault: f}, 1024)
	case t.Waited > 0:
		l.tick()
		a.queued = append(a.queued, QueuedTurn{Take: n, Waited: t.Waited, At: l.at})
	}
	return t, err
}

// paused notes how long an answer closes a quota, or knows it.
func (l *lane) paused(real func() time.Duration) time.Duration {
	if l.playing {
		if l.last == nil {
			return 0
		}
		return l.last.Paused
	}
	own := l.random // a pause that is played draws nothing
	l.random = newChance(rand.Uint64(), 0)
	d := real()
	l.random = own
	if l.last != nil {
		l.last.Paused = d
	}
	return d
}

func isCanceled(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }
