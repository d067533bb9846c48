package main

import (
	"strings"
	"testing"

	"starling/engine"
)

// TestScriptsAreBounded: what is cut off would be another script.
func TestScriptsAreBounded(t *testing.T) {
	t.Parallel()
	for size, ok := range map[int]bool{engine.MaxScriptFile: true, engine.MaxScriptFile + 1: false} {
		text, err := readBounded("x.star", strings.NewReader(strings.Repeat("#", size)))
		if (err == nil) != ok || ok && len(text) != size {
			t.Errorf("%d bytes: got %d, %v", size, len(text), err)
		}
	}
}
