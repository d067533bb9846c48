package engine

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
)

type playTransport struct{ lane *lane }

func (t playTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	l := t.lane
	body, err := bodyOf(r)
	if err != nil {
		return nil, err
	}
	if l.ended {
		return nil, recordedCause(l.End.Cause)
	}
	e, i := l.find(r.Method, r.URL.String(), body)
	header := r.Header.Clone()
	header.Del("User-Agent")
	if e == nil && l.Cut {
		return nil, &Error{Code: CodeUpstream, Err: errRecordedOut}
	}
	l.asked = append(l.asked, Asked{Lane: l.number, Method: r.Method, URL: r.URL.String(), Header: header, Body: body, Exchange: i})
	if e == nil {
		return nil, &Error{Code: CodeUpstream, Err: errNotRecorded}
	}
	e.taken, l.last = true, e
	if l.rewrite {
		e.URL, e.Header, e.Body = r.URL.String(), header, body
	}
	l.set = e.Set
	l.moveTo(max(e.Sent, e.Headed))
	if e.Status == 0 {
		return nil, l.fail(e.Fault)
	}
	resp := &http.Response{StatusCode: e.Status, Status: http.StatusText(e.Status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: e.Answer.Clone(), ContentLength: e.Length, Request: r}
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	resp.Body = &playedBody{Reader: bytes.NewReader(e.Data), lane: l, exchange: e}
	return resp, nil
}

// match returns the next exchange of a lane that is like what is asked for, or else that of any lane.
func (d *deck) match(lane int, exact bool, like func(*Exchange) bool) (*Exchange, int) {
	for _, same := range []bool{true, false} {
		for i, e := range d.Exchanges {
			if !e.taken && (e.Lane == lane) == same && like(e) {
				return e, i
			}
		}
		if d.rewrite || exact {
			break
		}
	}
	return nil, -1
}

// find returns the exchange that a request is answered by. While what is asked replaces what is on the tape, it is the next
// one of the lane, if it goes to the same host.
func (l *lane) find(method, url string, body []byte) (*Exchange, int) {
	if l.rewrite {
		for i, e := range l.Exchanges {
			if !e.taken && e.Lane == l.number {
				if e.Fault.unsent() || e.Method != method || hostIn(e.URL) != hostIn(url) {
					return nil, -1
				}
				return e, i
			}
		}
		return nil, -1
	}
	return l.match(l.number, l.leftLane() >= 0, func(e *Exchange) bool {
		return !e.Fault.unsent() && e.Method == method && e.URL == url && bytes.Equal(e.Body, body)
	})
}

func hostIn(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}

func (f *Fault) unsent() bool { return f != nil && f.Unsent }

// fail does what the error of the network did.
func (l *lane) fail(f *Fault) error {
	switch {
	case f.Ended:
		if l.number == 0 && l.End != nil {
			l.stop()
		}
		return &Error{Code: CodeUpstream, Err: recordedCause(f.Text)} // beside the script: it is told when it waits for it
	case f.Left:
		return &Error{Code: CodeUpstream, Err: errLeftThere}
	case f.Late:
		l.late(errors.New(f.Text))
	case f.Certificate:
		return &tls.CertificateVerificationError{Err: errors.New(strings.TrimPrefix(f.Text, "tls: failed to verify certificate: "))}
	case f.Code != "":
		return &Error{Code: f.Code, Wait: f.Wait, Hint: f.Hint, Err: errors.New(f.Text)}
	}
	return errors.New(f.Text)
}

type playedBody struct {
	*bytes.Reader
	lane     *lane
	exchange *Exchange
}

func (b *playedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		b.lane.moveTo(b.exchange.Done)
		if f := b.exchange.Fault; f != nil {
			err = b.lane.fail(f)
		}
	}
	return n, err
}

func (b *playedBody) Close() error {
	b.lane.moveTo(b.exchange.Done)
	return nil
}
