package pickle

import (
	"fmt"
	"slices"
	"time"
)

// A class is one of those of Python that are data and nothing else.
type class string

const (
	datetimeClass  class = "datetime.datetime"
	timezoneClass  class = "datetime.timezone"
	timedeltaClass class = "datetime.timedelta"
)

func dataClass(name string) (class, bool) {
	switch c := class(name); c {
	case datetimeClass, timezoneClass, timedeltaClass:
		return c, true
	}
	return "", false
}

// make does what calling the class with args does. A time without a zone is UTC, as Devo's collectors
// write it.
func (c class) make(args []any) (any, bool) {
	switch c {
	case datetimeClass:
		if len(args) == 0 || len(args) > 2 {
			return nil, false
		}
		packed, ok := args[0].([]byte)
		if !ok || len(packed) != 10 {
			return nil, false
		}
		zone := time.UTC
		if len(args) == 2 {
			if zone, ok = args[1].(*time.Location); !ok {
				return nil, false
			}
		}
		return unpackTime(packed, zone)
	case timezoneClass:
		if len(args) != 1 && len(args) != 2 { // the second is a name
			return nil, false
		}
		offset, ok := args[0].(time.Duration)
		if !ok || offset.Abs() >= 24*time.Hour {
			return nil, false
		}
		return time.FixedZone("", int(offset/time.Second)), true
	case timedeltaClass:
		units := [...]time.Duration{24 * time.Hour, time.Second, time.Microsecond}
		most := [...]int64{100_000, 86_399, 999_999} // of days: as many as fit
		if len(args) != len(units) {
			return nil, false
		}
		var sum time.Duration
		for i, arg := range args {
			n, ok := arg.(int64)
			if !ok || n > most[i] || n < -most[i] {
				return nil, false
			}
			sum += time.Duration(n) * units[i]
		}
		return sum, true
	}
	return nil, false
}

// unpackTime reads the ten bytes of a datetime: year, month, day, hour, minute, second, microsecond.
func unpackTime(b []byte, zone *time.Location) (any, bool) {
	year, month, micro := int(b[0])<<8|int(b[1]), int(b[2]&0x7f), int(b[7])<<16|int(b[8])<<8|int(b[9])
	day, hour, minute, second := int(b[3]), int(b[4]), int(b[5]), int(b[6])
	if year < 1 || year > 9999 || hour > 23 || minute > 59 || second > 59 || micro > 999_999 {
		return nil, false
	}
	at := time.Date(year, time.Month(month), day, hour, minute, second, micro*1000, zone)
	return at.UTC(), month >= 1 && day >= 1 && at.Day() == day && int(at.Month()) == month
}

// global names something of Python. Only classes of dates and times are data.
func (m *machine) global(op opcode) string {
	var name string
	if op == opGlobal {
		var lines [2]string
		for i := range lines {
			end := slices.Index(m.data[m.next:], '\n')
			if end < 0 {
				return cutShort
			}
			line, _ := m.take(end + 1)
			lines[i] = string(line[:end])
		}
		name = lines[0] + "." + lines[1]
	} else {
		names, ok := m.pop(2)
		if !ok {
			return noValues
		}
		module, isText := names[0].(string)
		member, isText2 := names[1].(string)
		if !isText || !isText2 {
			return badArgs
		}
		name = module + "." + member
	}
	c, ok := dataClass(name)
	if !ok {
		return fmt.Sprintf("refused: it names %.100q, and state is data", name)
	}
	return m.push(c)
}

// reduce calls what global has named.
func (m *machine) reduce() string {
	values, ok := m.pop(2)
	if !ok {
		return noValues
	}
	c, isClass := values[0].(class)
	args, isList := values[1].(*List)
	if !isClass || !isList {
		return badArgs
	}
	v, ok := c.make(args.Items)
	if !ok {
		return fmt.Sprintf("these are no values of a %s", string(c))
	}
	return m.push(v)
}
