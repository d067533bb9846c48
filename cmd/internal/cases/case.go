package cases

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"starling/engine"
)

// Extension is how names of cases end.
const Extension = ".case"

// A Case is a recording of a pull without secrets, and what it plays to.
type Case struct {
	Tape *engine.Tape
	// Notes say what is not as in the pull itself.
	Notes []string
	// Result is what it plays to.
	Result Result
}

// Options say how a case is made.
type Options struct {
	// Personal are names of fields and settings whose values are masked.
	Personal []string
	// Secrets are masked wherever they stand.
	Secrets []string
	// Library is where scripts come from, with the names that they can use.
	Library *engine.Library
}

// Make makes a case of a tape that was just recorded.
func Make(ctx context.Context, t *engine.Tape, o Options) (*Case, error) {
	m := newMasker(o.Personal)
	m.find(t, o.Secrets)
	secrets := len(m.masks)
	c := &Case{Tape: m.maskTape(t)}
	c.Tape.Sources = nil
	if t.Cut {
		c.note("it is not whole: the pull had more answers than starling.recordings.size allows, and the case ends where that was reached")
	}
	played, err := engine.Replay{Library: o.Library, Sources: t.Sources, Tape: c.Tape, Rewrite: true}.Run(ctx)
	if err != nil {
		return nil, fmt.Errorf("play the recording: %w", err)
	}
	c.Tape.Before.Keys = played.Keys
	c.Result = resultOf(c.Tape, played)
	c.compare(t, played, len(m.masks) > secrets)
	if !t.Cut && !bytes.Equal(t.Sum, played.Sum) {
		c.explain(ctx, t, o)
	}
	c.keepAsked(played)
	return c, nil
}

// keepAsked leaves only those exchanges that the masked pull makes.
func (c *Case) keepAsked(played *engine.Replayed) {
	var asked []*engine.Exchange
	for i, e := range c.Tape.Exchanges {
		if !slices.Contains(played.Unasked, i) {
			asked = append(asked, e)
		}
	}
	for _, a := range played.Asked {
		if a.Exchange < 0 {
			asked = append(asked, &engine.Exchange{Lane: a.Lane, Method: a.Method, URL: a.URL, Header: a.Header, Body: a.Body,
				Fault: &engine.Fault{Text: "the recording has no answer to this request", Code: engine.CodeUpstream}})
		}
	}
	c.Tape.Exchanges = asked
}

func (c *Case) note(format string, args ...any) {
	c.Notes = append(c.Notes, fmt.Sprintf(format, args...))
}

// compare notes where the masked pull is another one than the recorded.
func (c *Case) compare(t *engine.Tape, played *engine.Replayed, personal bool) {
	if t.Cut {
		return
	}
	was, is := counted(t.Stats), counted(played.Stats)
	why := "this is a part of the world that recordings do not hold"
	if personal {
		why = "masked values have led the script another way"
	}
	if personal {
		was.Bytes, is.Bytes = 0, 0
	}
	if was != is {
		c.note("the pull itself counted otherwise: %s; %s", was, why)
	}
	if a, b := outcome(t.Err), outcome(played.Err); a.Code != b.Code {
		c.note("the pull itself ended otherwise (%s: %s); %s", cmp.Or(string(a.Code), "ok"), c.Tape.Err, why)
	}
}

// explain says why the events of the masked pull are others: only masks may make them so.
func (c *Case) explain(ctx context.Context, t *engine.Tape, o Options) {
	raw := *t
	raw.Exchanges = nil
	for _, e := range t.Exchanges {
		same := *e
		raw.Exchanges = append(raw.Exchanges, &same)
	}
	played, err := engine.Replay{Library: o.Library, Sources: t.Sources, Tape: &raw, Rewrite: true}.Run(ctx)
	switch {
	case err != nil:
		c.note("it is not known whether its events are those of the pull: %v", err)
	case bytes.Equal(t.Sum, played.Sum):
		c.note("the events have masks where those of the pull have secrets or personal values")
	default:
		c.note("the events are not those of the pull, and masks are not the reason: a part of its world is not recorded")
	}
}

// counts are what a pull counts, without what depends on the machine.
type counts struct {
	Requests int64 `json:"requests"`
	Retries  int64 `json:"retries"`
	Pages    int64 `json:"pages"`
	Rows     int64 `json:"rows"`
	Events   int64 `json:"events"`
	Skipped  int64 `json:"skipped"`
	LeftOut  int64 `json:"left_out"`
	Cut      int64 `json:"cut"`
	SetAside int64 `json:"set_aside"`
	Commits  int64 `json:"commits"`
	Bytes    int64 `json:"bytes"`
}

func counted(s engine.PullStats) counts {
	return counts{s.Requests, s.Retries, s.Pages, s.Rows, s.Events, s.Skipped, s.LeftOut, s.Cut, s.SetAside, s.Commits, s.Bytes}
}

func (c counts) String() string {
	return fmt.Sprintf("requests %d, retries %d, pages %d, rows %d, events %d, skipped %d, left out %d, cut %d, set aside %d, commits %d, bytes %d",
		c.Requests, c.Retries, c.Pages, c.Rows, c.Events, c.Skipped, c.LeftOut, c.Cut, c.SetAside, c.Commits, c.Bytes)
}

// An Outcome is how a pull ended; the zero Outcome is well.
type Outcome struct {
	Code  engine.Code `json:"code,omitempty"`
	Error string      `json:"error,omitempty"`
}

func outcome(err error) Outcome {
	if err == nil {
		return Outcome{}
	}
	return Outcome{engine.CodeOf(err, engine.CodeScript), withoutPlace(err)}
}

// withoutPlace is what an error says without the places in the script, which any edit moves.
func withoutPlace(err error) string {
	if e, ok := errors.AsType[*engine.ScriptError](err); ok {
		return e.Msg
	}
	return strings.TrimSpace(err.Error())
}
