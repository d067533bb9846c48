package builtins

import (
	"encoding/json"
	"errors"
	"time"

	"starling/engine"
)

// givenSizes is a sweepSizes in a recording: what the process knew of the collector from earlier pulls.
type givenSizes struct {
	State  sweepState           `json:"state"`
	Lanes  map[string]givenLane `json:"lanes,omitempty"`
	Fresh  time.Time            `json:"fresh,omitzero"`
	Rescan [3]time.Time         `json:"rescan"` // begun, at, to
}

type givenLane struct {
	Failed  int           `json:"failed"`
	Until   time.Time     `json:"until,omitzero"`
	Failure string        `json:"failure,omitempty"`
	Code    engine.Code   `json:"code,omitempty"`
	Wait    time.Duration `json:"wait,omitempty"`
	Before  time.Duration `json:"before,omitempty"`
	Good    int           `json:"good,omitempty"`
	GapStep time.Duration `json:"gap_step,omitempty"`
}

// save returns what a pull finds in the process; nil when that was made for this pull.
func (z *sweepSizes) save(p *engine.Pull, made bool) json.RawMessage {
	if made {
		return nil
	}
	g := givenSizes{State: z.state, Lanes: map[string]givenLane{}, Fresh: p.Portable(z.fresh), Rescan: [3]time.Time{p.Portable(z.rescan.begun), z.rescan.at, z.rescan.to}}
	for name, l := range z.lanes {
		s := givenLane{Failed: l.failed, Until: p.Portable(l.until), Before: l.before, Good: l.good, GapStep: l.gapStep}
		if l.failure != nil {
			s.Failure, s.Code, s.Wait = l.failure.Error(), l.failure.Code, l.failure.Wait
		}
		g.Lanes[name] = s
	}
	data, err := json.Marshal(g)
	if err != nil {
		return nil
	}
	return data
}

func (z *sweepSizes) restore(data json.RawMessage) {
	var g givenSizes
	if json.Unmarshal(data, &g) != nil {
		return // a case that somebody has edited
	}
	z.state, z.fresh = g.State, g.Fresh
	z.rescan = rescanRound{begun: g.Rescan[0], at: g.Rescan[1], to: g.Rescan[2]}
	for name, s := range g.Lanes {
		l := z.lane(name)
		*l = laneState{failed: s.Failed, until: s.Until, before: s.Before, good: s.Good, gapStep: s.GapStep}
		if s.Code != "" {
			l.failure = &engine.Error{Code: s.Code, Wait: s.Wait, Err: errors.New(s.Failure)}
		}
	}
}
