package builtins

import (
	"math"
	"testing"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

func TestDurationTextIsReadAndPrintedTheSame(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"0s": 0, "90ms": 90 * time.Millisecond, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "25h": 25 * time.Hour,
		"10d": 240 * time.Hour, "1h0m5s": time.Hour + 5*time.Second, "10s": 10 * time.Second, "20m": 20 * time.Minute,
	} {
		got, err := parseDuration(text)
		if err != nil || got != want {
			t.Errorf("parseDuration(%q) = %v, %v, want %v", text, got, err, want)
		}
		if printed := Duration(want).String(); printed != text {
			t.Errorf("%v prints as %q, want %q", want, printed, text)
		}
	}
	if got, err := parseDuration("1d12h"); err != nil || got != 36*time.Hour {
		t.Errorf("1d12h = %v, %v", got, err)
	}
}

func TestWrongDurationsAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "5", "d", "-5m", "+5m", "-1d", "1d-2h", "5 m", "ten", "1e3d", "NaNd", "infd"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("parseDuration(%q) = %v, want an error", text, got)
		}
	}
	if _, err := durationArg(starlark.None); err == nil {
		t.Error("None is no duration")
	}
	if _, err := durationArg(starlark.Float(math.NaN())); err == nil {
		t.Error("nan is no duration")
	}
}

func TestDurationTooLongIsHeldAtTheLongest(t *testing.T) {
	t.Parallel()
	for _, v := range []starlark.Value{starlark.MakeInt64(86_400_000_000), starlark.Float(1e300), starlark.String("1000000d"), starlark.String("106751d24h")} {
		got, err := durationArg(v)
		if err != nil || got < 292*365*24*time.Hour {
			t.Errorf("durationArg(%v) = %v, %v", v, got, err)
		}
	}
}

func TestDurationArithmetic(t *testing.T) {
	t.Parallel()
	env := starlark.StringDict{"h": Duration(time.Hour), "m": Duration(time.Minute)}
	for expr, want := range map[string]string{
		"h + m": "1h1m", "h - m": "59m", "m - h": "-59m", "h * 2": "2h", "2 * h": "2h", "h * 0.5": "30m", "h / 2": "30m",
		"h // 7 > m": "True", "h / m": "60.0", "h // m": "60", "(h + m) % h": "1m", "h > m": "True", "h == m * 60": "True",
		"m.seconds": "60.0", "-m": "-1m", "{h: 1}[m * 60]": "1", "h * 100000000000 > h": "True",
	} {
		got, err := starlark.EvalOptions(&syntax.FileOptions{}, new(starlark.Thread), "x", expr, env)
		if err != nil || got.String() != want {
			t.Errorf("%s = %v, %v, want %s", expr, got, err, want)
		}
	}
	for _, expr := range []string{"h / 0", "h // (m - m)", "2 / h", "h + 1", "h * 'x'"} {
		if got, err := starlark.EvalOptions(&syntax.FileOptions{}, new(starlark.Thread), "x", expr, env); err == nil {
			t.Errorf("%s = %v, want an error", expr, got)
		}
	}
}
