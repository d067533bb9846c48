// Package pickle reads the data that Python's pickle module writes, protocols 2 to 5: None, bool, int,
// float, str, bytes, list, tuple, set, dict, and dates and times. A pickle is a program for a machine
// with a stack, which can call any function of Python. Read knows no functions: what would name one is
// an error.
package pickle

import (
	"fmt"
	"time"
)

// What a file may hold, so that a few bytes cannot take all memory.
const (
	MaxBytes  = 16 << 20 // of a pickle
	maxValues = 200_000  // steps of the machine, and values in what it makes
	maxDepth  = 100      // of values in values
	maxLong   = 128      // bytes of an int
)

// A List is a list, tuple, set, frozenset.
type List struct{ Items []any }

// A Dict is a dict, in the order in which it was written.
type Dict struct {
	Pairs []Pair
	named map[string]int // where the keys that are texts are
}

// A Pair is an entry of a Dict.
type Pair struct{ Key, Value any }

// set does what d[key] = value does, for keys that are texts. Of others, none is looked for twice: what
// Python writes has each key once.
func (d *Dict) set(key, value any) {
	if name, ok := key.(string); ok {
		if i, ok := d.named[name]; ok {
			d.Pairs[i].Value = value
			return
		}
		if d.named == nil {
			d.named = map[string]int{}
		}
		d.named[name] = len(d.Pairs)
	}
	d.Pairs = append(d.Pairs, Pair{key, value})
}

// An Error says where in a pickle something is wrong.
type Error struct {
	Offset  int // of the instruction
	Op      string
	Problem string
}

func (e *Error) Error() string {
	if e.Op == "" {
		return fmt.Sprintf("offset %d: %s", e.Offset, e.Problem)
	}
	return fmt.Sprintf("offset %d: %s: %s", e.Offset, e.Op, e.Problem)
}

// A bound counts what a value holds. One that holds itself, or the same over and over, holds too much.
type bound struct{ left int }

func (b *bound) check(v any, depth int) string {
	if b.left--; b.left < 0 {
		return fmt.Sprintf("holds more than %d values", maxValues)
	}
	if depth > maxDepth {
		return fmt.Sprintf("values in values, more than %d deep", maxDepth)
	}
	switch v := v.(type) {
	case *List:
		for _, item := range v.Items {
			if problem := b.check(item, depth+1); problem != "" {
				return problem
			}
		}
	case *Dict:
		for _, p := range v.Pairs {
			for _, part := range []any{p.Key, p.Value} {
				if problem := b.check(part, depth+1); problem != "" {
					return problem
				}
			}
		}
	case class:
		return fmt.Sprintf("holds the class %s itself, which is no data", string(v))
	case *time.Location:
		return "holds a time zone by itself, which no state needs"
	}
	return ""
}

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
