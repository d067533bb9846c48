package main

import (
	"time"

	"starling/builtins"
	"starling/engine"
)

// cancelled is what backfill --cancel prints.
type cancelled struct {
	Collector string           `json:"collector"`
	Cancelled bool             `json:"cancelled"`
	Backfill  *engine.Backfill `json:"backfill"`
}

// backfillAnswer is what backfill prints.
type backfillAnswer struct {
	Collector string           `json:"collector"`
	From      time.Time        `json:"from"`
	To        time.Time        `json:"to"`
	Again     bool             `json:"again"`
	DryRun    bool             `json:"dry_run"`
	Begun     bool             `json:"begun"`            // not if there is nothing to do
	Before    *engine.Backfill `json:"before,omitempty"` // one that goes on and comes first
	Ranges    int              `json:"ranges"`
	Seconds   float64          `json:"seconds"` // that they are long
	TooOld    float64          `json:"too_old_seconds"`
	Windows   int              `json:"windows"`
	Requests  int64            `json:"requests"`
	Guessed   bool             `json:"guessed"`        // nothing is known of the rows: there are at least so many requests
	Rows      *int64           `json:"rows,omitempty"` // about
	Quota     *quotaAnswer     `json:"quota,omitempty"`
	Unknown   string           `json:"quota_unknown,omitempty"` // why there is none
}

type quotaAnswer struct {
	Requests int     `json:"requests"` // that it may use
	Of       int     `json:"of"`
	Per      float64 `json:"per_seconds"`
	Takes    float64 `json:"takes_seconds"`
}

func newBackfillAnswer(key string, b engine.Backfill, p builtins.BackfillPlan, s quotaShare, before *engine.Backfill, dry bool) backfillAnswer {
	a := backfillAnswer{Collector: key, From: b.From, To: b.To, Again: b.Again, DryRun: dry, Begun: !dry && p.Windows > 0, Before: before,
		Ranges: p.Ranges, Seconds: p.Length.Seconds(), TooOld: p.TooOld.Seconds(), Windows: p.Windows, Requests: p.Requests, Guessed: p.Guessed, Unknown: s.unknown}
	if !p.Guessed {
		a.Rows = &p.Rows
	}
	if s.unknown == "" {
		a.Quota = &quotaAnswer{s.may, s.rate.N, s.rate.Per.Seconds(), s.takes.Seconds()}
	}
	return a
}
