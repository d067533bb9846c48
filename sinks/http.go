package sinks

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"starling/engine"
)

// posts sends lines over HTTP, many in one request. An answer of 2xx acknowledges every event of the
// request, and nothing else does. Redirects are not followed: they would carry the token along.
type posts struct {
	op       string
	line     appendLine
	target   func(*engine.Table) string // the URL of a table's events
	header   http.Header
	timeout  time.Duration // of one request
	compress bool
	client   atomic.Pointer[http.Client]
	files    credentialFiles // all optional
	own      ownCertificate

	maxEvent maxEvent
	limit    int // bytes of a request before compression; less after the answer 413

	batch batch
	sent  int // events of this epoch before the batch
	zip   *gzip.Writer
}

// batch is the events of the next request.
type batch struct {
	url   string
	lines []byte
	ends  []int // of each event in lines
}

var (
	_ engine.Sink     = (*posts)(nil)
	_ engine.Reloader = (*posts)(nil)
	_ engine.Expirer  = (*posts)(nil)
)

// newHTTP makes a sink of the type http: lines in POST requests, to a receiver whose answer 2xx says that
// it has all events of the request. Its keys:
//
//	url                where to POST, such as https://logs.example.com/ingest
//	format             devo, body or frame: what a line is, see lineFormat (devo)
//	auth_token         sent as "Authorization: Bearer …", or in auth_header
//	auth_header        a header that is sent with auth_token alone as its value
//	gzip               whether requests are compressed (true)
//	max_request_bytes  of a request before compression; an event alone may exceed it (1MiB)
//	max_event_bytes    the longest line that the receiver takes; a longer one is refused (no limit)
//	timeout            seconds for one request with its answer (60)
//	chain              certificates that the server's must be signed by, PEM (the system's)
//	cert, key          a certificate to show, PEM
//
// 429 and 503 are tried again after Retry-After, 413 with fewer events at a time; 400, 413 and 422 for
// one event say that it is refused.
func newHTTP(out engine.Output, env Env) (engine.Sink, error) {
	c := out.Config
	s := newPosts(out, env, "devo")
	address := webAddress(c, "url", c.Has("auth_token"))
	s.op = fmt.Sprintf("output %s (%s)", out.Name, address.Host)
	text := address.String()
	s.target = func(*engine.Table) string { return text }
	token, name := c.Text("auth_token", ""), c.Text("auth_header", "")
	switch {
	case token == "" && name != "":
		c.Errorf("auth_header", "is nothing without auth_token")
	case name != "":
		s.header.Set(name, token)
	case token != "":
		s.header.Set("Authorization", "Bearer "+token)
	}
	return s.checked(c)
}

// newDevoHTTP makes a sink of the type devo_http: Devo's HTTP ingestion, for places that syslog cannot
// leave. Devo recommends syslog: its answer here comes before it has processed the events, and it takes
// the time of arrival as theirs. Beside gzip, max_request_bytes, max_event_bytes, timeout, chain, cert and key of http,
// its keys:
//
//	url       such as https://http-eu.devo.io
//	domain    the name of the Devo domain
//	token     a token of the type HTTP ingestion that may write to the tables
//	hostname  the host of events whose table names none (this machine's name)
func newDevoHTTP(out engine.Output, env Env) (engine.Sink, error) {
	c := out.Config
	s := newPosts(out, env, "body")
	address := webAddress(c, "url", true)
	s.op = fmt.Sprintf("output %s (%s)", out.Name, address.Host)
	base := strings.TrimSuffix(address.String(), "/") + "/stream/" + url.PathEscape(c.Required("domain")) +
		"/token!" + url.PathEscape(c.Required("token")) + "/"
	hostname := c.Text("hostname", env.Hostname)
	s.target = func(t *engine.Table) string {
		host := t.Host
		if host == "" {
			host = hostname
		}
		return base + url.PathEscape(cleanWord(host)) + "/" + url.PathEscape(cleanWord(t.Tag))
	}
	return s.checked(c)
}

// newPosts reads the keys that the types of HTTP have in common.
func newPosts(out engine.Output, env Env, format string) *posts {
	c := out.Config
	s := &posts{
		line:     appendBody,
		header:   http.Header{"Content-Type": {"text/plain; charset=utf-8"}},
		timeout:  c.Seconds("timeout", time.Minute, time.Second, time.Hour),
		compress: c.Bool("gzip", true),
		maxEvent: newMaxEvent(c),
		own:      ownCertificate{log: env.Logger, op: "output " + out.Name},
		limit:    int(c.Bytes("max_request_bytes", 1<<20, 1<<10, 32<<20)),
		files:    optionalFiles(c),
	}
	if format == "devo" {
		s.line = lineFormat(c, env, format, "devo", "body", "frame")
		if c.Choice("format", format, "devo", "body", "frame") == "devo" {
			s.header.Set("Content-Type", "application/x-ndjson")
		}
	}
	if s.compress {
		s.header.Set("Content-Encoding", "gzip")
	}
	s.header.Set("User-Agent", "starling")
	return s
}

// webAddress reads a URL; what is wrong with it is noted. With a token it must be https, or on this machine.
func webAddress(c *engine.Section, key string, token bool) *url.URL {
	u, err := url.Parse(c.Required(key))
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil {
		c.Errorf(key, "want a URL such as https://logs.example.com/ingest, without a password in it")
		return &url.URL{}
	}
	if token && u.Scheme == "http" && !isThisMachine(u.Hostname()) {
		c.Errorf(key, "is http, where anybody on the way can read the token; use https")
	}
	return u
}

func (s *posts) checked(c *engine.Section) (engine.Sink, error) {
	if err := c.Err(); err != nil {
		return nil, err
	}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Send posts whenever a request has enough bytes, or the next event has another URL.
func (s *posts) Send(ctx context.Context, events []engine.Event) error {
	if ctx.Err() != nil {
		return s.failed(ctx, context.Cause(ctx))
	}
	for i := range events {
		if err := s.add(ctx, &events[i]); err != nil {
			return s.failed(ctx, err)
		}
	}
	return nil
}

func (s *posts) add(ctx context.Context, e *engine.Event) error {
	b := &s.batch
	at := s.target(e.Table)
	if at != b.url && len(b.ends) > 0 {
		if err := s.postAll(ctx); err != nil {
			return err
		}
	}
	b.url = at
	before := len(b.lines)
	b.lines = s.line(b.lines, e)
	if err := s.maxEvent.check(len(b.lines)-before, e, s.sent+len(b.ends)); err != nil {
		return err
	}
	if len(b.lines) > s.limit && before > 0 {
		last := bytes.Clone(b.lines[before:])
		b.lines = b.lines[:before]
		if err := s.postAll(ctx); err != nil {
			return err
		}
		b.lines = append(b.lines, last...)
	}
	b.ends = append(b.ends, len(b.lines))
	return nil
}

// postAll posts the batch and begins another.
func (s *posts) postAll(ctx context.Context) error {
	b := &s.batch
	err := s.post(ctx, b.url, b.lines, b.ends, s.sent)
	s.sent += len(b.ends)
	b.lines, b.ends = b.lines[:0], b.ends[:0]
	return err
}

// Flush posts what is left.
func (s *posts) Flush(ctx context.Context) error {
	if len(s.batch.ends) > 0 {
		if err := s.postAll(ctx); err != nil {
			return s.failed(ctx, err)
		}
	}
	s.sent = 0
	return nil
}

// failed forgets the epoch.
func (s *posts) failed(ctx context.Context, err error) error {
	s.reset()
	if ctx.Err() != nil {
		return &engine.Error{Code: engine.CodeCanceled, Op: s.op, Err: context.Cause(ctx)}
	}
	return s.explain(err)
}

func (s *posts) reset() {
	s.batch.lines, s.batch.ends, s.sent = s.batch.lines[:0], s.batch.ends[:0], 0
}

// Close closes the connections that wait for the next request.
func (s *posts) Close() error {
	s.reset()
	s.client.Load().CloseIdleConnections()
	return nil
}
