package builtins

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"go.starlark.net/starlark"

	"starling/engine"
)

// A request is an HTTP request that can be sent any number of times.
type request struct {
	span     string // name of the span of each attempt
	method   string
	url      *url.URL
	header   http.Header // what only the base's origin may see is in private instead
	private  http.Header
	body     []byte
	makeBody func() ([]byte, error) // makes the body of each attempt, in place of body; its errors are final
	timeout  time.Duration          // of one attempt, answer included; zero means the engine's limit
	scope    scope
	masked   []string  // query parameters that are secrets
	sentMore func()    // told of each further request that a round trip leads to, before it is sent; may be nil
	direct   bool      // goes to the platform that this machine runs on, not through the network of scripts
	last     *lastSize // of the bodies before it; may be nil
	// secretBody says that there is a secret in body.
	secretBody bool
}

// An answer is a whole HTTP answer, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte         // decompressed
	url    *url.URL       // after redirects
	doc    starlark.Value // the body, once somebody has parsed it
	xml    *xmlElement    // likewise
}

// statusText is the status as people know it, such as "404 Not Found".
func (a *answer) statusText() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)))
}

// op names the request in errors.
func (r *request) op(p *engine.Pull) string {
	return r.method + " " + shownURL(p.Env().Redactor, r.url, r.masked)
}

// send sends the request once and reads the whole answer, whatever its status. Every error is an
// *engine.Error or comes from the network; none shows a secret.
func (r *request) send(p *engine.Pull, credentials http.Header, attempt int) (a *answer, err error) {
	t := p.Env().Telemetry
	ctx, span := p.StartSpan(r.span, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		engine.KeyMethod.String(r.method), engine.KeyAttempt.Int(attempt),
		engine.KeyURL.String(shownURL(p.Env().Redactor, r.url, r.masked))))
	began := time.Now()
	defer func() {
		attributes := []attribute.KeyValue{engine.KeyCollector.String(p.Collector())}
		switch {
		case err != nil:
			span.SetStatus(codes.Error, err.Error())
		case a != nil: // it is nil in a panic
			attributes = append(attributes, engine.KeyStatus.Int(a.status))
			span.SetAttributes(engine.KeyStatus.Int(a.status), engine.KeyBytes.Int(len(a.body)))
		}
		span.End()
		p.Stats.Requests++
		t.Requests.Add(ctx, 1, metric.WithAttributes(attributes...))
		t.RequestTime.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(attributes...))
	}()
	limit := r.timeout
	if limit == 0 {
		limit = p.Env().Limits.HTTPTimeout
	}
	late := fmt.Errorf("no complete answer within %v", Duration(limit))
	ctx, cancel := p.WithTimeout(ctx, limit, late)
	defer cancel()
	a, err = r.roundTrip(ctx, p, credentials)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return a, cleanError(p.Env().Redactor, err)
}

func (r *request) roundTrip(ctx context.Context, p *engine.Pull, credentials http.Header) (*answer, error) {
	env := p.Env()
	network, transport := env.Network, p.Transport(r.direct)
	if r.direct {
		network = nil
	}
	if err := network.CheckURL(r.url); err != nil {
		return nil, err
	}
	body := r.body
	if r.makeBody != nil {
		var err error
		if body, err = r.makeBody(); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(r.counted(ctx), r.method, r.url.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	setDefaults(req.Header)
	addHeader(req.Header, r.header)
	if r.scope.credentialed(r.url) {
		addHeader(req.Header, r.private)
		addHeader(req.Header, credentials)
	}
	// Asked for here and not left to the transport, so that the size of what comes out is limited
	// whatever the transport.
	req.Header.Set("Accept-Encoding", "gzip")
	sent := p.Now()
	client := &http.Client{Transport: transport, CheckRedirect: r.redirect(network, credentials)}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	noteClock(p, resp.Header, sent)
	body, err = bodiesOf(p).read(resp, env.Limits.ResponseBytes, r.last)
	if err != nil {
		return nil, err
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: body, url: resp.Request.URL}, nil
}

// counted has every request but the first counted that one round trip leads to: those of redirects, and what
// the transport sends again by itself, at once, when a kept connection breaks before the answer.
func (r *request) counted(ctx context.Context) context.Context {
	if r.sentMore == nil {
		return ctx
	}
	var sent atomic.Bool
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaders: func() { sent.Store(true) },
		GotConn: func(httptrace.GotConnInfo) {
			if sent.Swap(false) {
				r.sentMore()
			}
		},
	})
}

func setDefaults(h http.Header) {
	h.Set("Accept", "application/json")
	h.Set("User-Agent", userAgent())
}

// userAgent names the program and the version it was built from.
var userAgent = sync.OnceValue(func() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return "starling/" + info.Main.Version
	}
	return "starling/dev"
})

func addHeader(h, more http.Header) {
	for name, values := range more {
		h[name] = values
	}
}

// redirect decides about redirects. The library would send every header but the best known ones to
// wherever a redirect leads, all of them from https to http of the same host, and the body again.
func (r *request) redirect(n *engine.Network, credentials http.Header) func(*http.Request, []*http.Request) error {
	return func(next *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return &engine.Error{Code: engine.CodeUpstream, Err: errors.New("redirected 10 times")}
		}
		if err := r.mayFollow(n, next, via[len(via)-1]); err != nil {
			return err
		}
		next.Header.Del("Referer") // would hand the query of this URL to the next server
		if !r.scope.credentialed(next.URL) {
			for name := range r.private {
				next.Header.Del(name)
			}
			for name := range credentials {
				next.Header.Del(name)
			}
		}
		return nil
	}
}

func (r *request) mayFollow(n *engine.Network, next, last *http.Request) error {
	if err := n.CheckURL(next.URL); err != nil {
		if e, ok := errors.AsType[*engine.Error](err); ok {
			return &engine.Error{Code: e.Code, Err: fmt.Errorf("redirect refused: %w", e.Err), Hint: e.Hint}
		}
		return err
	}
	err := r.scope.check(next.URL)
	switch {
	case err != nil:
	case last.URL.Scheme == "https" && next.URL.Scheme != "https":
		err = fmt.Errorf("it leads from https to %s, where everybody on the way can read it", next.URL.Scheme)
	case r.secretBody && next.Body != nil && next.Body != http.NoBody && !r.scope.credentialed(next.URL):
		err = fmt.Errorf("it would hand the secret in the body to %s", shownOrigin(next.URL))
	default:
		return nil
	}
	return &engine.Error{Code: engine.CodeUpstream, Err: fmt.Errorf("redirect refused: %w", err)}
}

// cleanError takes the URL, with its query, out of an error of net/http, and known secrets out of
// the rest.
func cleanError(r *engine.Redactor, err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if err == nil {
		return nil
	}
	if text := err.Error(); r.Redact(text) != text {
		return errors.New(r.Redact(text))
	}
	return err
}
