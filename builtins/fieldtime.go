package builtins

import (
	"fmt"
	"math"
	"strconv"

	"go.starlark.net/starlark"
)

// timeMethods are the steps that read times and say how to write them.
var timeMethods = map[string]fieldMethod{
	"time": fieldTime,
	"iso":  fieldISO,
	"ms":   fieldMillis,
	"date": fieldDate,
}

func fieldTime(e *expression, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (*expression, error) {
	format := ""
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "format??", &format); err != nil {
		return nil, err
	}
	switch format {
	case "":
		return e.then("time()", func(r *run, c cell) cell { return r.moment(c) }), nil
	case "epoch":
		return e.then(`time("epoch")`, epochStep(1000)), nil
	case "epoch_ms":
		return e.then(`time("epoch_ms")`, epochStep(1)), nil
	default:
		return nil, fmt.Errorf(`time: got format %q, want none (ISO 8601 and /Date(…)/ are recognised), "epoch" (seconds) or "epoch_ms"`, format)
	}
}

// moment reads a text as a time, unless it is one already.
func (r *run) moment(c cell) cell {
	if c.kind == moment {
		return c
	}
	if s, ok := c.str(); ok {
		if at, ok := parseMoment(s); ok {
			return at
		}
	}
	return r.fail(c)
}

// epochStep reads a number, or a text of one, in units of so many milliseconds.
func epochStep(unit float64) func(*run, cell) cell {
	return func(r *run, c cell) cell {
		s, ok := c.scalar()
		if !ok || c.kind == boolean || c.kind == moment {
			return r.fail(c)
		}
		if n, err := strconv.ParseInt(s, 10, 53); err == nil {
			if at, ok := epochCell(n * int64(unit)); ok {
				return at
			}
			return r.fail(c)
		}
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(f) || math.Abs(f) > 1<<53 {
			return r.fail(c)
		}
		if at, ok := epochCell(int64(math.Round(f * unit))); ok {
			return at
		}
		return r.fail(c)
	}
}

func fieldISO(e *expression, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (*expression, error) {
	digits := defaultDigits
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "digits?", &digits); err != nil {
		return nil, err
	}
	if digits < 0 || digits > 9 {
		return nil, fmt.Errorf("iso: got %d digits, want 0 to 9", digits)
	}
	return e.then(fmt.Sprintf("iso(%d)", digits), writtenWith(int8(digits))), nil
}

func fieldDate(e *expression, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (*expression, error) {
	if err := starlark.UnpackArgs(b.Name(), args, kwargs); err != nil {
		return nil, err
	}
	return e.then("date()", writtenWith(dateOnly)), nil
}

func writtenWith(digits int8) func(*run, cell) cell {
	return func(r *run, c cell) cell {
		if c = r.moment(c); !c.failed {
			c.digits = digits
		}
		return c
	}
}

// fieldMillis gives the milliseconds since 1970 as an int.
func fieldMillis(e *expression, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (*expression, error) {
	if err := starlark.UnpackArgs(b.Name(), args, kwargs); err != nil {
		return nil, err
	}
	return e.then("ms()", func(r *run, c cell) cell {
		if c = r.moment(c); c.failed {
			return c
		}
		return cell{form: form{kind: integer}, num: c.num}
	}), nil
}
