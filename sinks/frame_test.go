package sinks

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"starling/engine"
)

func golden(t *testing.T, name string) []byte {
	t.Helper()
	want, err := os.ReadFile(filepath.Join("..", "testdata", "devo_frames", name+".bin"))
	if err != nil {
		t.Fatal(err)
	}
	return want
}

var test = header{priority: 14, host: "golden-host", tag: "my.app.test"}

// The header and the event of case 03, of which the README says only that it is JSON.
var (
	messageTrace = header{14, time.Date(2022, 12, 21, 13, 17, 14, 405e6, time.UTC), "golden-host", "cloud.office365.messagetracing"}
	traceEvent   = `{"Organization": "contoso.com", "MessageId": "<a@b>", "Subject": "Prüfung 日本 🌍", "Size": 1, "Index": 0, "@devo_pulling_id": "1671628634405"}`
)

func TestFramesAreThoseOfDevosClient(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		head    header
		body    string
		counted bool
		raw     bool // the client sends line feeds as they are; a sink must not
	}{
		{name: "01_plain_str", head: test, body: "hello"},
		{name: "02_plain_str_trailing_newline", head: test, body: "hello\n"},
		{name: "03_dcsdk_event_unzipped", head: messageTrace, body: traceEvent},
		{name: "04_lone_surrogate", head: test, body: "\xed\xa0\xbd Hello", raw: false},
		{name: "05_embedded_newline_no_multiline", head: test, body: "line1\nline2", raw: true},
		{name: "06_multiline_true_str", head: test, body: "line1\nline2", counted: true},
		{name: "07_multiline_true_unicode", head: test, body: "ü1\nü2", counted: true},
		{name: "11_facility_severity", head: header{priority: 16*8 + 3, host: "h1", tag: "my.app.test"}, body: "x"},
		{name: "12_empty", head: test, body: ""},
		{name: "14_big_100k", head: test, body: strings.Repeat("A", 100_000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want := golden(t, c.name)
			if utf8.ValidString(c.body) {
				if got := appendFrame(nil, c.head, []byte(c.body), c.counted); !bytes.Equal(got, want) {
					t.Errorf("appendFrame: got %.200q, want %.200q", got, want)
				}
			}
			f := framer{host: "golden-host", counted: c.counted, lineFeeds: c.counted}
			e := engine.Event{Table: &engine.Table{Tag: c.head.tag, Priority: c.head.priority}, Time: c.head.time, Body: []byte(c.body)}
			if c.head.host != "golden-host" {
				e.Table.Host = c.head.host
			}
			if c.raw {
				want = append(bytes.ReplaceAll(bytes.TrimSuffix(want, lineFeed), lineFeed, []byte{' '}), '\n')
			}
			if got := f.append(nil, &e); !bytes.Equal(got, want) {
				t.Errorf("framer: got %.200q, want %.200q", got, want)
			}
		})
	}
}

func TestFrameCleans(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, host, tag, body, want string }{
		{"line breaks", "h", "a.b", "1\n2\r\n3\x004", "<14>Jan  1 00:00:00 h a.b: 1 2  3 4\n"},
		{"tabs stay", "h", "a.b", "1\t2", "<14>Jan  1 00:00:00 h a.b: 1\t2\n"},
		{"control character far into a long body", "h", "a.b", strings.Repeat("é", 99) + "\x1b[m", "<14>Jan  1 00:00:00 h a.b: " + strings.Repeat("é", 99) + " [m\n"},
		{"bytes that are no UTF-8", "h", "a.b", "a\xffb\xc3", "<14>Jan  1 00:00:00 h a.b: a?b?\n"},
		{"both halves of a pair, each encoded by itself", "h", "a.b", "\xed\xa0\xbd\xed\xb8\x80", "<14>Jan  1 00:00:00 h a.b: ??\n"},
		{"spaces and line breaks in the header", "h 1\n<14>", "a.b: x\r\n", "m", "<14>Jan  1 00:00:00 h_1_<14> a.b__x__: m\n"},
		{"odd spaces and bytes in the header", "h\u2028\u00a0\x80", "a.b", "m", "<14>Jan  1 00:00:00 h__? a.b: m\n"},
		{"an address as host", "::1", "a.b", "m", "<14>Jan  1 00:00:00 ::1 a.b: m\n"},
		{"no host and no tag", "", "", "m", "<14>Jan  1 00:00:00 - -: m\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var f framer
			e := engine.Event{Table: &engine.Table{Tag: c.tag, Host: c.host, Priority: 14}, Body: []byte(c.body)}
			if got := string(f.append(nil, &e)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestFrameDateIsUTC(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 3, 1, 0, 30, 0, 7_999_999, time.FixedZone("east", 3600))
	got := string(appendFrame(nil, header{14, at, "h", "t"}, nil, false))
	if want := "<14>2024-02-29 23:30:00.007 h t: \n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFramerKeepsTablesApart(t *testing.T) {
	t.Parallel()
	f := framer{host: "here"}
	one, two := &engine.Table{Tag: "a.one", Priority: 14}, &engine.Table{Tag: "a.two", Host: "there", Priority: 11}
	var got []byte
	for _, table := range []*engine.Table{one, two, one, one} {
		got = f.append(got, &engine.Event{Table: table, Body: []byte("m")})
	}
	const a, b = "<14>Jan  1 00:00:00 here a.one: m\n", "<11>Jan  1 00:00:00 there a.two: m\n"
	if want := a + b + a + a; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFramesCostNoAllocation(t *testing.T) {
	for _, counted := range []bool{false, true} {
		f := framer{host: "h", counted: counted, lineFeeds: counted}
		clean := engine.Event{Table: &engine.Table{Tag: "a.b", Priority: 14}, Time: time.Now(), Body: []byte(traceEvent)}
		dirty := engine.Event{Table: &engine.Table{Tag: "a.c", Priority: 14}, Time: time.Now(), Body: []byte("a\nb\xff")}
		buf := make([]byte, 0, 1<<16)
		if n := testing.AllocsPerRun(100, func() { buf = f.append(f.append(buf[:0], &clean), &dirty) }); n != 0 {
			t.Errorf("counted %v: %v allocations for two events", counted, n)
		}
	}
}

// checkFrame fails unless frame is exactly one, whatever its receiver splits frames by.
func checkFrame(t *testing.T, frame []byte, counted bool) {
	t.Helper()
	if counted {
		count, rest, _ := bytes.Cut(frame, []byte{' '})
		if n, err := strconv.Atoi(string(count)); err != nil || n != len(rest) {
			t.Fatalf("counted %q, is %d: %q", count, len(rest), frame)
		}
		frame = rest
	} else if n := bytes.Count(frame, lineFeed); n != 1 {
		t.Fatalf("%d line feeds: %q", n, frame)
	}
	if !bytes.HasSuffix(frame, lineFeed) {
		t.Fatalf("ends without a line feed: %q", frame)
	}
	if !utf8.Valid(frame) {
		t.Fatalf("no UTF-8: %q", frame)
	}
	for _, c := range frame[:len(frame)-1] {
		if c < ' ' && c != '\t' && !(counted && c == '\n') {
			t.Fatalf("control character %#x: %q", c, frame)
		}
	}
}

func FuzzFramer(f *testing.F) {
	f.Add("h", "my.app.test", []byte("hello\nworld"), int64(1_671_628_634_405), 14, false)
	f.Add("", "a b\n", []byte("\xed\xa0\xbd\x00"), int64(0), -1, true)
	f.Add("\x80", ":", []byte("\n"), int64(-1<<62), 999, true)
	f.Fuzz(func(t *testing.T, host, tag string, body []byte, ms int64, priority int, counted bool) {
		frames := framer{host: "default", counted: counted, lineFeeds: counted}
		e := engine.Event{Table: &engine.Table{Tag: tag, Host: host, Priority: priority}, Time: time.UnixMilli(ms), Body: body}
		before := bytes.Clone(body)
		frame := frames.append(nil, &e)
		checkFrame(t, frame, counted)
		if !bytes.Equal(body, before) {
			t.Fatal("the body was changed")
		}
		// The header must be found again where it is: date (two words), host and tag (one each).
		words := strings.SplitN(string(frame), " ", 6)
		if counted {
			words = words[1:]
		}
		if ms > 0 && ms < 253_402_300_800_000 && (len(words) < 5 || !strings.HasSuffix(words[3], ":") || strings.ContainsAny(words[2]+words[3], " \t\r\n\x00")) {
			t.Fatalf("header is not four words: %q", frame)
		}
		text := bytes.TrimSuffix(body, lineFeed)
		if isClean(text, counted) && !bytes.HasSuffix(frame, fmt.Appendf(nil, ": %s\n", text)) {
			t.Fatalf("a clean body was changed: %q", frame)
		}
	})
}

func BenchmarkFramer(b *testing.B) {
	for name, word := range map[string]string{"ASCII": "Weekly reports ", "letters": "Prüfung! "} {
		b.Run(name, func(b *testing.B) {
			f := framer{host: "h"}
			e := engine.Event{Table: &engine.Table{Tag: "a.b", Priority: 14}, Time: time.Now(), Body: []byte(strings.Repeat(word, 600/len(word)))}
			var buf []byte
			b.SetBytes(int64(len(e.Body)))
			for b.Loop() {
				buf = f.append(buf[:0], &e)
			}
		})
	}
}

// TestWhatIsClean puts each byte, and what is and is not UTF-8, at each place of a body, and asks byte by byte what the
// framer finds out many bytes at a time.
func TestWhatIsClean(t *testing.T) {
	t.Parallel()
	parts := []string{"ü", "\u2028", "😀", "\u0085", "ü\n", "\nü", "\xed\xa0\x80", "\xf0\x9f\x98", "\xc0\xaf", "ü\xff"}
	for c := range 256 {
		parts = append(parts, string([]byte{byte(c)}))
	}
	for _, part := range parts {
		for place := range 75 {
			body := []byte(strings.Repeat("x", place) + part + strings.Repeat("~", 74-place))
			for _, lineFeeds := range []bool{false, true} {
				if got, want := isClean(body, lineFeeds), utf8.Valid(body) && !slices.ContainsFunc(body, control(lineFeeds)); got != want {
					t.Errorf("%q, line feeds %t: clean is %t", body, lineFeeds, got)
				}
			}
			if n := plainPart(body); slices.ContainsFunc(body[:n], func(c byte) bool { return c < ' ' || c >= utf8.RuneSelf }) {
				t.Errorf("%q: the first %d bytes count as plain", body, n)
			}
		}
	}
}

func TestDates(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{
		time.Unix(0, 0), time.Date(2026, 11, 27, 9, 5, 7, 4_999_999, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 1e6, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1969, 12, 31, 23, 59, 59, 120_000_000, time.FixedZone("", 3600)),
	} {
		if got, want := string(appendDate(nil, at)), at.UTC().Format(dateLayout); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
