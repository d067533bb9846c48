package certify

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"starling/engine"
)

// Canned pulls once with answers as tests have them, each used once and the last one that fits again and
// again, and returns what was exchanged.
func Canned(ctx context.Context, script Script, answers []Answer, now time.Time) ([]Exchange, error) {
	store, err := engine.OpenStore("", script.Limits.OutboxBytes)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	c := &canned{answers: answers, used: make([]bool, len(answers))}
	trial, err := script.Library.Trial(script.Sources, engine.TrialSetup{Name: "canned", Script: script.Name, Settings: script.Settings, Transport: c, Now: now, Limits: script.Limits, Store: store})
	if err != nil {
		return nil, err
	}
	tried, err := trial.Pull(ctx)
	if err != nil {
		return nil, err
	}
	if tried.Err != nil {
		return nil, fmt.Errorf("the pull with the answers of certify(t) fails: %w", tried.Err)
	}
	return c.made, nil
}

type canned struct {
	answers []Answer
	used    []bool
	made    []Exchange
}

// RoundTrip implements http.RoundTripper.
func (c *canned) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body.Close()
	}
	found := -1
	for i, a := range c.answers {
		if a.Method == r.Method && strings.Contains(r.URL.String(), a.Part) {
			found = i
			if !c.used[i] {
				break
			}
		}
	}
	if found < 0 {
		return nil, fmt.Errorf("certify(t) has no answer for %s %s: add one with t.http", r.Method, r.URL)
	}
	c.used[found] = true
	a := c.answers[found]
	c.made = append(c.made, Exchange{r.Method, r.URL.String(), r.Header.Get("Content-Type"), body, a.Status, a.Header, []byte(a.Body)})
	return &http.Response{StatusCode: a.Status, Status: fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.Header.Clone(), Body: io.NopCloser(strings.NewReader(a.Body)), ContentLength: int64(len(a.Body)), Request: r}, nil
}
