package sinks

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"starling/engine"
)

const (
	minRequest    = 1 << 10 // bytes, below which 413 makes no request smaller
	maxReply      = 64 << 10
	maxRetryAfter = time.Hour
)

// statusError is an answer that acknowledges nothing.
type statusError struct {
	code int
	text string // the beginning of its body
	wait time.Duration
	at   string // Location
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("the receiver answered %d %s", e.code, http.StatusText(e.code))
	if e.at != "" {
		text += " to " + e.at
	}
	if e.text != "" {
		text += fmt.Sprintf(": %q", e.text)
	}
	return text
}

// post sends events that end at ends within lines; the first of them has the place first in its epoch.
// What is too much for one request it sends in two.
func (s *posts) post(ctx context.Context, to string, lines []byte, ends []int, first int) error {
	err := s.request(ctx, to, lines)
	status, ok := errors.AsType[*statusError](err)
	if !ok {
		return err
	}
	switch status.code {
	case http.StatusRequestEntityTooLarge:
		if len(ends) == 1 {
			return &engine.Refused{Index: first, Err: err}
		}
		s.limit = max(min(s.limit, len(lines))/2, minRequest)
		half := len(ends) / 2
		if err := s.post(ctx, to, lines[:ends[half-1]], ends[:half], first); err != nil {
			return err
		}
		rest := make([]int, 0, len(ends)-half)
		for _, end := range ends[half:] {
			rest = append(rest, end-ends[half-1])
		}
		return s.post(ctx, to, lines[ends[half-1]:], rest, first+half)
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		if len(ends) > 1 {
			first = -1 // one of them
		}
		return &engine.Refused{Index: first, Err: err}
	}
	return err
}

func (s *posts) request(ctx context.Context, to string, lines []byte) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, fmt.Errorf("no answer within %s", s.timeout))
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(s.packed(lines)))
	if err != nil {
		return withoutURL(err)
	}
	r.Header = s.header.Clone()
	answer, err := s.client.Load().Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return withoutURL(err)
	}
	defer answer.Body.Close()
	// A receiver that has answered 2xx has the events, whatever becomes of the rest of its answer.
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxReply))
	if answer.StatusCode >= 200 && answer.StatusCode < 300 {
		return nil
	}
	return &statusError{code: answer.StatusCode, text: string(text[:min(len(text), 200)]), wait: retryAfter(answer.Header.Get("Retry-After"), time.Now()),
		at: location(answer.Header.Get("Location"))}
}

// packed returns lines as they go on the wire, in memory of their own: a connection may go on reading it
// after the answer has come.
func (s *posts) packed(lines []byte) []byte {
	if !s.compress {
		return bytes.Clone(lines)
	}
	var body bytes.Buffer
	if s.zip == nil {
		s.zip = gzip.NewWriter(&body)
	}
	s.zip.Reset(&body)
	_, _ = s.zip.Write(lines) // a bytes.Buffer takes everything
	_ = s.zip.Close()
	return body.Bytes()
}

// withoutURL takes the URL out of an error, where Devo's has a token.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// location returns scheme and host of a redirect.
func location(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// retryAfter reads the header of that name, seconds or a date; 0 if it says nothing.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(min(max(seconds, 0), int(maxRetryAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

// explain makes the error of a request one for people.
func (s *posts) explain(err error) error {
	e := &engine.Error{Code: engine.CodeSink, Op: s.op, Err: err}
	if status, ok := errors.AsType[*statusError](err); ok {
		e.Wait = status.wait
		switch {
		case status.code == http.StatusUnauthorized || status.code == http.StatusForbidden:
			e.Hint = "check the token"
		case status.code == http.StatusNotFound:
			e.Hint = "check url"
		case status.code >= 300 && status.code < 400:
			e.Hint = "redirects are not followed, as they would carry the token along; correct url"
		}
		return e
	}
	text, hint := s.files.explain(err)
	if text != "" {
		e.Err = fmt.Errorf("%s: %w", text, err)
	}
	e.Hint = hint
	return e
}

// Expires returns when the certificate that is shown does.
func (s *posts) Expires() time.Time { return s.own.expires() }

// Files lists the files of certificates that are set.
func (s *posts) Files() []string { return s.files.set() }

// Reload reads the files again. The next request uses them; if one is wrong, all stay as they were.
func (s *posts) Reload() error {
	config, err := s.files.loadOptional(&s.own)
	if err != nil {
		return &engine.Error{Code: engine.CodeConfig, Op: s.op, Err: err}
	}
	before := s.client.Swap(&http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: newDialer().DialContext, TLSClientConfig: config, TLSHandshakeTimeout: connectTimeout,
			MaxIdleConnsPerHost: 1, IdleConnTimeout: maxIdle, DisableCompression: true, MaxResponseHeaderBytes: maxReply,
		},
	})
	if before != nil {
		before.CloseIdleConnections()
	}
	return nil
}
