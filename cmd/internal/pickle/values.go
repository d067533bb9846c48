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
