package builtins

import (
	"regexp"
	"testing"
	"time"
)

// rfc3339 is the form of a time by RFC 3339, of which time.Parse takes some more.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// FuzzMoment: what is read as a time is written so that it reads as the same one, and what RFC 3339
// says is a time is one.
func FuzzMoment(f *testing.F) {
	for _, seed := range []string{
		"2026-09-17T08:33:01.5971826", "2026-09-17T08:33:01Z", "2026-09-17 08:33:01.123456789012+02:00", "2026-09-17", "2024-02-29T23:59:59,9-0330",
		"/Date(1700000000000)/", "/Date(-62135596800000+0100)/", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59-01:00",
		"2026-02-30", "", "2026-09-17T", "2026-09-17T08:33:01.", "/Date()/", "0000-01-01T00:00:00+01:00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := parseMoment(s)
		if want, err := time.Parse(time.RFC3339Nano, s); err == nil && rfc3339.MatchString(s) && want.UTC().Year() >= 0 && want.UTC().Year() <= 9999 && !(ok && c.time().Equal(want)) {
			t.Fatalf("%q: got %v %v, want %v", s, c.time(), ok, want)
		}
		if !ok {
			return
		}
		c.digits = 9
		text := string(c.appendMoment(nil))
		back, ok := parseMoment(text)
		if !ok || !back.time().Equal(c.time()) {
			t.Fatalf("%q is written as %s, which reads as %v", s, text, back.time())
		}
		if want := c.time().Format("2006-01-02T15:04:05.000000000Z"); text != want {
			t.Fatalf("%q: written as %s, want %s", s, text, want)
		}
	})
}

func TestDaysSince1970(t *testing.T) {
	t.Parallel()
	for at := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 9999; at = at.AddDate(0, 0, 1) {
		if got, want := daysSince1970(at.Year(), int(at.Month()), at.Day()), at.Unix()/86400; got != want {
			t.Fatalf("%v: got %d, want %d", at, got, want)
		}
	}
}

func TestTimesAreWrittenAsTheLayoutSays(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{
		{}, time.Unix(0, 0), time.Date(2026, 2, 28, 23, 59, 59, 999_999_999, time.UTC), time.Date(9999, 12, 31, 0, 0, 0, 1, time.UTC),
		time.Date(1969, 12, 31, 23, 59, 59, 120_000_000, time.UTC), time.Date(1582, 10, 15, 1, 2, 3, 1_000_000, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 123_456_700, time.UTC),
	} {
		if got, want := timeValue(at).String(), at.UTC().Format(timeLayout); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
