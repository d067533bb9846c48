package cases

import (
	"context"
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"starling/engine"
)

// A Difference is something that a case does not play to any more.
type Difference struct {
	In   string `json:"in"`   // requests, commit N, checkpoint, outcome
	Says string `json:"says"` // in words
	Diff string `json:"diff"` // unified, from recorded to now
}

// A Checked is what came of playing a case.
type Checked struct {
	Version     string // of the script that ran
	Differences []Difference
	Played      *engine.Replayed
	Result      Result
}

// Check plays a case with the scripts of sources. Script is one to run in place of the case's, if it is not empty.
func Check(ctx context.Context, c *Case, l *engine.Library, sources *engine.Sources, script string) (*Checked, error) {
	played, err := engine.Replay{Library: l, Sources: sources, Tape: c.Tape, Script: script}.Run(ctx)
	if err != nil {
		return nil, err
	}
	checked := &Checked{Version: played.Version, Played: played, Result: resultOf(c.Tape, played)}
	checked.compare(c)
	return checked, nil
}

func (k *Checked) compare(c *Case) {
	was, is := c.Result, k.Result
	if was.Requests != is.Requests {
		k.differ("requests", was.Requests, is.Requests, k.requests(c))
	}
	for i := range max(len(was.Commits), len(is.Commits)) {
		a, b := at(was.Commits, i), at(is.Commits, i)
		if a != b {
			k.differ(fmt.Sprintf("commit %d", i+1), a, b, commitSays(a, b))
		}
	}
	if was.After != is.After {
		k.differ("checkpoint", was.After, is.After, "the pull leaves other cursors")
	}
	if was.Outcome != is.Outcome {
		k.differ("outcome", was.Outcome, is.Outcome, "the pull ends or counts otherwise")
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

func (k *Checked) differ(in, was, is, says string) {
	d := diff.Diff("recorded", []byte(was), "now", []byte(is))
	_, text, _ := strings.Cut(string(d), "\n") // the line that names the command
	k.Differences = append(k.Differences, Difference{In: in, Says: says, Diff: text})
}

// requests says which requests are others.
func (k *Checked) requests(c *Case) string {
	var says []string
	fresh := 0
	for _, a := range k.Played.Asked {
		if a.Exchange < 0 {
			fresh++
		}
	}
	if fresh > 0 {
		says = append(says, plural(fresh, "request")+" that the recording has no answer to")
	}
	if n := len(k.Played.Unasked); n > 0 {
		says = append(says, plural(n, "recorded request")+" not made any more")
	}
	if says == nil {
		return "the requests are others, or in another order"
	}
	return strings.Join(says, ", ")
}

func commitSays(was, is string) string {
	switch {
	case was == "":
		return "there is a commit more"
	case is == "":
		return "there is no such commit any more"
	}
	a, b := eventsIn(was), eventsIn(is)
	if len(a) != len(b) {
		return fmt.Sprintf("%s where there were %d", plural(len(b), "event"), len(a))
	}
	n := 0
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	if n > 0 {
		return fmt.Sprintf("%d of %s differ", n, plural(len(a), "event"))
	}
	return "it keeps something else"
}

func eventsIn(commit string) []string {
	var events []string
	for line := range strings.Lines(commit) {
		if !strings.HasPrefix(line, "@") {
			events = append(events, line)
		}
	}
	return events
}
