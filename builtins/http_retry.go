package builtins

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
	cap      time.Duration
}

func defaultRetry() *retryPolicy {
	return &retryPolicy{times: 4, statuses: []int{429, 500, 502, 503, 504}, backoff: time.Second, cap: time.Minute}
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
	err := unpack(b, args, kwargs, 1, "times?", &r.times, "statuses?", &statuses, "backoff?", &backoff, "cap?", &limit)
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

// throttleStep is how much longer to wait each time an API that says 429 does not say how long.
// Rejected requests count against its quota as well, so hurrying makes it worse.
const throttleStep = 30 * time.Second

// delay returns how long to wait after the n-th failure, counted from 0.
func (r *retryPolicy) delay(status, n int) time.Duration {
	wait := min(r.backoff<<min(n, 20), r.cap)
	if wait <= 0 {
		wait = r.cap
	}
	if status == http.StatusTooManyRequests {
		wait = max(wait, min(throttleStep*time.Duration(n+1), r.cap))
	}
	return wait/2 + rand.N(wait/2+1)
}

// maxRetryAfter bounds what a server can ask for: it may be wrong, and a look each day finds out.
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

// A failure is why an attempt gave no answer to use.
type failure struct {
	err    *engine.Error
	status int  // 0: there was no answer
	again  bool // sending again may help
	after  time.Duration
	// lasting says that new credentials would not help, although the status says unauthorized.
	lasting bool
}

// throttle reports whether the other side asked for less.
func (f *failure) throttle() bool {
	return f.status == http.StatusTooManyRequests || f.after > 0
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
	auth  auth // may be nil
	retry *retryPolicy
	gate  *gate
	// accept reports whether a status is a success.
	accept func(status int) bool
	// check finds fault with the body of a success; what it finds may be gone the next time. May be nil.
	check func(*answer) error
	// judge explains an answer whose status is no success.
	judge func(p *engine.Pull, r *request, a *answer) *failure
}

// do returns a good answer, or an *engine.Error that says why there is none.
func (x *exchange) do(p *engine.Pull, r *request) (*answer, error) {
	renewed := false
	for sent, failed := 0, 0; ; sent++ {
		a, version, f := x.attempt(p, r, sent)
		switch {
		case f == nil:
			return a, nil
		case f.status == http.StatusUnauthorized && !f.lasting && !renewed && x.auth != nil && x.auth.renew(p, version):
			renewed = true
		default:
			if err := x.again(p, r, f, failed); err != nil {
				return nil, err
			}
			failed++
		}
		p.Stats.Retries++
		p.Env().Telemetry.Retries.Add(p.Context(), 1, collectorAttr(p))
	}
}

// again waits until the request can be sent again, or returns why it is not.
func (x *exchange) again(p *engine.Pull, r *request, f *failure, failed int) error {
	wait := f.after
	if wait == 0 {
		wait = x.retry.delay(f.status, failed)
	}
	if f.after > 0 {
		// Not the very moment that everybody else was told.
		wait += rand.N(time.Second)
		x.gate.pause(p.Clock().Add(wait))
	}
	if f.throttle() {
		f.err.Code, f.err.Wait = throttleCode(f.err.Code), wait
	}
	switch {
	case p.Context().Err() != nil:
		return stopped(p, r.op(p), f.err.Err)
	case !f.again || failed >= x.retry.times:
		return f.err
	case wait > maxPause || !p.CanWait(wait):
		f.err.Wait = wait
		return f.err
	}
	p.Logger().Info("request is sent again", "error", f.err.Error(), "wait", wait.String())
	pause := p.Wait
	if f.throttle() {
		pause = func(d time.Duration) error { return throttled(p, d) }
	}
	if err := pause(wait); err != nil {
		return stopped(p, r.op(p), err)
	}
	return nil
}

// attempt sends once. The version is that of the credentials it used.
func (x *exchange) attempt(p *engine.Pull, r *request, n int) (a *answer, version int, f *failure) {
	fail := func(err error) *failure {
		if e, ok := errors.AsType[*engine.Error](err); ok {
			return &failure{err: e}
		}
		return &failure{err: &engine.Error{Code: engine.CodeUpstream, Op: r.op(p), Err: err}}
	}
	if err := x.gate.wait(p, r.op(p)); err != nil {
		return nil, 0, fail(err)
	}
	credentials := http.Header{}
	if x.auth != nil && r.scope.credentialed(r.url) {
		var err error
		if version, err = x.auth.authorize(p, credentials); err != nil {
			return nil, 0, fail(err)
		}
	}
	a, err := r.send(p, credentials, n)
	if err != nil {
		return nil, version, sendFailure(r.op(p), err)
	}
	if !x.accept(a.status) {
		f := x.judge(p, r, a)
		f.status, f.after = a.status, retryAfter(a.header, p.Now())
		f.again = f.again || slices.Contains(x.retry.statuses, a.status)
		return nil, version, f
	}
	if x.check != nil {
		if err := x.check(a); err != nil {
			f := fail(err)
			f.again = true
			return nil, version, f
		}
	}
	return a, version, nil
}

// stopped is the error of a pull that ends while it waits or reads.
func stopped(p *engine.Pull, op string, err error) error {
	if cause := context.Cause(p.Context()); cause != nil {
		err = cause
	}
	code := engine.CodeUpstream
	if errors.Is(p.Context().Err(), context.Canceled) {
		code = engine.CodeCanceled
	}
	return &engine.Error{Code: code, Op: op, Err: err}
}
