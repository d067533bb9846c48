package main

import (
	"strings"
	"testing"
	"time"
)

func TestTheFirstStageOnAStackCounts(t *testing.T) {
	t.Parallel()
	const line = "-----------+-------------------------------------------------------\n"
	times, err := read(strings.NewReader("File: starling\nType: cpu\n" + line +
		"      10ms   runtime.memmove\n             starling/builtins.devoSend\n             go.starlark.net/starlark.Call\n" + line +
		"     1.20s   runtime.memmove\n             starling/engine.(*Pull).Stage\n             starling/builtins.devoSend\n" + line +
		"      20ms   runtime.futex\n" + line))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]time.Duration{"map rows": 10 * time.Millisecond, "frame, compress": 1200 * time.Millisecond, rest: 20 * time.Millisecond}
	for _, name := range append(names(), rest) {
		if times[name] != want[name] {
			t.Errorf("%s: got %v, want %v", name, times[name], want[name])
		}
	}
}
