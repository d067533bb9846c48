package builtins

import (
	"fmt"
	"math"
	"strconv"

	"go.starlark.net/starlark"
)

func configInt(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var s setting
	min, max := int64(math.MinInt64), int64(math.MaxInt64)
	if err := s.unpack(thread, b, args, kwargs, "min??", &min, "max??", &max); err != nil {
		return nil, err
	}
	return s.take("int", func(v any) (starlark.Value, error) {
		i, ok := v.(int64)
		if f, isFloat := v.(float64); isFloat && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			i, ok = int64(f), true
		}
		if !ok {
			return nil, fmt.Errorf("%s, want a whole number%s", got(v), unquote(v))
		}
		if i < min || i > max {
			return nil, fmt.Errorf("got %d, %s", i, wantRange(intBound(min), intBound(max), ""))
		}
		return starlark.MakeInt64(i), nil
	})
}

func configFloat(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var s setting
	min, max := math.Inf(-1), math.Inf(1)
	if err := s.unpack(thread, b, args, kwargs, "min??", (*floatArg)(&min), "max??", (*floatArg)(&max)); err != nil {
		return nil, err
	}
	return s.take("float", func(v any) (starlark.Value, error) {
		f, ok := numberOf(v)
		if !ok {
			return nil, fmt.Errorf("%s, want a number%s", got(v), unquote(v))
		}
		if f < min || f > max {
			return nil, fmt.Errorf("%s, %s", got(v), wantRange(floatBound(min), floatBound(max), ""))
		}
		return starlark.Float(f), nil
	})
}

// A floatArg takes ints as well, which a float64 as an argument does not.
type floatArg float64

func (f *floatArg) Unpack(v starlark.Value) error {
	n, ok := starlark.AsFloat(v)
	if !ok || math.IsNaN(n) {
		return fmt.Errorf("got %s, want a number", v.Type())
	}
	*f = floatArg(n)
	return nil
}

func configBool(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var s setting
	if err := s.unpack(thread, b, args, kwargs); err != nil {
		return nil, err
	}
	return s.take("bool", func(v any) (starlark.Value, error) {
		is, ok := v.(bool)
		if !ok {
			remedy := ""
			if v == "true" || v == "false" {
				remedy = ": write it without quotes"
			}
			return nil, fmt.Errorf("%s, want true or false%s", got(v), remedy)
		}
		return starlark.Bool(is), nil
	})
}

func configSeconds(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var s setting
	var minArg, maxArg starlark.Value
	if err := s.unpack(thread, b, args, kwargs, "min??", &minArg, "max??", &maxArg); err != nil {
		return nil, err
	}
	min, err := secondsBound(minArg, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: min: %w", s.name, err)
	}
	max, err := secondsBound(maxArg, math.Inf(1))
	if err != nil {
		return nil, fmt.Errorf("%s: max: %w", s.name, err)
	}
	return s.take("seconds", func(v any) (starlark.Value, error) {
		n, err := secondsOf(v)
		if err != nil {
			return nil, err
		}
		// The range is checked on the number, which may be more than a duration can hold.
		if n < min || n > max {
			return nil, fmt.Errorf("%s, %s", got(v), wantRange(floatBound(min), floatBound(max), "seconds"))
		}
		return seconds(n), nil
	})
}

func secondsOf(v any) (float64, error) {
	switch v := v.(type) {
	case Duration:
		return secondsBound(v, 0)
	case string:
		if unquote(v) != "" {
			return 0, fmt.Errorf("got %q, want a number of seconds%s", v, unquote(v))
		}
		d, err := parseDuration(v)
		return d.Seconds(), err
	}
	n, ok := numberOf(v)
	if !ok {
		return 0, fmt.Errorf(`%s, want a number of seconds, or a text such as "5m"`, got(v))
	}
	return n, nil
}

// secondsBound reads an end of a range of seconds, which need not fit a duration.
func secondsBound(v starlark.Value, none float64) (float64, error) {
	if v == nil {
		return none, nil
	}
	if n, ok := starlark.AsFloat(v); ok && !math.IsNaN(n) {
		return n, nil
	}
	d, err := durationArg(v)
	return d.Seconds(), err
}

func numberOf(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, !math.IsNaN(v)
	}
	return 0, false
}

// unquote says what to do about a number in quotes.
func unquote(v any) string {
	if text, ok := v.(string); ok {
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			return ": write it without quotes"
		}
	}
	return ""
}

func intBound(n int64) string {
	if n == math.MinInt64 || n == math.MaxInt64 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func floatBound(f float64) string {
	if math.IsInf(f, 0) {
		return ""
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}
