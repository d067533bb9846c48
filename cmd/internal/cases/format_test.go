package cases

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"starling/engine"
)

// caseOf is a case with one answer.
func caseOf(body string) *Case {
	return &Case{Tape: &engine.Tape{Script: "s.star", Version: "v", Collector: "a/1/s", Started: time.Date(2026, 5, 1, 2, 3, 4, 5000, time.UTC), Seed: 1 << 63,
		Settings: map[string]any{"n": int64(7), "f": 1.5, "list": []any{"a"}}, Limits: engine.Limits{}.WithDefaults(),
		Exchanges: []*engine.Exchange{{Method: "POST", URL: "https://api.example.com/x?y=%20", Header: http.Header{"A": {"1", "2"}}, Body: []byte(body), Sent: time.Second,
			Status: 200, Answer: http.Header{"B": {"x: y"}}, Data: []byte(body), Length: int64(len(body)), Headed: 1500 * time.Microsecond, Done: 2 * time.Second}}}}
}

func TestBodiesSurviveTheArchive(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"", "{\"a\":1}", "{\"a\":1}\n", "no end", "\n", "\n\n", "a\n-- x --\nb", "-- case.json --", "-- x --\n", "x\n-- y --", "a\r\nb", "\x00\xff\xfe", strings.Repeat("é\n", 1000), "@body text",
	} {
		c := caseOf(body)
		got, err := Read(c.Bytes())
		if err != nil {
			t.Errorf("%q: %v", body, err)
			continue
		}
		e := got.Tape.Exchanges[0]
		if string(e.Body) != body || string(e.Data) != body {
			t.Errorf("%q became %q and %q", body, e.Body, e.Data)
		}
		if !reflect.DeepEqual(got.Tape.Settings, c.Tape.Settings) || got.Tape.Seed != c.Tape.Seed || !got.Tape.Started.Equal(c.Tape.Started) {
			t.Errorf("read %+v, want %+v", got.Tape, c.Tape)
		}
		if !reflect.DeepEqual(e.Header, c.Tape.Exchanges[0].Header) || !reflect.DeepEqual(e.Answer, c.Tape.Exchanges[0].Answer) || e.Headed != 1500*time.Microsecond {
			t.Errorf("read %+v, want %+v", e, c.Tape.Exchanges[0])
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(caseOf("{}").Bytes())
	f.Add([]byte("-- case.json --\n{\"format\":1}\n-- 001/request --\nGET x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Read(data)
		if err != nil {
			return
		}
		again, err := Read(c.Bytes())
		if err != nil {
			t.Fatalf("what was read and written cannot be read: %v", err)
		}
		if len(again.Tape.Exchanges) != len(c.Tape.Exchanges) {
			t.Errorf("%d exchanges became %d", len(c.Tape.Exchanges), len(again.Tape.Exchanges))
		}
	})
}
