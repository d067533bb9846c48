package builtins

import (
	"strings"
	"testing"
	"time"
)

func TestParseTimeReadsWhatAPIsWrite(t *testing.T) {
	t.Parallel()
	at := func(nanos int) time.Time { return time.Date(2026, 1, 2, 3, 4, 5, nanos, time.UTC) }
	cases := []struct {
		text string
		want time.Time
	}{
		{"2026-01-02T03:04:05Z", at(0)},
		{"2026-01-02t03:04:05z", at(0)},
		{"2026-01-02 03:04:05", at(0)},
		{"2026-01-02T03:04:05.6", at(600_000_000)},
		{"2026-01-02T03:04:05,6Z", at(600_000_000)},
		{"2026-01-02T03:04:05.1234567Z", at(123_456_700)},
		{"2026-01-02T03:04:05.123456789Z", at(123_456_789)},
		{"2026-01-02T03:04:05.1234567899Z", at(123_456_789)},
		{"2026-01-02T08:34:05+05:30", at(0)},
		{"2026-01-01T22:04:05-0500", at(0)},
		{"2026-01-02T05:04:05+02", at(0)},
		{"2026-01-02T03:04Z", time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)},
		{"2026-01-02", time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)},
		{"2024-02-29", time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)},
		{"/Date(1767323045000)/", at(0)},
		{"/Date(1767323045600+0100)/", at(600_000_000)},
		{"/Date(-1)/", time.Date(1969, 12, 31, 23, 59, 59, 999_000_000, time.UTC)},
		{"0000-01-01T00:00:00Z", time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"9999-12-31T23:59:59.999999999Z", time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)},
	}
	for _, c := range cases {
		if got, err := parseTime(c.text); err != nil || !got.Equal(c.want) || got.Location() != time.UTC {
			t.Errorf("parseTime(%q): got %v, %v, want %v", c.text, got, err, c.want)
		}
	}
}

func TestParseTimeRefusesOtherTexts(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "now", "2026", "2026-01", "2026-1-2", "20260102", "2026-01-02T", "2026-01-02T03", "2026-01-02T03:04:",
		"2026-01-02T03:04:05.", "2026-01-02T03:04:05.Z", "2026-01-02T24:00:00Z", "2026-01-02T03:60:00Z", "2026-01-02T03:04:61Z",
		"2026-13-01", "2026-00-01", "2026-01-00", "2026-02-29", "2026-01-02T03:04:05+24:00", "2026-01-02T03:04:05+1:00",
		"2026-01-02T03:04:05ZZ", "2026-01-02T03:04:05Z ", "2026-01-02X03:04:05Z", "9999-12-31T23:59:59-00:01",
		"0000-01-01T00:00:00+00:01", "/Date()/", "/Date(x)/", "/Date(1)", "/Date(99999999999999999999)/", "/Date(1+9999)/",
	} {
		if got, err := parseTime(text); err == nil {
			t.Errorf("parseTime(%q): got %v, want an error", text, got)
		} else if !strings.Contains(err.Error(), "want a time such as") {
			t.Errorf("parseTime(%q): the error %q does not say what it wants", text, err)
		}
	}
}

func TestParseTimeDoesNotAllocate(t *testing.T) {
	const text = "2026-01-02T03:04:05.678+01:00"
	if n := testing.AllocsPerRun(100, func() {
		if _, err := parseTime(text); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

// FuzzParseTime holds parseTime against the standard library: whatever is RFC 3339 must be read, as the
// same time.
func FuzzParseTime(f *testing.F) {
	for _, seed := range []string{"2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123456789+05:30", "2026-01-02 03:04:05", "/Date(1767323045000+0100)/", "2024-02-29"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseTime(text)
		want, wantErr := time.Parse(time.RFC3339Nano, text)
		if wantErr != nil || !rfc3339.MatchString(text) {
			return
		}
		want = want.UTC()
		if y := want.Year(); y < 0 || y > 9999 {
			return // an offset moved it out of what four digits can write
		}
		if err != nil || !got.Equal(want) {
			t.Errorf("parseTime(%q): got %v, %v, want %v", text, got, err, want)
		}
	})
}

// FuzzParseTimeAs reads any text by any format; what was read, another format writes and reads back.
func FuzzParseTimeAs(f *testing.F) {
	f.Add("2026-01-02T03:04:05.678901Z", "%Y-%m-%dT%H:%M:%S.%fZ")
	f.Add("Friday, 02 January 2026 03:04:05 PM UTC", "%A, %d %B %Y %I:%M:%S %p %Z")
	f.Add("-1%365 69 5 +0130", "%s%%%j %y %L %z")
	f.Fuzz(func(t *testing.T, text, layout string) {
		read, err := parseTimeAs(text, layout)
		if err != nil {
			return
		}
		if _, err := checkedTime(read); err != nil {
			return
		}
		const precise = "%p %Y %j %I:%M:%S.%f %Z"
		written, err := formatTime(read, precise)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseTimeAs(written, precise)
		if err != nil || !again.Equal(read.Truncate(time.Microsecond)) {
			t.Errorf("%q read as %q: %v was written as %q and read back as %v, %v", text, layout, read, written, again, err)
		}
	})
}
