package builtins

import (
	"encoding"
	"fmt"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// A Time is a moment in a script, in UTC, to the nanosecond. It prints as RFC 3339 with a Z and no
// more fraction digits than it has, which is how APIs and events want it. Times compare, are equal
// when they are the same moment, and can be keys of a dict.
//
//	t.year .month .day .hour .minute .second    ints
//	t.weekday                                   1 is Monday, 7 is Sunday (ISO 8601)
//	t.unix .unix_ms                             whole seconds and milliseconds since 1970
//	t.format("%Y-%m-%d")                        as strftime
//	t.floor("1h") t.ceil("1h")                  the nearest multiple that is not later, not earlier
//	t + duration, t - duration, t - t
type Time struct{ t time.Time }

var (
	_ starlark.TotallyOrdered = Time{}
	_ starlark.HasAttrs       = Time{}
	_ starlark.HasBinary      = Time{}
	_ encoding.TextMarshaler  = Time{}
)

// timeValue returns t as a value of scripts. Its year must be one that four digits can write.
func timeValue(t time.Time) Time { return Time{t.UTC().Round(0)} } // without the monotonic clock

// timeArg reads a time that a script hands to a builtin: a time value, or a text as APIs write them.
func timeArg(v starlark.Value) (time.Time, error) {
	switch v := v.(type) {
	case Time:
		return v.t, nil
	case starlark.String:
		return parseTime(string(v))
	}
	return time.Time{}, fmt.Errorf("got %s, want a time or a text such as \"2026-01-02T03:04:05Z\"", v.Type())
}

// Time returns the moment, in UTC.
func (t Time) Time() time.Time { return t.t }

// timeLayout is RFC 3339 with as many fraction digits as are needed.
const timeLayout = "2006-01-02T15:04:05.999999999Z"

func (t Time) String() string               { return string(t.appendTo(nil)) }
func (t Time) MarshalText() ([]byte, error) { return t.appendTo(nil), nil }
func (t Time) Type() string                 { return "time" }
func (t Time) Freeze()                      {}
func (t Time) Truth() starlark.Bool         { return true }
func (t Time) Hash() (uint32, error)        { return uint32(t.t.Unix()) ^ uint32(t.t.Nanosecond()), nil }

// appendTo writes it as timeLayout says, several times as fast.
func (t Time) appendTo(dst []byte) []byte {
	c, _ := momentCell(t.t)
	c.digits = 0
	for rest := t.t.Nanosecond(); rest > 0; c.digits++ {
		rest = rest * 10 % 1e9
	}
	return c.appendMoment(dst)
}

// Cmp orders times, the earlier first.
func (t Time) Cmp(other starlark.Value, _ int) (int, error) { return t.t.Compare(other.(Time).t), nil }

// AttrNames lists what Attr knows.
func (t Time) AttrNames() []string {
	return []string{"ceil", "day", "floor", "format", "hour", "minute", "month", "second", "unix", "unix_ms", "weekday", "year"}
}

// Attr gives the parts of the time and its methods.
func (t Time) Attr(name string) (starlark.Value, error) {
	switch name {
	case "year":
		return starlark.MakeInt(t.t.Year()), nil
	case "month":
		return starlark.MakeInt(int(t.t.Month())), nil
	case "day":
		return starlark.MakeInt(t.t.Day()), nil
	case "hour":
		return starlark.MakeInt(t.t.Hour()), nil
	case "minute":
		return starlark.MakeInt(t.t.Minute()), nil
	case "second":
		return starlark.MakeInt(t.t.Second()), nil
	case "weekday":
		return starlark.MakeInt((int(t.t.Weekday())+6)%7 + 1), nil
	case "unix":
		return starlark.MakeInt64(t.t.Unix()), nil
	case "unix_ms":
		return starlark.MakeInt64(t.t.UnixMilli()), nil
	case "format":
		return starlark.NewBuiltin("time.format", timeFormat).BindReceiver(t), nil
	case "floor":
		return starlark.NewBuiltin("time.floor", timeFloor).BindReceiver(t), nil
	case "ceil":
		return starlark.NewBuiltin("time.ceil", timeCeil).BindReceiver(t), nil
	}
	return nil, nil
}

// Binary is time + duration, duration + time, time - duration and time - time.
func (t Time) Binary(op syntax.Token, y starlark.Value, side starlark.Side) (starlark.Value, error) {
	switch y := y.(type) {
	case Duration:
		switch {
		case op == syntax.PLUS:
			return checkedTime(t.t.Add(time.Duration(y)))
		case op == syntax.MINUS && side == starlark.Left:
			// In two parts, because the most negative duration has no opposite.
			return checkedTime(t.t.Add(-time.Duration(y / 2)).Add(-time.Duration(y - y/2)))
		}
	case Time:
		if op == syntax.MINUS && side == starlark.Left {
			return Duration(t.t.Sub(y.t)), nil
		}
	case starlark.String, starlark.Int, starlark.Float:
		if side == starlark.Left && (op == syntax.PLUS || op == syntax.MINUS) {
			return nil, fmt.Errorf("time %s %s: want a duration, such as time.duration(%q)", op, y.Type(), "5m")
		}
	}
	return nil, nil
}

func timeFormat(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var layout string
	if err := unpack(b, args, kwargs, 1, "layout", &layout); err != nil {
		return nil, err
	}
	text, err := formatTime(b.Receiver().(Time).t, layout)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return starlark.String(text), nil
}

func timeFloor(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	floor, _, err := timeRound(b, args, kwargs)
	if err != nil {
		return nil, err
	}
	return checkedTime(floor)
}

func timeCeil(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	floor, unit, err := timeRound(b, args, kwargs)
	if err != nil {
		return nil, err
	}
	t := b.Receiver().(Time)
	if floor.Equal(t.t) {
		return t, nil
	}
	return checkedTime(floor.Add(unit))
}

// timeRound cuts a time down to a multiple of a unit. Multiples count from Monday, January 1 of the
// year 1, UTC: hours, days and weeks begin where people expect them to.
func timeRound(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (floor time.Time, unit time.Duration, err error) {
	var value starlark.Value
	if err := unpack(b, args, kwargs, 1, "unit", &value); err != nil {
		return floor, 0, err
	}
	if unit, err = durationArg(value); err != nil {
		return floor, 0, fmt.Errorf("%s: %w", b.Name(), err)
	}
	if unit <= 0 {
		return floor, 0, fmt.Errorf("%s: got %v, want a duration longer than zero", b.Name(), Duration(unit))
	}
	return b.Receiver().(Time).t.Truncate(unit), unit, nil
}
