package main

import (
	"time"

	"starling/cmd/internal/problem"
)

// The lines of demo --json.
type (
	demoReady struct {
		Kind   string `json:"kind"` // ready
		Config string `json:"config"`
		Script string `json:"script,omitempty"`
		Log    string `json:"log,omitempty"`
		Status string `json:"status,omitempty"`
	}
	demoProgress struct {
		Kind      string   `json:"kind"` // progress
		Seconds   float64  `json:"seconds"`
		Answers   int      `json:"answers"`
		Rows      int      `json:"rows"`
		Pulled    *int64   `json:"pulled,omitempty"` // unknown with --outside, as what follows
		Delivered int      `json:"delivered"`
		Rate      *float64 `json:"delivered_per_second,omitempty"`
		Lag       *float64 `json:"lag_seconds,omitempty"`
		Outbox    *int64   `json:"outbox_bytes,omitempty"`
		State     string   `json:"state,omitempty"`
		LastError string   `json:"last_error,omitempty"`
	}
	demoReload struct {
		Kind    string `json:"kind"` // reload
		OK      bool   `json:"ok"`   // if not, the old one goes on
		Of      string `json:"of"`
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
		Error   string `json:"error,omitempty"`
	}
	demoTimeUp struct {
		Kind string    `json:"kind"` // time_up
		At   time.Time `json:"at"`
	}
	demoEnd struct {
		Kind        string            `json:"kind"` // end
		OK          bool              `json:"ok"`
		Rows        int               `json:"rows"`
		Until       time.Time         `json:"until"`
		Requests    int               `json:"requests"`
		Pages       int               `json:"pages"`
		Throttled   int               `json:"throttled"`
		Faults      int               `json:"faults"`
		Events      int               `json:"events"`
		Connections int               `json:"connections"`
		Confirmed   int               `json:"confirmed"`
		Missing     int               `json:"missing"`
		Unknown     int               `json:"unknown"` // events that nobody sent
		Twice       int               `json:"twice"`
		Dir         string            `json:"dir"`
		Problems    []problem.Problem `json:"problems"`
	}
)
