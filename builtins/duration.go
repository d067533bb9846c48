package builtins

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// A Duration is a length of time in a script. It prints as it is written there, such as "1h30m" or
// "10d", and compares, adds, subtracts, divides and multiplies like a number. Its attribute
// .seconds is a float. Longer than about 292 years does not fit and is held at that.
type Duration time.Duration

var (
	_ starlark.TotallyOrdered = Duration(0)
	_ starlark.HasBinary      = Duration(0)
	_ starlark.HasUnary       = Duration(0)
	_ starlark.HasAttrs       = Duration(0)
)

func (d Duration) Type() string          { return "duration" }
func (d Duration) Freeze()               {}
func (d Duration) Truth() starlark.Bool  { return d != 0 }
func (d Duration) Hash() (uint32, error) { return uint32(d) ^ uint32(int64(d)>>32), nil }

// String returns the text that parseDuration reads back: whole days as days, no units that are zero.
func (d Duration) String() string {
	const day = Duration(24 * time.Hour)
	if d != 0 && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Cmp orders durations by length.
func (d Duration) Cmp(other starlark.Value, _ int) (int, error) {
	o := other.(Duration)
	switch {
	case d < o:
		return -1, nil
	case d > o:
		return 1, nil
	}
	return 0, nil
}

// Attr gives the parts a script may read.
func (d Duration) Attr(name string) (starlark.Value, error) {
	if name == "seconds" {
		return starlark.Float(time.Duration(d).Seconds()), nil
	}
	return nil, nil
}

// AttrNames lists what Attr knows.
func (d Duration) AttrNames() []string { return []string{"seconds"} }

// Unary is + and -.
func (d Duration) Unary(op syntax.Token) (starlark.Value, error) {
	switch op {
	case syntax.PLUS:
		return d, nil
	case syntax.MINUS:
		return saturate(-float64(d), -d), nil
	}
	return nil, nil
}

// Binary is duration + - / // % duration, and duration * / // number.
func (d Duration) Binary(op syntax.Token, y starlark.Value, side starlark.Side) (starlark.Value, error) {
	switch y := y.(type) {
	case Duration:
		if side == starlark.Right {
			d, y = y, d
		}
		return durationOp(op, d, y)
	case starlark.Int, starlark.Float:
		f, ok := starlark.AsFloat(y)
		if !ok || math.IsNaN(f) {
			return nil, fmt.Errorf("duration %s %s: not a number that fits", op, y)
		}
		return durationScale(op, d, f, side)
	}
	return nil, nil
}

func durationOp(op syntax.Token, x, y Duration) (starlark.Value, error) {
	switch op {
	case syntax.PLUS:
		return saturate(float64(x)+float64(y), x+y), nil
	case syntax.MINUS:
		return saturate(float64(x)-float64(y), x-y), nil
	case syntax.SLASH, syntax.SLASHSLASH, syntax.PERCENT:
		if y == 0 {
			return nil, errors.New("duration division by zero")
		}
	}
	switch op {
	case syntax.SLASH:
		return starlark.Float(float64(x) / float64(y)), nil
	case syntax.SLASHSLASH:
		return starlark.MakeInt64(floorDiv(int64(x), int64(y))), nil
	case syntax.PERCENT:
		return x - Duration(floorDiv(int64(x), int64(y)))*y, nil
	}
	return nil, nil
}

func durationScale(op syntax.Token, d Duration, f float64, side starlark.Side) (starlark.Value, error) {
	if op == syntax.STAR {
		if i := int64(f); float64(i) == f && math.Abs(float64(d)*f) < 1<<62 {
			return d * Duration(i), nil
		}
		return saturate(float64(d)*f, Duration(float64(d)*f)), nil
	}
	if side == starlark.Right || (op != syntax.SLASH && op != syntax.SLASHSLASH) {
		return nil, nil
	}
	if f == 0 {
		return nil, errors.New("duration division by zero")
	}
	quotient := float64(d) / f
	return saturate(quotient, Duration(quotient)), nil
}

// saturate returns exact unless the same result as a float says that it overflowed.
func saturate(approx float64, exact Duration) Duration {
	switch {
	case approx >= math.MaxInt64:
		return math.MaxInt64
	case approx <= math.MinInt64:
		return math.MinInt64
	}
	return exact
}

func floorDiv(x, y int64) int64 {
	q := x / y
	if x%y != 0 && (x < 0) != (y < 0) {
		q--
	}
	return q
}

// durationArg reads a duration that a script hands to a builtin: a text such as "5m", "1h30m" or
// "10d", a number of seconds, or a duration value. The result may be negative only when the script
// computed it; callers check their own range.
func durationArg(v starlark.Value) (time.Duration, error) {
	switch v := v.(type) {
	case Duration:
		return time.Duration(v), nil
	case starlark.String:
		return parseDuration(string(v))
	case starlark.Int:
		f, _ := new(big.Float).SetInt(v.BigInt()).Float64()
		return time.Duration(seconds(f)), nil
	case starlark.Float:
		if math.IsNaN(float64(v)) {
			return 0, errors.New("got nan, want a duration")
		}
		return time.Duration(seconds(float64(v))), nil
	}
	return 0, fmt.Errorf(`got %s, want a duration such as "5m" or a number of seconds`, v.Type())
}

// seconds returns a Duration of n seconds, held at the longest that fits.
func seconds(n float64) Duration {
	ns := n * float64(time.Second)
	return saturate(ns, Duration(math.Round(ns)))
}

// parseDuration reads what time.ParseDuration reads, without a sign, and days as "d".
func parseDuration(text string) (time.Duration, error) {
	bad := fmt.Errorf(`got %q, want a duration such as "90s", "5m", "1h30m" or "10d"`, text)
	rest, days := text, 0.0
	if before, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseFloat(before, 64)
		if err != nil || strings.Trim(before, "0123456789.") != "" {
			return 0, bad
		}
		rest, days = after, n
	}
	if rest == "" && text != "" {
		return time.Duration(seconds(days * 86400)), nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || strings.ContainsAny(rest, "+-") {
		return 0, bad
	}
	return time.Duration(saturate(days*86400e9+float64(d), Duration(days*86400e9)+Duration(d))), nil
}
