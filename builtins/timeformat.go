package builtins

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// formatTime writes t as layout says.
func formatTime(t time.Time, layout string) (string, error) {
	dst := make([]byte, 0, len(layout)+16)
	for i := 0; i < len(layout); i++ {
		if layout[i] != '%' {
			dst = append(dst, layout[i])
			continue
		}
		i++
		d, err := directiveAt(layout, i)
		if err != nil {
			return "", err
		}
		dst = d.write(dst, t)
	}
	return string(dst), nil
}

// parseTimeAs reads a text that is written as layout says. Without a zone it is UTC.
func parseTimeAs(text, layout string) (time.Time, error) {
	p := timeParts{month: 1, day: 1}
	rest := text
	for i := 0; i < len(layout); i++ {
		ok := false
		if layout[i] != '%' {
			rest, ok = strings.CutPrefix(rest, layout[i:i+1])
		} else {
			i++
			d, err := directiveAt(layout, i)
			if err != nil {
				return time.Time{}, err
			}
			rest, ok = d.read(&p, rest)
		}
		if !ok {
			return time.Time{}, fmt.Errorf("got %.60q, want a time like %q", text, layout)
		}
	}
	if rest != "" {
		return time.Time{}, fmt.Errorf("got %.60q, want a time like %q: %.20q is too much", text, layout, rest)
	}
	if !p.hasYear && !p.hasEpoch {
		return time.Time{}, fmt.Errorf("format %q has no year: it needs %%Y, %%y or %%s", layout)
	}
	t, ok := p.time()
	if !ok {
		return time.Time{}, fmt.Errorf("got %.60q, which is no time that exists", text)
	}
	return t, nil
}

// A directive is what a letter after % means in a format.
type directive struct {
	write func(dst []byte, t time.Time) []byte
	// read takes the directive off the front of a text. It reports false when something else is there.
	read func(p *timeParts, s string) (rest string, ok bool)
}

// directiveAt returns the directive whose letter is at layout[i]: those of strftime that do not depend
// on a country, and %L for milliseconds. Reading, numbers may lack leading zeros, and %f and %L take
// as many digits as there are.
func directiveAt(layout string, i int) (directive, error) {
	if i == len(layout) {
		return directive{}, fmt.Errorf("format %q ends in a single %%: write %%%% for a percent sign", layout)
	}
	switch layout[i] {
	case 'Y':
		return number(4, time.Time.Year, func(p *timeParts, n int) { p.year, p.hasYear = n, true }), nil
	case 'y':
		return number(2, func(t time.Time) int { return t.Year() % 100 }, (*timeParts).setShortYear), nil
	case 'm':
		return number(2, func(t time.Time) int { return int(t.Month()) }, func(p *timeParts, n int) { p.month = n }), nil
	case 'd':
		return number(2, time.Time.Day, func(p *timeParts, n int) { p.day = n }), nil
	case 'j':
		return number(3, time.Time.YearDay, func(p *timeParts, n int) { p.yearDay, p.hasYearDay = n, true }), nil
	case 'H':
		return number(2, time.Time.Hour, func(p *timeParts, n int) { p.hour = n }), nil
	case 'I':
		return number(2, hour12, func(p *timeParts, n int) { p.hour12, p.hasHour12 = n, true }), nil
	case 'M':
		return number(2, time.Time.Minute, func(p *timeParts, n int) { p.minute = n }), nil
	case 'S':
		return number(2, time.Time.Second, func(p *timeParts, n int) { p.second = n }), nil
	case 'f':
		return fraction(6), nil
	case 'L':
		return fraction(3), nil
	case 's':
		return directive{func(dst []byte, t time.Time) []byte { return strconv.AppendInt(dst, t.Unix(), 10) }, readEpoch}, nil
	case 'z':
		return directive{func(dst []byte, _ time.Time) []byte { return append(dst, "+0000"...) }, readZone}, nil
	case 'Z':
		return directive{func(dst []byte, _ time.Time) []byte { return append(dst, "UTC"...) }, readZone}, nil
	case 'p':
		return name([]string{"AM", "PM"}, func(t time.Time) int { return t.Hour() / 12 }, func(p *timeParts, n int) { p.afternoon = n == 1 }), nil
	case 'b':
		return name(short(monthNames()), monthIndex, func(p *timeParts, n int) { p.month = n + 1 }), nil
	case 'B':
		return name(monthNames(), monthIndex, func(p *timeParts, n int) { p.month = n + 1 }), nil
	case 'a':
		return name(short(dayNames()), dayIndex, func(*timeParts, int) {}), nil
	case 'A':
		return name(dayNames(), dayIndex, func(*timeParts, int) {}), nil
	case '%':
		return directive{func(dst []byte, _ time.Time) []byte { return append(dst, '%') },
			func(_ *timeParts, s string) (string, bool) { return strings.CutPrefix(s, "%") }}, nil
	}
	return directive{}, fmt.Errorf("format %q: there is no %%%c; there are %%Y %%y %%m %%d %%j %%H %%I %%M %%S %%f %%L %%p %%b %%B %%a %%A %%s %%z %%Z %%%%", layout, []rune(layout[i:])[0])
}

func hour12(t time.Time) int     { return (t.Hour()+11)%12 + 1 }
func monthIndex(t time.Time) int { return int(t.Month()) - 1 }
func dayIndex(t time.Time) int   { return int(t.Weekday()) }

// number is a directive of at most width digits.
func number(width int, get func(time.Time) int, set func(*timeParts, int)) directive {
	write := func(dst []byte, t time.Time) []byte { return appendDigits(dst, get(t), width) }
	read := func(p *timeParts, s string) (string, bool) {
		n, i := 0, 0
		for ; i < len(s) && i < width && '0' <= s[i] && s[i] <= '9'; i++ {
			n = 10*n + int(s[i]-'0')
		}
		set(p, n)
		return s[i:], i > 0 && (width < 4 || i == width)
	}
	return directive{write, read}
}

// fraction is a directive that writes width digits of a second.
func fraction(width int) directive {
	write := func(dst []byte, t time.Time) []byte {
		digits := appendDigits(nil, t.Nanosecond(), 9)
		return append(dst, digits[:width]...)
	}
	read := func(p *timeParts, s string) (string, bool) {
		d, rest := parseFraction(s)
		p.nanos = int(d)
		return rest, d >= 0
	}
	return directive{write, read}
}

// name is a directive that is one of names; reading, capitals do not matter.
func name(names []string, get func(time.Time) int, set func(*timeParts, int)) directive {
	write := func(dst []byte, t time.Time) []byte { return append(dst, names[get(t)]...) }
	read := func(p *timeParts, s string) (string, bool) {
		for i, n := range names {
			if len(s) >= len(n) && strings.EqualFold(s[:len(n)], n) {
				set(p, i)
				return s[len(n):], true
			}
		}
		return s, false
	}
	return directive{write, read}
}

func monthNames() []string {
	var names []string
	for m := time.January; m <= time.December; m++ {
		names = append(names, m.String())
	}
	return names
}

func dayNames() []string {
	var names []string
	for d := time.Sunday; d <= time.Saturday; d++ {
		names = append(names, d.String())
	}
	return names
}

// short cuts names to three letters.
func short(names []string) []string {
	for i, n := range names {
		names[i] = n[:3]
	}
	return names
}

func readEpoch(p *timeParts, s string) (string, bool) {
	end := 0
	for end < len(s) && ('0' <= s[end] && s[end] <= '9' || end == 0 && s[end] == '-') {
		end++
	}
	n, err := strconv.ParseInt(s[:end], 10, 64)
	p.epoch, p.hasEpoch = n, true
	return s[end:], err == nil
}

// readZone takes UTC, GMT, or an offset with or without a colon off the front of a text.
func readZone(p *timeParts, s string) (string, bool) {
	for _, name := range []string{"UTC", "GMT", "Z", "z"} {
		if rest, ok := strings.CutPrefix(s, name); ok {
			return rest, true
		}
	}
	for _, width := range []int{len("+00:00"), len("+0000"), len("+00")} {
		if len(s) < width {
			continue
		}
		if offset, ok := parseOffset(s[:width]); ok {
			p.offset = offset
			return s[width:], true
		}
	}
	return s, false
}

// timeParts are the parts of a time that a format has read.
type timeParts struct {
	year, month, day, yearDay           int
	hour, hour12, minute, second, nanos int
	epoch                               int64
	offset                              time.Duration
	afternoon                           bool
	hasYear, hasYearDay, hasHour12      bool
	hasEpoch                            bool
}

// setShortYear reads two digits as POSIX does: 69 to 99 are of the last century.
func (p *timeParts) setShortYear(n int) {
	p.year, p.hasYear = 2000+n, true
	if n >= 69 {
		p.year = 1900 + n
	}
}

// time puts the parts together. It reports false for what no calendar or clock shows.
func (p *timeParts) time() (time.Time, bool) {
	if p.hasEpoch {
		return time.Unix(p.epoch, int64(p.nanos)).UTC(), true
	}
	if p.hasHour12 {
		if p.hour12 < 1 || p.hour12 > 12 {
			return time.Time{}, false
		}
		p.hour = p.hour12 % 12
		if p.afternoon {
			p.hour += 12
		}
	}
	if p.hour > 23 || p.minute > 59 || p.second > 59 {
		return time.Time{}, false
	}
	if p.hasYearDay {
		p.month, p.day = 1, p.yearDay
	}
	t := time.Date(p.year, time.Month(p.month), p.day, p.hour, p.minute, p.second, p.nanos, time.UTC)
	if p.hasYearDay && (t.Year() != p.year || t.YearDay() != p.yearDay) {
		return time.Time{}, false
	}
	if !p.hasYearDay && (int(t.Month()) != p.month || t.Day() != p.day) {
		return time.Time{}, false
	}
	return t.Add(-p.offset), true
}
