package engine

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// canned answers requests from a list, and remembers them.
type canned struct {
	answers  []*cannedAnswer
	requests []starlark.Value
}

type cannedAnswer struct {
	method, part, body string
	status, times      int
	header             http.Header
}

func (c *canned) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body.Close()
	}
	headers := starlark.NewDict(len(r.Header))
	for _, name := range sortedKeys(r.Header) {
		headers.SetKey(starlark.String(name), starlark.String(r.Header.Get(name)))
	}
	c.requests = append(c.requests, starlarkstruct.FromStringDict(starlark.String("request"), starlark.StringDict{
		"method": starlark.String(r.Method), "url": starlark.String(r.URL.String()), "headers": headers, "body": starlark.String(body)}))
	for _, a := range c.answers {
		if a.times != 0 && a.method == r.Method && strings.Contains(r.URL.String(), a.part) {
			a.times--
			return &http.Response{StatusCode: a.status, Status: strconv.Itoa(a.status) + " " + http.StatusText(a.status), Proto: "HTTP/1.1",
				ProtoMajor: 1, ProtoMinor: 1, Header: a.header.Clone(), Body: io.NopCloser(strings.NewReader(a.body)), ContentLength: int64(len(a.body)), Request: r}, nil
		}
	}
	return nil, fmt.Errorf("the test has no answer for %s %s: add one with t.http", r.Method, r.URL)
}

// unused is an error when answers with a number of times were left.
func (c *canned) unused() error {
	for _, a := range c.answers {
		if a.times > 0 {
			return fmt.Errorf("the answer for %s …%s… was not asked for (%d times left)", a.method, a.part, a.times)
		}
	}
	return nil
}
