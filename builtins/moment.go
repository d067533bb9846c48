package builtins

import (
	"strconv"
	"strings"
	"time"
)

// dateOnly is the number of fraction digits of a moment of which only the date is written.
const dateOnly = -1

// defaultDigits is how many digits of a second are written: Devo keeps milliseconds.
const defaultDigits = 3

// momentCell returns t as a cell. Years that four digits cannot write are refused.
func momentCell(t time.Time) (cell, bool) {
	t = t.UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		return cell{}, false
	}
	return cell{form: form{kind: moment, nanos: int32(t.Nanosecond() % 1e6), digits: defaultDigits}, num: t.UnixMilli()}, true
}

func (c cell) time() time.Time {
	return time.UnixMilli(c.num).UTC().Add(time.Duration(c.nanos))
}

// appendMoment writes a moment as 2026-01-02T03:04:05.678Z with as many digits as it asks for; what
// is more precise is cut off, not rounded, so that a time never moves into the next day.
func (c cell) appendMoment(dst []byte) []byte {
	t := time.UnixMilli(c.num).UTC()
	year, month, day := t.Date()
	dst = appendDigits(append(appendDigits(append(appendDigits(dst, year, 4), '-'), int(month), 2), '-'), day, 2)
	if c.digits == dateOnly {
		return dst
	}
	hour, minute, second := t.Clock()
	dst = appendDigits(append(dst, 'T'), hour, 2)
	dst = appendDigits(append(dst, ':'), minute, 2)
	dst = appendDigits(append(dst, ':'), second, 2)
	if c.digits > 0 {
		from := len(dst) + 1
		dst = appendDigits(append(dst, '.'), t.Nanosecond()+int(c.nanos), 9)
		dst = dst[:from+int(c.digits)]
	}
	return append(dst, 'Z')
}

// appendDigits writes n with leading zeros.
func appendDigits(dst []byte, n, width int) []byte {
	var buf [9]byte
	for i := width - 1; i >= 0; i-- {
		buf[i] = byte('0' + n%10)
		n /= 10
	}
	return append(dst, buf[:width]...)
}

// parseMoment reads a time as APIs write it: RFC 3339; ISO 8601 with a space, with any number of
// fraction digits, without a zone, which means UTC, or a date alone; and /Date(ms)/ with or without
// an offset, which says how to show it and not when it was.
func parseMoment(s string) (cell, bool) {
	if strings.HasPrefix(s, "/Date(") {
		return parseODataDate(s)
	}
	year, ok1 := digitsAt(s, 0, 4)
	month, ok2 := digitsAt(s, 5, 2)
	day, ok3 := digitsAt(s, 8, 2)
	if !ok1 || !ok2 || !ok3 || s[4] != '-' || s[7] != '-' {
		return cell{}, false
	}
	clock, ok := parseClock(s[10:])
	if !ok || day == 0 || month == 0 || month > 12 || day > 28 && day > daysIn(year, month) {
		return cell{}, false
	}
	if year == 0 || year == 9999 { // an offset may lead out of what four digits can write
		return momentCell(time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Add(clock))
	}
	ms, nanos := clock/time.Millisecond, clock%time.Millisecond
	if nanos < 0 {
		ms, nanos = ms-1, nanos+time.Millisecond
	}
	return cell{form: form{kind: moment, nanos: int32(nanos), digits: defaultDigits}, num: daysSince1970(year, month, day)*(24*3600*1000) + int64(ms)}, true
}

// daysSince1970 counts the days of the Gregorian calendar, by years that begin in March, so that the day
// that only leap years have is the last one; from the year 1 on. It is several times as fast as time.Date.
func daysSince1970(year, month, day int) int64 {
	if month < 3 {
		year, month = year-1, month+12
	}
	return int64(365*year + year/4 - year/100 + year/400 + (153*month-457)/5 + day - 719469)
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// parseClock reads what follows a date, "T03:04:05.678+02:00" or less, as the time since midnight UTC.
func parseClock(s string) (time.Duration, bool) {
	if s == "" {
		return 0, true
	}
	hour, ok1 := digitsAt(s, 1, 2)
	minute, ok2 := digitsAt(s, 4, 2)
	if !ok1 || !ok2 || s[0] != 'T' && s[0] != 't' && s[0] != ' ' || s[3] != ':' || hour > 23 || minute > 59 {
		return 0, false
	}
	clock := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute
	s = s[6:]
	if s != "" && s[0] == ':' {
		second, ok := digitsAt(s, 1, 2)
		if !ok || second > 59 {
			return 0, false
		}
		clock += time.Duration(second) * time.Second
		s = s[3:]
		if s != "" && (s[0] == '.' || s[0] == ',') {
			var fraction time.Duration
			fraction, s = parseFraction(s[1:])
			if fraction < 0 {
				return 0, false
			}
			clock += fraction
		}
	}
	offset, ok := parseOffset(s)
	return clock - offset, ok
}

// parseFraction reads the digits of a second; what is below a nanosecond is cut off. It returns a
// negative duration when there is no digit.
func parseFraction(s string) (time.Duration, string) {
	n := 0
	fraction, unit := time.Duration(0), time.Second
	for ; n < len(s) && '0' <= s[n] && s[n] <= '9'; n++ {
		unit /= 10
		fraction += unit * time.Duration(s[n]-'0')
	}
	if n == 0 {
		return -1, s
	}
	return fraction, s[n:]
}

// parseOffset reads "", "Z", "+02:00", "+0200" and "+02".
func parseOffset(s string) (time.Duration, bool) {
	if s == "" || s == "Z" || s == "z" {
		return 0, true
	}
	hour, ok := digitsAt(s, 1, 2)
	if !ok || s[0] != '+' && s[0] != '-' || hour > 23 {
		return 0, false
	}
	minute := 0
	if rest := s[3:]; rest != "" {
		if rest[0] == ':' {
			rest = rest[1:]
		}
		if minute, ok = digitsAt(rest, 0, 2); !ok || len(rest) != 2 || minute > 59 {
			return 0, false
		}
	}
	offset := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute
	if s[0] == '-' {
		offset = -offset
	}
	return offset, true
}

// parseODataDate reads /Date(1700000000000)/ and /Date(1700000000000+0100)/.
func parseODataDate(s string) (cell, bool) {
	s, ok := strings.CutSuffix(strings.TrimPrefix(s, "/Date("), ")/")
	if !ok || s == "" {
		return cell{}, false
	}
	if i := strings.LastIndexAny(s, "+-"); i > 0 {
		if _, ok := parseOffset(s[i:]); !ok {
			return cell{}, false
		}
		s = s[:i]
	}
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return cell{}, false
	}
	return epochCell(ms)
}

func epochCell(ms int64) (cell, bool) {
	// time.UnixMilli has no error for numbers that it cannot hold.
	const limit = 1 << 53
	if ms > limit || ms < -limit {
		return cell{}, false
	}
	return momentCell(time.UnixMilli(ms))
}

// digitsAt reads the width digits of s that begin at i.
func digitsAt(s string, i, width int) (int, bool) {
	if len(s) < i+width {
		return 0, false
	}
	n := 0
	for _, c := range []byte(s[i : i+width]) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}
