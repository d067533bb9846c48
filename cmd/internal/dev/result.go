package dev

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"starling/cmd/internal/cases"
	"starling/cmd/internal/problem"
	"starling/engine"
)

// A Result is what a pull gives after a save.
type Result struct {
	At      time.Time `json:"at"`
	Script  string    `json:"script"`
	Version string    `json:"version,omitempty"`
	From    string    `json:"from"` // the recording, or "api"
	OK      bool      `json:"ok"`
	// Problem is why there is no result, or no whole one.
	Problem *problem.Problem `json:"problem,omitempty"`
	// Millis is from the save, as far as it was seen, to the result; Pull is of the pull alone.
	Millis float64 `json:"milliseconds"`
	Pull   float64 `json:"pull_milliseconds"`

	Requests []Request                  `json:"requests"`
	Stats    engine.PullStats           `json:"stats"`
	PerRow   float64                    `json:"microseconds_per_row"`
	Quotas   []Quota                    `json:"quotas"`
	Before   map[string]json.RawMessage `json:"before"`
	After    map[string]json.RawMessage `json:"after"`
	First    []Pair                     `json:"first"` // events, with the rows that they were made of
	Changes  Changes                    `json:"changes"`
	Warnings []string                   `json:"warnings"`

	events string // one to a line
}

// A Request is one that was made, or answered by the recording.
type Request struct {
	Method string  `json:"method"`
	URL    string  `json:"url"`
	Status int     `json:"status"` // 0: there was no answer
	Error  string  `json:"error,omitempty"`
	From   string  `json:"from"` // recording, api, or nowhere
	Millis float64 `json:"milliseconds"`
	Bytes  int     `json:"bytes"`
}

// A Quota is what a pull used of a rate that its script names.
type Quota struct {
	Name string `json:"name"`
	Used int64  `json:"used"`
	Of   int    `json:"of"`
	Per  string `json:"per"`
}

// A Pair is a row and the event that was made of it.
type Pair struct {
	Row   string `json:"row"` // empty if the script has made the event of something else
	Table string `json:"table"`
	Time  string `json:"time"`
	Event string `json:"event"`
}

func problemOf(err error) *problem.Problem {
	code := engine.CodeOf(err, engine.CodeScript)
	if e, ok := errors.AsType[*engine.ScriptError](err); ok {
		err = e
	}
	p := problem.One(err, code)
	return &p
}

// requestsOf lists what the exchanges of a tape were, or those of a replay.
func requestsOf(t *engine.Tape, asked []engine.Asked) []Request {
	list := []Request{}
	add := func(e *engine.Exchange, from string) {
		r := Request{Method: e.Method, URL: e.URL, Status: e.Status, From: from, Bytes: len(e.Data), Millis: float64(e.Done-e.Sent) / 1e6}
		if e.Fault != nil {
			r.Error = e.Fault.Text
		}
		list = append(list, r)
	}
	if asked == nil {
		for _, e := range t.Exchanges {
			add(e, "api")
		}
		return list
	}
	for _, a := range asked {
		if a.Exchange < 0 {
			list = append(list, Request{Method: a.Method, URL: a.URL, From: "nowhere", Error: "the recording has no answer to this request"})
			continue
		}
		add(t.Exchanges[a.Exchange], "recording")
	}
	return list
}

func eventLines(commits []engine.Committed) string {
	var b strings.Builder
	for _, c := range commits {
		for _, e := range c.Events {
			b.WriteString(cases.EventText(e) + "\n")
		}
	}
	return b.String()
}
