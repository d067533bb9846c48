package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"starling/cmd/internal/dev"
)

// devInput is of the tool dev without --live: a recording answers.
type devInput struct {
	Recording string `json:"recording" jsonschema:"the case that answers in place of the API"`
	Script    string `json:"script,omitempty" jsonschema:"a file of a script to run in place of the one that the case names"`
	First     int    `json:"first,omitempty" jsonschema:"how many events to show beside their rows, 1 to 20; 2 by default"`
}

func (in devInput) args() []string {
	return slices.Concat([]string{"--recording=" + in.Recording}, firstFlag(in.First), files(optional(in.Script)))
}

// devLiveInput is of the tool dev with --live.
type devLiveInput struct {
	Recording string `json:"recording,omitempty" jsonschema:"a case that answers; without it the real API does"`
	Script    string `json:"script,omitempty" jsonschema:"a file of a script, or an enabled service of the configuration; of a case, by default the script that it names"`
	Config    string `json:"config,omitempty" jsonschema:"the configuration file"`
	Fresh     bool   `json:"fresh,omitempty" jsonschema:"start without state, as a service that was never pulled"`
	First     int    `json:"first,omitempty" jsonschema:"how many events to show beside their rows, 1 to 20; 2 by default"`
}

func (in devLiveInput) args() []string {
	return slices.Concat(flags("recording", in.Recording), flags("config", in.Config), boolean("fresh", in.Fresh), firstFlag(in.First), files(optional(in.Script)))
}

func firstFlag(first int) []string {
	if first == 0 {
		first = 2
	}
	return flags("first", fmt.Sprint(max(1, min(first, 20))))
}

func optional(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

// A devMemory has what dev gave last, so that each call of the tool says what changed since the one before. A nil one
// remembers nothing.
type devMemory struct {
	mu   sync.Mutex
	last map[string]*dev.Session // by what was asked
}

// mostDevs is how many are remembered.
const mostDevs = 16

func devKey(what string, f devFlags) string {
	return strings.Join([]string{what, f.recording, f.config, f.dir, fmt.Sprint(f.fresh)}, "\x00")
}

func (m *devMemory) recall(s *dev.Session, what string, f devFlags) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if before := m.last[devKey(what, f)]; before != nil {
		s.Follow(before)
	}
}

func (m *devMemory) remember(s *dev.Session, what string, f devFlags) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last == nil || len(m.last) >= mostDevs {
		m.last = map[string]*dev.Session{}
	}
	m.last[devKey(what, f)] = s
}

// What an assistant is told of one pull at most.
const (
	mostDevRequests = 100
	mostDevFields   = 100
	mostDevText     = 4 << 10
	mostDevDiff     = 64 << 10
)

// bound cuts a result to what an assistant's context takes. Secrets are taken out by redact first, or a part of one would be left where a
// text is cut.
func (m *devMemory) bound(r *dev.Result, redact func(string) string) {
	if m == nil {
		return
	}
	cut := func(text string, most int) string { return clippedTo(redact(text), most) }
	r.Requests = r.Requests[:min(len(r.Requests), mostDevRequests)]
	for i := range r.Requests {
		r.Requests[i].URL = cut(r.Requests[i].URL, mostDevText/4)
	}
	for i, e := range r.First {
		r.First[i].Row, r.First[i].Event = cut(e.Row, mostDevText), cut(e.Event, mostDevText)
	}
	r.Changes.Fields = r.Changes.Fields[:min(len(r.Changes.Fields), mostDevFields)]
	for i, f := range r.Changes.Fields {
		r.Changes.Fields[i].Was, r.Changes.Fields[i].Is = cut(f.Was, mostDevText/8), cut(f.Is, mostDevText/8)
	}
	r.Changes.Diff = cut(r.Changes.Diff, mostDevDiff)
}
