package cases

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"starling/engine"
)

// maxFile bounds a case, which is read whole.
const maxFile = 1 << 30

// ReadFile reads a case from a file.
func ReadFile(name string) (*Case, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("%w (starling pull SERVICE --record FILE makes a case)", err)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: %d bytes, a case may have %d", name, info.Size(), maxFile)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	c, err := Read(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// Read reads a case. An error names the file in the archive.
func Read(data []byte) (*Case, error) {
	r := &reader{files: map[string]string{}, t: &engine.Tape{}}
	for _, f := range txtar.Parse(data).Files {
		r.files[f.Name] = string(f.Data)
	}
	text, ok := r.files["case.json"]
	if !ok {
		return nil, errors.New("it is no case: there is no case.json in it")
	}
	c := &Case{Tape: r.t}
	steps := []struct {
		file string
		read func(string) error
	}{
		{"case.json", func(string) error { return r.header(text, c) }},
		{"before/cursors", func(text string) (err error) { r.t.Before.Cursors, err = cursorsIn(text); return err }},
		{"before/keys", r.keys},
		{"before/ledger.json", r.ledger},
		{"before/known", func(text string) (err error) { r.t.Given, err = cursorsIn(text); return err }},
	}
	for _, s := range steps {
		if err := s.read(r.files[s.file]); err != nil {
			return nil, fmt.Errorf("%s: %w", s.file, err)
		}
	}
	for i := 1; ; i++ {
		name := fmt.Sprintf("%03d/", i)
		if _, ok := r.files[name+"request"]; !ok {
			break
		}
		if err := r.exchange(name); err != nil {
			return nil, err
		}
	}
	for i := 1; ; i++ {
		text, ok := r.files[fmt.Sprintf("commit/%d", i)]
		if !ok {
			break
		}
		c.Result.Commits = append(c.Result.Commits, text)
	}
	c.Result.After, c.Result.Outcome, c.Result.Requests = r.files["after/cursors"], r.files["outcome.json"], recorded(r.t)
	return c, nil
}

type reader struct {
	files map[string]string
	t     *engine.Tape
}

func (r *reader) header(text string, c *Case) error {
	var h header
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&h); err != nil {
		return err
	}
	if h.Format != format {
		return fmt.Errorf("format %d, this program reads format %d", h.Format, format)
	}
	t := r.t
	t.Script, t.Version, t.Collector, t.Started, t.Cut = h.Script, h.Version, h.Collector, h.Started.UTC(), !h.Whole
	t.Handover, t.End, t.Secret, t.Identity, t.Requests, t.Network, t.Tokens, t.Left = h.Handover, h.End, h.Secret, h.Identity, h.Requests, h.Network, h.Tokens, h.Left
	c.Notes = h.Notes
	t.Settings, _ = engine.PlainNumbers(any(h.Settings)).(map[string]any)
	var err error
	if t.Seed, err = strconv.ParseUint(h.Seed, 10, 64); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	if h.Time != "" {
		if t.Time, err = time.ParseDuration(h.Time); err != nil {
			return fmt.Errorf("time: %w", err)
		}
	}
	for _, text := range h.Commits {
		at, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("commits: %w", err)
		}
		t.Commits = append(t.Commits, at)
	}
	return readLimits(&t.Limits, h.Limits)
}

func readLimits(l *engine.Limits, m map[string]any) error {
	number := func(name string) int64 {
		n, _ := m[name].(json.Number)
		i, _ := n.Int64()
		return i
	}
	l.Steps, l.LoadSteps, l.ResponseBytes = uint64(number("steps")), uint64(number("load_steps")), number("response_bytes")
	l.EventBytes, l.StagedBytes, l.LogLinesPerPull = int(number("event_bytes")), number("staged_bytes"), int(number("log_lines_per_pull"))
	if text, ok := m["oversized"].(string); ok {
		l.Oversized = engine.Oversized(text)
	}
	if text, ok := m["http_timeout"].(string); ok {
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("limits: http_timeout: %w", err)
		}
		l.HTTPTimeout = d
	}
	return nil
}

func cursorsIn(text string) (map[string]json.RawMessage, error) {
	m := map[string]json.RawMessage{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok || !json.Valid([]byte(value)) {
			return nil, fmt.Errorf("got the line %q, want a name and its JSON", strings.TrimSpace(line))
		}
		m[name] = json.RawMessage(value)
	}
	return m, nil
}

func (r *reader) keys(text string) error {
	for line := range strings.Lines(text) {
		bucket, key, _ := strings.Cut(strings.TrimSpace(line), " ")
		var k engine.HourKey
		n, err := strconv.ParseInt(bucket, 10, 64)
		data, herr := hex.DecodeString(key)
		if err != nil || herr != nil || len(data) != len(k.Key) {
			return fmt.Errorf("got the line %q, want a number and 32 hexadecimal digits", strings.TrimSpace(line))
		}
		k.Bucket = n
		copy(k.Key[:], data)
		r.t.Before.Keys = append(r.t.Before.Keys, k)
	}
	return nil
}

func (r *reader) ledger(text string) error {
	if text == "" {
		return nil
	}
	var l ledger
	err := json.Unmarshal([]byte(text), &l)
	r.t.Before.Marks, r.t.Before.Hours = l.Marks, l.Hours
	return err
}

func (r *reader) exchange(name string) error {
	e := &engine.Exchange{}
	first, how, header, err := r.part(name+"request", map[string]func(string) error{
		"lane":   func(v string) (err error) { e.Lane, err = strconv.Atoi(v); return err },
		"sent":   duration(&e.Sent),
		"queued": func(v string) error { return json.Unmarshal([]byte(v), &e.Queued) },
	})
	if err == nil {
		e.Body, err = decode(r.files[name+"request.body"], how)
	}
	if err != nil {
		return fmt.Errorf("%srequest: %w", name, err)
	}
	var ok bool
	e.Header = header
	if e.Method, e.URL, ok = strings.Cut(first, " "); !ok {
		return fmt.Errorf("%srequest: got the line %q, want a method and a URL", name, first)
	}
	first, how, e.Answer, err = r.part(name+"answer", map[string]func(string) error{
		"headed": duration(&e.Headed), "done": duration(&e.Done), "set": duration(&e.Set), "paused": duration(&e.Paused),
		"length": func(v string) (err error) { e.Length, err = strconv.ParseInt(v, 10, 64); return err },
		"fault":  func(v string) error { return json.Unmarshal([]byte(v), &e.Fault) },
	})
	if err == nil {
		e.Data, err = decode(r.files[name+"answer.body"], how)
	}
	if err == nil && first != "no answer" {
		status, _, _ := strings.Cut(first, " ")
		e.Status, err = strconv.Atoi(status)
	}
	if err != nil {
		return fmt.Errorf("%sanswer: %w", name, err)
	}
	if e.Status == 0 && e.Fault == nil {
		return fmt.Errorf("%sanswer: there is neither an answer nor an @fault", name)
	}
	if e.Length >= 0 && e.Fault == nil && e.Method != http.MethodHead && e.Answer.Get("Content-Encoding") == "" {
		e.Length = lengthOf(e)
	}
	r.t.Exchanges = append(r.t.Exchanges, e)
	return nil
}

// lengthOf is the length of a body that is whole, which a person may have edited.
func lengthOf(e *engine.Exchange) int64 {
	n := int64(len(e.Data))
	if n != e.Length && e.Answer.Get("Content-Length") != "" {
		e.Answer.Set("Content-Length", strconv.FormatInt(n, 10))
	}
	return n
}

func duration(to *time.Duration) func(string) error {
	return func(v string) (err error) { *to, err = time.ParseDuration(v); return err }
}

// part reads the lines of a request or an answer: the first one, those that begin with @, and headers.
func (r *reader) part(name string, keys map[string]func(string) error) (first, how string, header http.Header, err error) {
	text, ok := r.files[name]
	if !ok {
		return "", "", nil, errors.New("it is missing")
	}
	header = http.Header{}
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		switch {
		case i == 0:
			first = line
		case strings.HasPrefix(line, "@body "):
			how = line[len("@body "):]
		case strings.HasPrefix(line, "@"):
			key, value, _ := strings.Cut(line[1:], " ")
			read := keys[key]
			if read == nil {
				return "", "", nil, fmt.Errorf("got @%s, which nothing knows", key)
			}
			if err := read(value); err != nil {
				return "", "", nil, fmt.Errorf("@%s: %w", key, err)
			}
		default:
			key, value, ok := strings.Cut(line, ":")
			if !ok {
				return "", "", nil, fmt.Errorf("got the line %q, want a header", line)
			}
			header[key] = append(header[key], strings.TrimPrefix(value, " "))
		}
	}
	return first, how, header, nil
}
