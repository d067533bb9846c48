package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"starling/cmd/internal/sim"
)

// The lines of simulate --json.
type (
	simulationReady struct {
		Kind     string    `json:"kind"` // ready
		URL      string    `json:"url"`
		Config   string    `json:"config"`
		TenantID string    `json:"tenant_id"`
		Seed     uint64    `json:"seed"`
		Rate     float64   `json:"rate"`
		From     time.Time `json:"from"`
	}
	exampleReady struct {
		Kind   string `json:"kind"` // ready
		URL    string `json:"url"`
		Curl   string `json:"curl"`
		Answer string `json:"answer"`
	}
	simulatedRequest struct {
		Kind   string    `json:"kind"` // request
		At     time.Time `json:"at"`
		Status int       `json:"status"` // 0: there was no answer
		Method string    `json:"method"`
		URL    string    `json:"url"`
		Rows   int       `json:"rows"`
		Fault  string    `json:"fault,omitempty"`
		Reason string    `json:"reason,omitempty"`
	}
	simulationEnd struct {
		Kind         string             `json:"kind"` // end
		OK           bool               `json:"ok"`
		Tokens       int                `json:"tokens"`
		TokensDenied int                `json:"tokens_denied"`
		Requests     int                `json:"requests"`
		Rows         int                `json:"rows"`
		Pages        int                `json:"pages"`
		Throttled    int                `json:"throttled"`
		Faults       int                `json:"faults"`
		BadRequests  int                `json:"bad_requests"`
		Unauthorized int                `json:"unauthorized"`
		Truth        string             `json:"truth"`
		Collected    *simulationChecked `json:"collected,omitempty"`
	}
	simulationChecked struct {
		File    string `json:"file"`
		Events  int    `json:"events"`
		Twice   int    `json:"twice"`
		Unknown int    `json:"unknown"`
		Rows    int    `json:"rows"`
		Missing int    `json:"missing"`
		Lacks   string `json:"missing_file"`
	}
)

// introduceSimulation says where everything is.
func (p *program) introduceSimulation(m *sim.Microsoft, base, config string) {
	o := m.Options()
	p.say(simulationReady{"ready", base, config, o.TenantID, o.Seed, o.Rows.PerSecond, o.Rows.From}, `A simulated Microsoft answers at %[1]s until Ctrl-C.

  Graph          %[1]s/v1.0/admin/exchange/tracing/messageTraces   (also beta)
  report         %[1]s/ecp/reportingwebservice/reporting.svc/MessageTrace
  sign-in        %[1]s/%[2]s/oauth2/v2.0/token   (also oauth2/token)
  credentials    in the configuration
  configuration  %[3]s
  mail           --seed %[4]d --rate %[5]g --from %[6]s

Try:  starling run --config %[3]s

`, base, o.TenantID, config, o.Seed, o.Rows.PerSecond, o.Rows.From.Format(time.RFC3339))
}

// longestQuery of a request that is shown; a link has more.
const longestQuery = 160

// showRequest prints a request and what became of it. Secrets are in bodies and headers, which are not shown.
func (p *program) showRequest(r *http.Request, note sim.Request) {
	address := r.URL.Path
	if query, err := url.QueryUnescape(r.URL.RawQuery); err == nil && query != "" {
		address += "?" + query
	}
	if runes := []rune(address); len(runes) > longestQuery {
		address = string(runes[:longestQuery]) + "…"
	}
	status := fmt.Sprint(note.Status)
	if note.Status == 0 {
		status = "-"
	}
	if p.asJSON {
		p.say(simulatedRequest{"request", note.At, note.Status, r.Method, address, note.Rows, string(note.Fault), note.Reason}, "")
		return
	}
	end := ""
	if note.Rows > 0 {
		end = fmt.Sprintf("  %d rows", note.Rows)
	}
	if note.Fault != "" {
		end += "  fault " + string(note.Fault)
	}
	if note.Reason != "" {
		end += "  " + note.Reason
	}
	fmt.Fprintf(p.stdout, "%s  %-3s  %s %q%s\n", note.At.Format("15:04:05"), status, r.Method, address, end)
}

// concludeSimulation writes the truth, says what was asked, and what of the truth was collected.
func (p *program) concludeSimulation(m *sim.Microsoft, dir string) error {
	o := m.Options()
	from, now := o.Rows.From, o.Now().Add(o.Skew)
	truth := filepath.Join(dir, "truth.jsonl")
	if err := writeTo(truth, func(w io.Writer) error { return m.WriteTruth(w, from, now, now) }); err != nil {
		return &failure{exitOther, err}
	}
	c := m.Counters()
	end := simulationEnd{Kind: "end", OK: true, Tokens: c.Tokens, TokensDenied: c.TokenErrors, Requests: c.Requests, Rows: c.Rows, Pages: c.Pages,
		Throttled: c.Throttled, Faults: c.Faults, BadRequests: c.BadRequests, Unauthorized: c.Unauthorized, Truth: truth}
	if !p.asJSON {
		fmt.Fprintf(p.stdout, `
It gave %d tokens and refused %d, and answered %d requests with %d rows on %d pages:
%d with 429, %d badly, %d with 400, %d with 401 or 403.
What there was to be collected is in %s
`, c.Tokens, c.TokenErrors, c.Requests, c.Rows, c.Pages, c.Throttled, c.Faults, c.BadRequests, c.Unauthorized, truth)
	}
	events, err := os.Open(filepath.Join(dir, sim.EventsFile))
	if errors.Is(err, fs.ErrNotExist) {
		p.say(end, "")
		return nil
	}
	if err != nil {
		return &failure{exitOther, err}
	}
	defer events.Close()
	missing := filepath.Join(dir, "missing.jsonl")
	var check sim.Check
	if err := writeTo(missing, func(w io.Writer) (err error) {
		check, err = m.CheckEvents(events, w, from, now, now)
		return err
	}); err != nil {
		return &failure{exitOther, err}
	}
	end.Collected = &simulationChecked{events.Name(), check.Events, check.Twice, check.Unknown, check.Rows, check.Missing, missing}
	p.say(end, "%s has %d events, %d of them twice and %d that nobody sent; of %d rows it lacks %d: %s\n",
		events.Name(), check.Events, check.Twice, check.Unknown, check.Rows, check.Missing, missing)
	return nil
}

// writeTo makes a file of what write writes.
func writeTo(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
