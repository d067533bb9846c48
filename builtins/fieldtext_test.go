package builtins

import (
	"strings"
	"testing"

	"go.starlark.net/starlark"
)

func TestLowerIsThatOfTheStandardLibrary(t *testing.T) {
	t.Parallel()
	r := newRun(compile(nil), &starlark.Thread{}, nil)
	check := func(s string) {
		t.Helper()
		if got, want := r.lower(s), strings.ToLower(s); got != want {
			t.Fatalf("%q: got %q, want %q", s, got, want)
		}
	}
	for c := range 256 {
		for place := range 19 {
			check(strings.Repeat("x", place) + string([]byte{byte(c)}) + strings.Repeat("Y", 18-place))
		}
	}
	for _, s := range []string{"", "a", "Z", "ÄÖÜ", "ABCDEFGHé", "straße@EXAMPLE.com", "İstanbul", "[@`{AZaz"} {
		check(s)
	}
	kept := r.lower("FIRST")
	r.lower("SECOND" + strings.Repeat("X", 10000))
	if kept != "first" {
		t.Errorf("got %q: texts of one record are in each other's way", kept)
	}
}
