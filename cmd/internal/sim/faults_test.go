package sim

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFaultsAsTheClientSeesThem(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fault  Fault
		status int
		err    error // from reading the body
		body   func(string) bool
	}{
		{ServerError, 500, nil, func(s string) bool { return strings.HasPrefix(s, `{"odata.error"`) }},
		{Unavailable, 503, nil, func(s string) bool { return strings.HasPrefix(s, `{"odata.error"`) }},
		{Reset, 200, syscall.ECONNRESET, nil},
		{Truncated, 200, io.ErrUnexpectedEOF, nil},
		{Cut, 200, nil, func(s string) bool { return strings.HasPrefix(s, `{"odata.metadata"`) && !json.Valid([]byte(s)) }},
		{WebPage, 200, nil, func(s string) bool { return strings.HasPrefix(s, "<!DOCTYPE html>") }},
	} {
		t.Run(string(test.fault), func(t *testing.T) {
			t.Parallel()
			c := newClient(t, Options{Rows: hour(), Faults: Faults{Every: 2, Kinds: []Fault{test.fault}}})
			for range 3 {
				if response, body := c.get(c.report("")); response.StatusCode != 200 || !json.Valid(body) {
					t.Errorf("between faults: got %d %.100s", response.StatusCode, body)
				}
				response, err := c.do(c.report(""))
				if err != nil {
					if errors.Is(err, test.err) { // the reset overtook the header
						continue
					}
					t.Fatal(err)
				}
				body, err := io.ReadAll(response.Body)
				response.Body.Close()
				if response.StatusCode != test.status || !errors.Is(err, test.err) {
					t.Errorf("got %d and %v after %d bytes, want %d and %v", response.StatusCode, err, len(body), test.status, test.err)
				}
				if test.body != nil && !test.body(string(body)) {
					t.Errorf("got %.200s", body)
				}
			}
			if got := c.sim.Counters(); got.Faults != 3 || got.Pages != 3 {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestFaultsComeInTurnAndByShare(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: hour(), Faults: Faults{Every: 1, Kinds: []Fault{ServerError, Unavailable}}})
	for _, want := range []int{500, 503, 500} {
		if response, _ := c.get(c.report("")); response.StatusCode != want {
			t.Errorf("got %d, want %d", response.StatusCode, want)
		}
	}
	c.sim.Change(func(o *Options) { o.Faults = Faults{Share: 0.3, Kinds: []Fault{ServerError}} })
	before := c.sim.Counters().Faults
	for range 200 {
		c.get(c.report("$top=1"))
	}
	if n := c.sim.Counters().Faults - before; n < 35 || n > 85 {
		t.Errorf("got %d faults of 200, want about 60", n)
	}
}

func TestErrorBodies(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: hour(), Faults: Faults{Every: 1, Kinds: []Fault{Unavailable}}})
	for shape, want := range map[string]string{
		"":      `{"odata.error":{"code":"","message":{"lang":"en-US","value":"Service Unavailable"}}}`,
		"html":  "<html><head><title>Service Unavailable</title></head><body><h1>Service Unavailable</h1></body></html>",
		"empty": "",
	} {
		c.sim.Change(func(o *Options) { o.ErrorBody = shape })
		if _, body := c.get(c.report("")); string(body) != want {
			t.Errorf("%q: got %s", shape, body)
		}
	}
}

func TestTokenFaults(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{})
	c.sim.Change(func(o *Options) { o.TokenFaults = Faults{Every: 1, Kinds: []Fault{ServerError, Cut, WebPage}} })
	for _, want := range []int{500, 200, 200} {
		if status, body := c.post(v1, nil); status != want || want == 200 && json.Valid(body) {
			t.Errorf("got %d %.100s, want %d and no token", status, body, want)
		}
	}
}

func TestLatency(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: hour(), Latency: 50 * time.Millisecond})
	start := time.Now()
	c.get(c.report("$top=1"))
	if took := time.Since(start); took < 50*time.Millisecond {
		t.Errorf("answered after %s", took)
	}
}
