package cases

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"

	"starling/engine"
)

// format is the version of the form of cases.
const format = 1

// header is the file case.json of a case.
type header struct {
	Format    int                   `json:"format"`
	Script    string                `json:"script"`
	Version   string                `json:"version"`
	Collector string                `json:"collector"`
	Started   time.Time             `json:"started"`
	Time      string                `json:"time,omitempty"` // that the pull could take
	Seed      string                `json:"seed"`
	Whole     bool                  `json:"whole"`
	Commits   []string              `json:"commits,omitempty"`
	Handover  int                   `json:"handover,omitempty"`
	End       *engine.TapeEnd       `json:"end,omitempty"`
	Settings  map[string]any        `json:"settings"`
	Secret    []string              `json:"secret,omitempty"`
	Identity  string                `json:"identity,omitempty"`
	Limits    map[string]any        `json:"limits"`
	Requests  []engine.RequestLimit `json:"requests_limits,omitempty"`
	Network   engine.NetworkRules   `json:"network"`
	Tokens    []engine.GivenToken   `json:"tokens,omitempty"`
	Left      []engine.LeftLane     `json:"left,omitempty"`
	Notes     []string              `json:"notes,omitempty"`
}

// Bytes is the case as a file.
func (c *Case) Bytes() []byte {
	t := c.Tape
	a := &txtar.Archive{Comment: []byte(c.comment())}
	add := func(name, text string) {
		if text != "" {
			a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(text)})
		}
	}
	add("case.json", indented(c.header()))
	add("before/cursors", cursorsText(t.Before.Cursors))
	add("before/keys", keysText(t.Before.Keys))
	if len(t.Before.Marks)+len(t.Before.Hours) > 0 {
		add("before/ledger.json", indented(ledger{t.Before.Marks, t.Before.Hours}))
	}
	add("before/known", cursorsText(t.Given))
	for i, e := range t.Exchanges {
		name := fmt.Sprintf("%03d/", i+1)
		body, how := encode(e.Body)
		add(name+"request", requestText(e, how))
		add(name+"request.body", body)
		body, how = encode(e.Data)
		add(name+"answer", answerText(e, how))
		add(name+"answer.body", body)
	}
	for i, text := range c.Result.Commits {
		add(fmt.Sprintf("commit/%d", i+1), text)
	}
	add("after/cursors", c.Result.After)
	add("outcome.json", c.Result.Outcome)
	return txtar.Format(a)
}

func (c *Case) comment() string {
	t := c.Tape
	var b strings.Builder
	fmt.Fprintf(&b, "A pull of %s by %s, recorded at %s: %s.\nSecrets are masked. Play it with: starling replay\n",
		t.Collector, t.Script, t.Started.Format(time.RFC3339), plural(len(t.Exchanges), "request"))
	for _, n := range c.Notes {
		fmt.Fprintf(&b, "Note: %s.\n", n)
	}
	return b.String()
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func (c *Case) header() header {
	t := c.Tape
	h := header{Format: format, Script: t.Script, Version: t.Version, Collector: t.Collector, Started: t.Started, Seed: fmt.Sprint(t.Seed), Whole: !t.Cut,
		Handover: t.Handover, End: t.End, Settings: t.Settings, Secret: t.Secret, Identity: t.Identity, Limits: limitsOf(t.Limits), Requests: t.Requests,
		Network: t.Network, Tokens: t.Tokens, Left: t.Left, Notes: c.Notes}
	if t.Time > 0 {
		h.Time = t.Time.String()
	}
	for _, at := range t.Commits {
		h.Commits = append(h.Commits, at.String())
	}
	return h
}

// limitsOf are the limits that a pull can meet.
func limitsOf(l engine.Limits) map[string]any {
	return map[string]any{"steps": l.Steps, "load_steps": l.LoadSteps, "response_bytes": l.ResponseBytes, "event_bytes": l.EventBytes, "oversized": l.Oversized,
		"staged_bytes": l.StagedBytes, "http_timeout": l.HTTPTimeout.String(), "log_lines_per_pull": l.LogLinesPerPull}
}

type ledger struct {
	Marks []engine.Mark
	Hours []engine.HourCount
}

func keysText(keys []engine.HourKey) string {
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, "%d %s\n", k.Bucket, hex.EncodeToString(k.Key[:]))
	}
	return b.String()
}

func requestText(e *engine.Exchange, body string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n@lane %d\n@sent %s\n", e.Method, e.URL, e.Lane, e.Sent)
	if len(e.Queued) > 0 {
		fmt.Fprintf(&b, "@queued %s\n", oneLine(e.Queued))
	}
	if body != "" {
		fmt.Fprintf(&b, "@body %s\n", body)
	}
	writeHeader(&b, e.Header)
	return b.String()
}

func answerText(e *engine.Exchange, body string) string {
	var b strings.Builder
	status := "no answer"
	if e.Status != 0 {
		status = strings.TrimSpace(fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status)))
	}
	fmt.Fprintf(&b, "%s\n@headed %s\n@done %s\n", status, e.Headed, e.Done)
	if e.Set != 0 {
		fmt.Fprintf(&b, "@set %s\n", e.Set)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, "@length %d\n", e.Length)
	}
	if e.Paused != 0 {
		fmt.Fprintf(&b, "@paused %s\n", e.Paused)
	}
	if e.Fault != nil {
		fmt.Fprintf(&b, "@fault %s\n", oneLine(e.Fault))
	}
	if body != "" {
		fmt.Fprintf(&b, "@body %s\n", body)
	}
	writeHeader(&b, e.Answer)
	return b.String()
}

func oneLine(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// How a body stands in an archive, whose files end with a line and have no line that looks like the name of one.
const (
	asText   = "text"
	asLine   = "line" // it has no end of line at its end
	asBase64 = "base64"
)

// encode returns a body as it stands in an archive, and how.
func encode(body []byte) (text, how string) {
	switch {
	case len(body) == 0:
		return "", ""
	case !utf8.Valid(body) || txtar.NeedsQuote(append(bytes.Clone(body), '\n')) || bytes.Contains(body, []byte("\r\n")):
		var b strings.Builder
		for rest := base64.StdEncoding.EncodeToString(body); rest != ""; {
			n := min(100, len(rest))
			b.WriteString(rest[:n] + "\n")
			rest = rest[n:]
		}
		return b.String(), asBase64
	case bytes.HasSuffix(body, []byte("\n")):
		return string(body), asText
	}
	return string(body) + "\n", asLine
}

func decode(text, how string) ([]byte, error) {
	switch how {
	case "":
		return nil, nil
	case asText:
		return []byte(text), nil
	case asLine:
		return []byte(strings.TrimSuffix(text, "\n")), nil
	case asBase64:
		return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	}
	return nil, fmt.Errorf("@body %s: want text, line or base64", how)
}
