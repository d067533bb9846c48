package engine

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// What a command asks of a starling that runs, but for a backup, is a verb and one JSON value on a line.
// The answer is "ok" and one JSON value, or an error: a line "error: " with a failure as JSON.
const (
	askCovered  = "covered"
	askCoverage = "coverage"
	askBackfill = "backfill"
	askStatus   = "status"
)

type coverageRequest struct {
	Collector string    `json:"collector"`
	From      time.Time `json:"from,omitzero"`
	To        time.Time `json:"to,omitzero"`
	Backfill  *Backfill `json:"backfill,omitempty"` // nil ends the one that is going on
}

// A controlFailure is an Error on its way through the socket.
type controlFailure struct {
	Code Code   `json:"code"`
	Op   string `json:"op"`
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

// answerAsk answers a request of those above; ok says whether it is one.
func (c *control) answerAsk(out io.Writer, verb, arg string) (ok bool) {
	var request coverageRequest
	var answer any = struct{}{}
	var err error
	if arg != "" {
		err = json.Unmarshal([]byte(arg), &request)
	}
	switch verb {
	default:
		return false
	case askStatus:
		answer = c.status()
	case askCovered:
		if err == nil {
			answer, err = c.store.Covered()
		}
	case askCoverage:
		if err == nil {
			answer, err = c.store.Report(request.Collector, request.From, request.To)
		}
	case askBackfill:
		if err == nil {
			err = c.store.SetBackfill(request.Collector, request.Backfill)
		}
		if err == nil {
			c.log.Info("backfill set by a command", string(KeyCollector), request.Collector, "backfill", request.Backfill)
		}
	}
	text, jerr := json.Marshal(answer)
	if err = errors.Join(err, jerr); err != nil {
		fmt.Fprintf(out, "error: %s\n", failureText(err))
		return true
	}
	fmt.Fprintf(out, "ok\n%s\n", text)
	return true
}

func failureText(err error) []byte {
	f := controlFailure{Code: CodeOf(err, CodeStore), Text: err.Error()}
	if e, ok := errors.AsType[*Error](err); ok && e.Err != nil {
		f.Op, f.Text, f.Hint = e.Op, e.Err.Error(), e.Hint
	}
	text, _ := json.Marshal(f) // strings can always be encoded
	return text
}

// Running is a starling that runs on a state directory, asked over its socket. Its methods are those of
// its Store.
type Running struct{ dir string }

// FindRunning returns the starling that runs on dir; false if none answers.
func FindRunning(dir string) (*Running, bool) {
	conn, err := dialControl(dir)
	if err != nil {
		return nil, false
	}
	conn.Close()
	return &Running{dir}, true
}

// Close does nothing: each request has a connection of its own.
func (*Running) Close() error { return nil }

// Covered lists the collectors that have a ledger, in order.
func (r *Running) Covered() (names []string, err error) {
	err = r.ask(askCovered, coverageRequest{}, &names)
	return names, err
}

// Report returns the ledger of a collector between two times, and its cursors.
func (r *Running) Report(collector string, from, to time.Time) (report CoverageReport, err error) {
	err = r.ask(askCoverage, coverageRequest{Collector: collector, From: from, To: to}, &report)
	return report, err
}

// SetBackfill sets the backfill of a collector, or with nil ends the one that is going on.
func (r *Running) SetBackfill(collector string, b *Backfill) error {
	return r.ask(askBackfill, coverageRequest{Collector: collector, Backfill: b}, nil)
}

// Status returns what it is doing.
func (r *Running) Status() (s Status, err error) {
	err = r.ask(askStatus, coverageRequest{}, &s)
	return s, err
}

func (r *Running) ask(verb string, request coverageRequest, answer any) error {
	op := "ask the starling that runs for " + verb
	conn, err := dialControl(r.dir)
	if err != nil {
		return storeError(op, err, "")
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(controlStall))
	text, err := json.Marshal(request)
	if err != nil {
		return storeError(op, err, "")
	}
	if err := askJSON(conn, verb+" "+string(text)+"\n", answer); err != nil {
		if _, ok := errors.AsType[*Error](err); ok {
			return err
		}
		return storeError(op, err, "it ended in between, or is of another version; try again")
	}
	return nil
}

// askJSON sends a line and reads the answer into a value, nil if nothing of it matters.
func askJSON(conn net.Conn, line string, into any) error {
	if _, err := io.WriteString(conn, line); err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, 64<<10)
	head, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	if text, failed := strings.CutPrefix(head, "error: "); failed {
		var f controlFailure
		if json.Unmarshal([]byte(text), &f) != nil {
			return errors.New(strings.TrimSpace(text))
		}
		return &Error{Code: f.Code, Op: f.Op, Err: errors.New(f.Text), Hint: f.Hint}
	}
	if head != "ok\n" {
		return fmt.Errorf("the answer is %q", head)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(in).Decode(into)
}
