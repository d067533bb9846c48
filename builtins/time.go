package builtins

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// newTime makes the module time. Times are UTC, durations are exact, and the clock is the pull's.
//
//	time.now()                           when it is, while a pull runs
//	time.parse(text, format, *, default) what APIs write: RFC 3339 and its relatives, /Date(ms)/, or format
//	time.from_epoch(seconds, *, ms)      a time from a count since 1970
//	time.duration(value)                 from "1h30m", "10d" or a number of seconds
//
// format has the directives of strftime; see timeDirectives for which.
func newTime() *starlarkstruct.Module {
	return module("time", map[string]builtinFunc{
		"now":        timeNow,
		"parse":      timeParse,
		"from_epoch": timeFromEpoch,
		"duration":   timeDuration,
	})
}

func timeNow(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := unpack(b, args, kwargs, 0); err != nil {
		return nil, err
	}
	p, err := pullFor(thread, b)
	if err != nil {
		return nil, err
	}
	return timeValue(p.Now()), nil
}

func timeParse(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text, otherwise starlark.Value
	var format string
	if err := unpack(b, args, kwargs, 2, "text", &text, "format??", &format, "default?", &otherwise); err != nil {
		return nil, err
	}
	v, err := parsedTime(text, format)
	if err != nil && otherwise != nil {
		return otherwise, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return v, nil
}

func parsedTime(text starlark.Value, format string) (starlark.Value, error) {
	s, ok := starlark.AsString(text)
	if !ok {
		return nil, fmt.Errorf("got %s, want a string", text.Type())
	}
	parse := parseTime
	if format != "" {
		parse = func(s string) (time.Time, error) { return parseTimeAs(s, format) }
	}
	t, err := parse(s)
	if err != nil {
		return nil, err
	}
	return checkedTime(t)
}

func timeFromEpoch(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var seconds, ms starlark.Value
	if err := unpack(b, args, kwargs, 1, "seconds??", &seconds, "ms??", &ms); err != nil {
		return nil, err
	}
	count, unit := seconds, int64(time.Second)
	if seconds == nil {
		count, unit = ms, int64(time.Millisecond)
	}
	if (seconds == nil) == (ms == nil) {
		return nil, fmt.Errorf("%s: want seconds or ms, one of them", b.Name())
	}
	t, err := epochTime(count, unit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return t, nil
}

// epochTime returns the time that is count units of nanoseconds after 1970. It is exact, also for
// fractions, as far as a float is.
func epochTime(count starlark.Value, unit int64) (starlark.Value, error) {
	nanos := new(big.Int)
	switch n := count.(type) {
	case starlark.Int:
		nanos.Mul(n.BigInt(), big.NewInt(unit))
	case starlark.Float:
		if f := float64(n); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("got %v, want a number", n)
		}
		exact := new(big.Float).SetFloat64(float64(n))
		exact.SetPrec(128).Mul(exact, new(big.Float).SetInt64(unit)).Int(nanos)
	default:
		return nil, fmt.Errorf("got %s, want a number", count.Type())
	}
	seconds, rest := new(big.Int).DivMod(nanos, big.NewInt(int64(time.Second)), new(big.Int))
	if !seconds.IsInt64() {
		return nil, errYear
	}
	return checkedTime(time.Unix(seconds.Int64(), rest.Int64()))
}

func timeDuration(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var value starlark.Value
	if err := unpack(b, args, kwargs, 1, "value", &value); err != nil {
		return nil, err
	}
	d, err := durationArg(value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return Duration(d), nil
}

var errYear = errors.New("out of range: a time has a year from 0 to 9999")

// checkedTime is timeValue for times that a script has computed or an API has sent: it refuses those
// whose year four digits cannot write.
func checkedTime(t time.Time) (starlark.Value, error) {
	if y := t.UTC().Year(); y < 0 || y > 9999 {
		return nil, errYear
	}
	return timeValue(t), nil
}
