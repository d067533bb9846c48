package engine

import (
	"strings"
	"testing"
)

// What is nested so deep that a tool which goes through it would end the process, or longer than a script may be, is
// refused with a place; comments are kept.
func TestParseScript(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"as it is":     {"x = 1  # one\n", ""},
		"many terms":   {"x = 1" + strings.Repeat(" + 1", 1500) + "\n", ""},
		"too many":     {"y = 0\nx = 1" + strings.Repeat(" + 1", 400_000/4) + "\n", "t.star:2:5: nested deeper than 2000 levels: split it up"},
		"members":      {"x = http" + strings.Repeat(".a", 100_000) + "\n", "nested deeper than 2000 levels"},
		"just so long": {strings.Repeat("#", MaxScriptFile), ""},
		"too long":     {strings.Repeat("#", MaxScriptFile+1), "t.star:1:1: 1048577 bytes, a file of a script may have 1048576"},
		"no script":    {"x = (", "t.star:1:6: "},
	} {
		f, err := ParseScript("t.star", []byte(c.text))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %q in it", name, err, c.want)
		}
		if name == "as it is" && len(f.Stmts[0].Comments().Suffix) != 1 {
			t.Errorf("the comment is gone")
		}
	}
}
