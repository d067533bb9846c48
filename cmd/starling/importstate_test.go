package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"starling/cmd/internal/pickle"
	"starling/engine"
)

// pickled writes a dict of texts as Python does: pickled FILE [KEY=TEXT]... A text such as -72h is the
// moment so long ago.
func pickled(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: pickled FILE [KEY=TEXT]...")
	}
	data := []byte("\x80\x05}")
	add := func(text string) { data = append(append(data, 0x8c, byte(len(text))), text...) }
	for _, arg := range args[1:] {
		key, text, _ := strings.Cut(arg, "=")
		if ago, err := time.ParseDuration(text); err == nil {
			text = time.Now().UTC().Add(ago).Format("2006-01-02T15:04:05.000000")
		}
		add(key)
		add(text)
		data = append(data, 's')
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), append(data, '.'), 0o600))
}

func TestNamesOfDevosStateFiles(t *testing.T) {
	t.Parallel()
	if got := stateFile("office365_exchange_message", "21221", "office365_exchange_message_service"); got != "eecc28fb796a73a7c47c7ca9466c3586" {
		t.Errorf("got %s", got)
	}
}

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestValuesThatAreTimes(t *testing.T) {
	t.Parallel()
	third := at("2026-05-04T03:02:01Z")
	for _, c := range []struct {
		value any
		want  time.Time // zero: it is no time
	}{
		{"2026-05-04T03:02:01Z", third},
		{"2026-05-04T03:02:01.987654", third},
		{"2026-05-04 03:02:01", third},
		{"2026-05-04T05:02:01+02:00", third},
		{"2026-05-04T05:02:01.5+0200", third},
		{int64(third.Unix()), third},
		{third.UnixMilli() + 999, third},
		{float64(third.Unix()) + 0.9, third},
		{"1777863721", third},
		{third.Add(987 * time.Millisecond), third},
		{"2026-05-04", time.Time{}}, // a setting, such as reset_persistence_auth
		{int64(21221), time.Time{}},
		{int64(-1), time.Time{}},
		{int64(1) << 62, time.Time{}},
		{1e300, time.Time{}},
		{"yesterday", time.Time{}},
		{"", time.Time{}},
		{true, time.Time{}},
		{nil, time.Time{}},
	} {
		got, ok := timeOf(c.value)
		if ok == c.want.IsZero() || ok && !got.Equal(c.want) {
			t.Errorf("%v: got %v, %v, want %v", c.value, got, ok, c.want)
		}
	}
}

func TestWhereAStateGoesOn(t *testing.T) {
	t.Parallel()
	const (
		early, end, late, future = "2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z", "2026-05-03T23:00:00Z", "2026-06-01T00:00:00Z"
	)
	latest, now := at("2026-05-03T00:00:00Z"), at("2026-05-04T01:00:00Z")
	for _, c := range []struct {
		name   string
		state  []string // keys and values
		want   string   // the key; empty: it cannot be told
		others []string // keys of what is a time, too
	}{
		{"one value", []string{"x", end}, "x", nil},
		{"nothing", nil, "", nil},
		{"a name that says so", []string{"initial_start", early, "last_event_time", end}, "last_event_time", []string{"initial_start"}},
		{"camel case", []string{"startTime", early, "lastEndTime", end}, "lastEndTime", []string{"startTime"}},
		{"two that say so", []string{"last_event", early, "until", end}, "", []string{"last_event", "until"}},
		{"two that say the same", []string{"last_event", end, "until", end}, "last_event", []string{"until"}},
		{"two that say nothing", []string{"a", early, "b", end}, "", []string{"a", "b"}},
		{"when it ran", []string{"last_run", end}, "", []string{"last_run"}},
		{"when it ran, and where", []string{"last_run", end, "from_date", early}, "from_date", []string{"last_run"}},
		{"later than pulls can be", []string{"last", late}, "", []string{"last"}},
		{"to come", []string{"last", future}, "", nil},
		{"of the SDK, settings, secrets", []string{"@last", end, "reset_persistence_auth_last", end, "token_until", end, "expires_from", end}, "", nil},
	} {
		d := &pickle.Dict{}
		for i := 0; i < len(c.state); i += 2 {
			d.Pairs = append(d.Pairs, pickle.Pair{Key: c.state[i], Value: c.state[i+1]})
		}
		s := &importState{Times: timesOf(d, latest, now)}
		got := ""
		if p := s.only(); p != nil {
			got = p.Key
		}
		names := slices.DeleteFunc(s.names(), func(name string) bool { return name == c.want })
		if got != c.want || !slices.Equal(names, c.others) && len(names)+len(c.others) > 0 {
			t.Errorf("%s: got %q beside %q, want %q beside %q", c.name, got, names, c.want, c.others)
		}
	}
	inner := &pickle.Dict{Pairs: []pickle.Pair{{Key: "last", Value: end}}}
	outer := &pickle.Dict{Pairs: []pickle.Pair{{Key: "state", Value: inner}, {Key: "ids", Value: &pickle.List{Items: []any{end}}}}}
	if got := timesOf(outer, latest, now); len(got) != 1 || got[0].Key != "state.last" {
		t.Errorf("in a dict in a dict: got %v", got)
	}
}

func TestSecretsOfAStateAreNotShown(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../testdata/devo_state/state.pickle")
	if err != nil {
		t.Fatal(err)
	}
	v, err := pickle.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(stateLines(v.(*pickle.Dict)), "\n")
	want := `@persistence_version = 1
reset_persistence_auth = "2026-01-01"
last_end_time_in_utc = "2026-05-04T03:02:01.987654"
initial_start_time_in_utc = "2026-05-01T00:00:00Z"
access_token = "****SANITIZED****"
last_ids = ["0b1c","0b1d"]`
	if text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	if shown := showState(&pickle.List{Items: []any{"Bearer abc", "eyJhbGciOiJub25l.eyJzdWIi.c2ln"}}).([]any); shown[0] != engine.Sanitized || shown[1] != engine.Sanitized {
		t.Errorf("got %v", shown)
	}
}

func TestAStateForgesNoLines(t *testing.T) {
	t.Parallel()
	key := "last\n  do:  rm -rf /\x1b[2J"
	d := &pickle.Dict{Pairs: []pickle.Pair{{Key: key, Value: "2026-05-01T00:00:00Z\n"}, {Key: key, Value: "2026-05-01T00:00:00Z"}}}
	s := &importState{Collector: "a/1/b", lines: stateLines(d), Times: timesOf(d, at("2026-05-02T00:00:00Z"), at("2026-05-03T00:00:00Z"))}
	s.Do, s.Problem = "choose one of: "+key, "it has "+key
	var out strings.Builder
	tool := &importTool{stateTool: stateTool{p: &program{stdout: &out}}}
	tool.print(&imported{Collectors: []*importState{s}, Others: []otherFile{{Holds: key}}})
	if got := strings.Count(out.String(), "\n  do:  "); got != 1 || strings.Contains(out.String(), "\x1b") {
		t.Errorf("got\n%s", out.String())
	}
}
