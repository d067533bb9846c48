package engine

import (
	"encoding/json"
	"fmt"
	"time"
)

// Status is what the engine is doing, for people and for probes.
type Status struct {
	Name       string            `json:"name"`
	Started    time.Time         `json:"started"`
	Config     FileStatus        `json:"config"`
	Collectors []CollectorStatus `json:"collectors"`
	Sinks      []SinkStatus      `json:"sinks"`
	Outbox     OutboxStatus      `json:"outbox"`
	Aside      []AsideFile       `json:"aside,omitempty"` // files of events that were set aside
	Reloads    []ReloadStatus    `json:"reloads"`         // the latest of each subject
	Quotas     []QuotaStatus     `json:"quotas"`          // those with names, once they are used
	Disk       *DiskStatus       `json:"disk,omitempty"`  // of the state directory; absent if it is not watched
}

// FileStatus says which configuration is in use.
type FileStatus struct {
	File   string    `json:"file"`
	Loaded time.Time `json:"loaded"`
}

// CollectorStatus is the state of one collector.
type CollectorStatus struct {
	Collector   string                     `json:"collector"`
	Script      string                     `json:"script"`
	Version     string                     `json:"version"` // of the script, as the latest pull runs it
	State       string                     `json:"state"`   // starting, pulling, waiting, failing, stopped
	Pulls       int64                      `json:"pulls"`
	Events      int64                      `json:"events"`    // committed since the start
	Cut         int64                      `json:"cut"`       // of them, shortened
	SetAside    int64                      `json:"set_aside"` // not among them: too large, and kept in a file
	LastPull    *time.Time                 `json:"last_pull,omitempty"`
	LastSuccess *time.Time                 `json:"last_success,omitempty"`
	NextPull    *time.Time                 `json:"next_pull,omitempty"`
	Failures    int                        `json:"failures"` // in a row
	LastError   string                     `json:"last_error,omitempty"`
	Last        PullStats                  `json:"last"`
	Cursors     map[string]json.RawMessage `json:"cursors,omitempty"`
	LagSeconds  *float64                   `json:"lag_seconds,omitempty"` // from the end of the last committed window to now
	Backfill    *Backfill                  `json:"backfill,omitempty"`    // the last one that was asked for, and how far it is
	// ClockSkewSeconds is how far the API's clock is ahead of this machine's, negative if it is behind;
	// absent when it is not worth a thought.
	ClockSkewSeconds float64 `json:"clock_skew_seconds,omitempty"`

	CertificateEnds *time.Time `json:"certificate_ends,omitempty"` // of the certificate that it signs in with
}

// SinkStatus is the state of one output.
type SinkStatus struct {
	Sink      string        `json:"sink"`
	Type      string        `json:"type"`
	State     string        `json:"state"`  // ok, retrying
	Events    int64         `json:"events"` // acknowledged since the start
	Bytes     int64         `json:"bytes"`
	Seconds   float64       `json:"seconds"`   // spent on sending and waiting for acknowledgements
	Refused   int64         `json:"refused"`   // events that were refused for good
	Cut       int64         `json:"cut"`       // of them, shortened and acknowledged
	SetAside  int64         `json:"set_aside"` // of them, kept in a file
	Dropped   Dropped       `json:"dropped"`   // since the state began: forgotten because the outbox was full
	LastAck   *time.Time    `json:"last_ack,omitempty"`
	Failures  int           `json:"failures"` // in a row
	LastError string        `json:"last_error,omitempty"`
	Backlog   BacklogStatus `json:"backlog"`

	CertificateEnds  *time.Time `json:"certificate_ends,omitempty"`  // of its own certificate
	CertificateState string     `json:"certificate_state,omitempty"` // ok, expires_soon, expired
}

// BacklogStatus is what waits for delivery.
type BacklogStatus struct {
	Chunks     int64   `json:"chunks"`
	Events     int64   `json:"events"`
	Bytes      int64   `json:"bytes"` // compressed
	AgeSeconds float64 `json:"age_seconds"`
}

// OutboxStatus is what waits for the slowest output.
type OutboxStatus struct {
	BacklogStatus
	// Share is how much of its bounds is used, of that in bytes or that in age, whichever is nearer.
	Share float64 `json:"share"`
	State string  `json:"state"` // ok, alarm, full
}

// ReloadStatus is the outcome of the latest reload of a script, the configuration or an output's files.
type ReloadStatus struct {
	Kind    string    `json:"kind"` // script, config, certificate
	Name    string    `json:"name"`
	When    time.Time `json:"when"`
	Version string    `json:"version,omitempty"`
	Error   string    `json:"error,omitempty"` // why the old one stays in use
}

// WindowCursor is the cursor that checkpoint.windows keeps: the end of the last committed window,
// RFC 3339. The status reads the lag from it.
const WindowCursor = "window"

func backlogStatus(b Backlog, now time.Time) BacklogStatus {
	s := BacklogStatus{Chunks: b.Chunks, Events: b.Events, Bytes: b.Bytes}
	if !b.Oldest.IsZero() {
		s.AgeSeconds = now.Sub(b.Oldest).Seconds()
	}
	return s
}

// Status returns a snapshot.
func (e *Engine) Status() Status {
	now := time.Now().UTC()
	e.mu.Lock()
	defer e.mu.Unlock()
	s := Status{Name: e.config.Name, Started: e.started, Config: FileStatus{e.config.File, e.loaded},
		Collectors: []CollectorStatus{}, Sinks: []SinkStatus{}, Reloads: e.reloads.list(), Outbox: e.env.outbox(now),
		Quotas: e.env.Store.Quotas(now), Disk: e.env.Store.Disk()}
	cursors, _ := e.env.Store.Cursors()
	s.Aside, _ = e.env.Store.Aside()
	for _, key := range sortedKeys(e.collectors) {
		c := e.collectors[key]
		c.mu.Lock()
		cs := c.status
		c.mu.Unlock()
		cs.Cursors = cursors[key]
		cs.LagSeconds = lag(cs.Cursors, now)
		cs.Backfill = backfillOf(cs.Cursors)
		cs.ClockSkewSeconds = c.env.Shared.apiClock(key).Skew().Seconds()
		if ends := c.script.Load().ends.UTC(); !ends.IsZero() {
			cs.CertificateEnds = &ends
		}
		s.Collectors = append(s.Collectors, cs)
	}
	for _, name := range sortedKeys(e.deliveries) {
		d := e.deliveries[name]
		ss := d.snapshot()
		ss.Backlog = backlogStatus(e.env.Store.Backlog(name), now)
		ss.CertificateEnds = certificateEnds(d.sink)
		ss.CertificateState = certificateState(ss.CertificateEnds, now)
		ss.Dropped = e.env.Store.Dropped(name)
		s.Sinks = append(s.Sinks, ss)
	}
	return s
}

func certificateEnds(sink Sink) *time.Time {
	if x, ok := sink.(Expirer); ok {
		if ends := x.Expires().UTC(); !ends.IsZero() {
			return &ends
		}
	}
	return nil
}

// certificateState returns "" if there is no certificate.
func certificateState(ends *time.Time, now time.Time) string {
	switch {
	case ends == nil:
		return ""
	case !now.Before(*ends):
		return "expired"
	case ends.Sub(now) <= CertificateWarning:
		return "expires_soon"
	}
	return "ok"
}

func lag(cursors map[string]json.RawMessage, now time.Time) *float64 {
	var end time.Time
	if json.Unmarshal(cursors[WindowCursor], &end) != nil || end.IsZero() {
		return nil
	}
	seconds := now.Sub(end).Seconds()
	return &seconds
}

// Ready returns nil when every collector has a script that works and pulls, and every output has
// acknowledged or has nothing to do; otherwise what is wrong. An outbox that fills is not: what fills it is.
func (s Status) Ready() []string {
	problems := []string{}
	for _, c := range s.Collectors {
		if c.State == "failing" {
			problems = append(problems, "collector "+c.Collector+": "+c.LastError)
		}
	}
	for _, k := range s.Sinks {
		if k.State != "ok" {
			problems = append(problems, k.LastError) // it names the output
		}
	}
	if s.Disk != nil && s.Disk.Low {
		problems = append(problems, fmt.Sprintf("the disk of the state directory is nearly full (%d bytes are free, the reserve is %d): pulls wait", s.Disk.FreeBytes, s.Disk.ReserveBytes))
	}
	for _, r := range s.Reloads {
		if r.Error != "" {
			problems = append(problems, r.Kind+" "+r.Name+": "+r.Error)
		}
	}
	return problems
}
