package builtins

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"starling/engine"
)

// A retryPolicy says when a request is sent again, and how soon. It is a value of scripts.
type retryPolicy struct {
	times    int // sends after the first
	statuses []int
	backoff  time.Duration // before the first of them; doubled each time
	cap      time.Duration // before jitter
	// reset and remaining are headers that say when a quota is full again, and how much of it is left; "" for none.
	reset, remaining string
}

func defaultRetry() *retryPolicy {
	return &retryPolicy{times: 3, statuses: []int{429, 500, 502, 503, 504}, backoff: 2 * time.Second, cap: time.Minute}
}

func (r *retryPolicy) String() string {
	return fmt.Sprintf("http.retry(%d, backoff = %q, cap = %q)", r.times, Duration(r.backoff), Duration(r.cap))
}
func (r *retryPolicy) Type() string          { return "http.retry" }
func (r *retryPolicy) Freeze()               {}
func (r *retryPolicy) Truth() starlark.Bool  { return true }
func (r *retryPolicy) Hash() (uint32, error) { return 0, errors.New("unhashable: http.retry") }

func httpRetry(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	r := defaultRetry()
	var statuses *starlark.List
	var backoff, limit starlark.Value
	err := unpack(b, args, kwargs, 1, "times?", &r.times, "statuses?", &statuses, "backoff?", &backoff, "cap?", &limit,
		"reset?", &r.reset, "remaining?", &r.remaining)
	if err != nil {
		return nil, err
	}
	if r.times < 0 || r.times > 100 {
		return nil, fmt.Errorf("%s: times: got %d, want 0 to 100", b.Name(), r.times)
	}
	if statuses != nil {
		if r.statuses, err = statusList(statuses); err != nil {
			return nil, fmt.Errorf("%s: statuses: %w", b.Name(), err)
		}
	}
	if err := positive(b, "backoff", backoff, &r.backoff); err != nil {
		return nil, err
	}
	if err := positive(b, "cap", limit, &r.cap); err != nil {
		return nil, err
	}
	if r.remaining != "" && r.reset == "" {
		return nil, fmt.Errorf("%s: remaining: is for reset, which is not there", b.Name())
	}
	return r, nil
}

// positive reads a duration above zero into d, if there is one.
func positive(b *starlark.Builtin, name string, v starlark.Value, d *time.Duration) error {
	if v == nil || v == starlark.None {
		return nil
	}
	got, err := durationArg(v)
	if err == nil && got <= 0 {
		err = fmt.Errorf("got %s, want a duration above zero", engine.Show(v))
	}
	if err != nil {
		return fmt.Errorf("%s: %s: %w", b.Name(), name, err)
	}
	*d = got
	return nil
}

func statusList(list *starlark.List) ([]int, error) {
	var statuses []int
	for v := range list.Elements() {
		status, err := starlark.AsInt32(v)
		if err != nil || status < 100 || status > 599 {
			return nil, fmt.Errorf("got %s, want HTTP statuses", engine.Show(v))
		}
		statuses = append(statuses, status)
	}
	return statuses, nil
}

// delay returns how long to wait after the n-th failure, counted from 0. Jitter comes on top.
func (r *retryPolicy) delay(p *engine.Pull, n int) time.Duration {
	wait := min(r.backoff<<min(n, 20), r.cap)
	if wait <= 0 {
		wait = r.cap
	}
	return wait + p.Jitter(wait/4)
}

// maxRetryAfter bounds what is read; a gate waits for less.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads how long the other side asks to be left alone: seconds or a date, RFC 9110 10.2.3.
// A date is compared with the answer's own, because clocks differ. Zero means that it did not say.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseFloat(text, 64); err == nil && n > 0 {
		return min(time.Duration(seconds(n)), maxRetryAfter)
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// epochFrom is the least number that is a time since 1970, and not one from now: what is smaller lies before 1974.
const epochFrom = 1 << 27

// after reads how long an answer that is no success asks to be left alone: by Retry-After, or else by the headers of the policy.
// A time that has passed says to try again at once, which a second stands for.
func (r *retryPolicy) after(a *answer, now time.Time) time.Duration {
	if wait := retryAfter(a.header, now); wait > 0 || r.reset == "" {
		return wait
	}
	if a.status != http.StatusTooManyRequests && !r.usedUp(a) {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(a.header.Get(r.reset)), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	if n >= epochFrom {
		if date, err := http.ParseTime(a.header.Get("Date")); err == nil {
			now = date
		}
		n = max(n-now.Unix(), 0)
	}
	return time.Duration(max(1, min(n, int64(maxRetryAfter/time.Second)))) * time.Second
}

// usedUp reports whether an answer says that nothing is left of a quota.
func (r *retryPolicy) usedUp(a *answer) bool {
	return r.remaining != "" && strings.TrimSpace(a.header.Get(r.remaining)) == "0"
}

// A failure is why an attempt gave no answer to use.
type failure struct {
	err    *engine.Error
	status int  // 0: there was no answer
	again  bool // sending again may help
	after  time.Duration
	answer *answer // nil: there was none
	// lasting says that new credentials would not help, although the status says unauthorized.
	lasting bool
}

// throttle reports whether the other side asked for less.
func (f *failure) throttle() bool {
	return f.status == http.StatusTooManyRequests || f.after > 0
}

// catchable reports whether a script may be told instead of the pull being ended: it is not when a person
// must act, when asking for less at a time would make it worse, and when the pull is over.
func (f *failure) catchable(p *engine.Pull) bool {
	switch {
	case p.Context().Err() != nil || f.throttle():
		return false
	case f.err.Code == engine.CodeTooLarge:
		return true
	}
	return f.err.Code == engine.CodeUpstream && (f.again || f.answer != nil)
}

// throttleCode keeps what a person must act on, such as wrong credentials.
func throttleCode(code engine.Code) engine.Code {
	if code == engine.CodeUpstream {
		return engine.CodeThrottled
	}
	return code
}

// An exchange is how a client gets an answer: it waits for its turn, sends, judges and sends again.
type exchange struct {
	auth  auth                                                 // may be nil
	sign  func(*request, http.Header) (done func(), err error) // puts a signature on each attempt; may be nil
	retry *retryPolicy
	gate  *gate
	pace  engine.Pace
	// accept reports whether a status is a success.
	accept func(status int) bool
	// check finds fault with the body of a success; what it finds may be gone the next time. May be nil.
	check func(*answer) error
	// judge explains an answer whose status is no success.
	judge func(p *engine.Pull, r *request, a *answer) *failure
	// errors are the names of what goes wrong.
	errors errorIDs
}

// do returns a good answer, or an *engine.Error that says why there is none.
func (x *exchange) do(p *engine.Pull, r *request) (*answer, error) {
	a, f := x.try(p, r)
	if f != nil {
		return nil, f.err
	}
	return a, nil
}

// try returns a good answer, or why there is none, when sending again did not help.
func (x *exchange) try(p *engine.Pull, r *request) (*answer, *failure) {
	renewed := false
	var failed, throttled int
	for sent := 0; ; sent++ {
		a, version, f := x.attempt(p, r, sent)
		x.errors.name(f)
		switch {
		case f == nil:
			return a, nil
		case p.Context().Err() != nil:
			return nil, &failure{err: stopped(p, r.op(p), f.err.Err)}
		case f.status == http.StatusUnauthorized && !f.lasting && !renewed && x.auth != nil && x.auth.renew(p, version):
			renewed = true
		case f.throttle():
			// The gate holds everybody back. Being told to wait is no failure of the request.
			if throttled == x.retry.times || !f.again || !p.CanWait(f.err.Wait) {
				return nil, f
			}
			p.Logger().Info("throttled", "error", f.err.Error(), "wait", f.err.Wait.String())
			throttled++
		default:
			if f = x.again(p, r, f, failed); f != nil {
				return nil, f
			}
			failed++
		}
		p.Stats.Retries++
		p.Env().Telemetry.Retries.Add(p.Context(), 1, collectorAttr(p))
	}
}

// again waits until the request can be sent again, or returns why it is not.
func (x *exchange) again(p *engine.Pull, r *request, f *failure, failed int) *failure {
	wait := x.retry.delay(p, failed)
	if !f.again || failed >= x.retry.times || !p.CanWait(wait) {
		return f
	}
	p.Logger().Info("request is sent again", "error", f.err.Error(), "wait", wait.String())
	if err := p.Wait(wait); err != nil {
		return &failure{err: stopped(p, r.op(p), err)}
	}
	return nil
}

// attempt sends once. The version is that of the credentials it used.
func (x *exchange) attempt(p *engine.Pull, r *request, n int) (a *answer, version int, f *failure) {
	credentials := http.Header{}
	authorize := func() (err error) {
		if x.auth == nil || !r.scope.credentialed(r.url) {
			return nil
		}
		// Whole, because a refresh token that was sent may be worth nothing from then on.
		return p.Whole(func() error {
			version, err = x.auth.authorize(p, credentials)
			return err
		})
	}
	if err := authorize(); err != nil {
		return nil, 0, failureOf(p, r, err)
	}
	if p.Context().Err() != nil {
		return nil, version, failureOf(p, r, context.Cause(p.Context()))
	}
	asked, err := p.Asks(r.op(p), r.method, r.url.String())
	defer asked()
	if err != nil {
		return nil, version, failureOf(p, r, err)
	}
	if err := p.TakeLimits(r.op(p)); err != nil {
		return nil, version, failureOf(p, r, err)
	}
	turn, err := x.turn(p, r, authorize)
	if err != nil {
		return nil, version, failureOf(p, r, err)
	}
	answered := false
	defer func() { turn.Done(answered) }()
	if x.sign != nil && r.scope.credentialed(r.url) {
		done, err := x.sign(r, credentials)
		if err != nil {
			return nil, version, failureOf(p, r, err)
		}
		defer done()
	}
	r.sentMore = func() { turn.Again(p.QuotaClock()) }
	if a, err = r.send(p, credentials, n); err != nil {
		return nil, version, sendFailure(r.op(p), err)
	}
	if !x.accept(a.status) {
		f := x.judge(p, r, a)
		f.status, f.after, f.answer = a.status, x.retry.after(a, p.Now()), a
		f.again = f.again || slices.Contains(x.retry.statuses, a.status) || f.after > 0 && x.retry.usedUp(a)
		if answered = !f.throttle(); !answered {
			f.err.Code, f.err.Wait = throttleCode(f.err.Code), turn.Throttled(p.QuotaClock(), f.after)
		}
		return nil, version, f
	}
	answered = true
	if x.check != nil {
		if err := x.check(a); err != nil {
			f := failureOf(p, r, err)
			f.again, f.status, f.answer = true, a.status, a
			return nil, version, f
		}
	}
	return a, version, nil
}

// turn waits for leave to send. That may take so long that the credentials run out; and new ones so long
// that the turn is over.
func (x *exchange) turn(p *engine.Pull, r *request, authorize func() error) (*engine.Turn, error) {
	for again := false; ; again = true {
		turn, err := x.gate.Take(p, r.op(p), x.pace)
		if err != nil || turn.Waited == 0 {
			return turn, err
		}
		asked := p.Stats.Requests
		if err := authorize(); err != nil {
			turn.Done(false)
			return nil, err
		}
		if p.Stats.Requests == asked {
			return turn, nil
		}
		if again {
			turn.Again(p.QuotaClock()) // it is sent later than it was counted
			return turn, nil
		}
		turn.Done(false)
	}
}

// failureOf makes a failure of an error that came before any answer.
func failureOf(p *engine.Pull, r *request, err error) *failure {
	if e, ok := errors.AsType[*engine.Error](err); ok {
		return &failure{err: e}
	}
	return &failure{err: &engine.Error{Code: engine.CodeUpstream, Op: r.op(p), Err: err}}
}

// stopped is the error of a pull that ends while it waits or reads.
func stopped(p *engine.Pull, op string, err error) *engine.Error {
	if cause := context.Cause(p.Context()); cause != nil {
		err = cause
	}
	code := engine.CodeUpstream
	if p.Stopped() {
		code = engine.CodeCanceled
	}
	return &engine.Error{Code: code, Op: op, Err: err}
}
