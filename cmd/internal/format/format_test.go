package format

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSource(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"spaces", "x=f( a,b = 1 )\n", "x = f(a, b = 1)\n"},
		{"indentation", "def f():\n  return  1\n", "def f():\n    return 1\n"},
		{"comments stay", "x = 1 # why\n# and\n", "x = 1  # why\n# and\n"},
		{"loads stay in order", "load('b.star','y','x')\nload('a.star','z')\n", "load(\"b.star\", \"y\", \"x\")\nload(\"a.star\", \"z\")\n"},
		{"brackets of a condition stay or go, the meaning stays", "x = (1+2)*3\n", "x = (1 + 2) * 3\n"},
		{"bytes", "x=[b'ä',1 if b\"\"\"a\nb\"\"\" else b'c']\n", "x = [b'ä', 1 if b\"\"\"a\nb\"\"\" else b'c']\n"},
		{"empty", "", ""},
	} {
		got, err := Source("x.star", []byte(c.text))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

func TestWhatIsNotSureIsAnError(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"x = (\n", "x.star:2:"},
		{"x = 1\nwhile x:\n    pass\n", "x.star:2:"},
	} {
		got, err := Source("x.star", []byte(c.text))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q: got %q, %v, want an error that begins with %s", c.text, got, err, c.want)
		}
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	if got := Diff("x.star", []byte("a\n"), []byte("a\n")); got != nil {
		t.Errorf("got %q of equal texts", got)
	}
	got := string(Diff("x.star", []byte("x=1\ny = 2\n"), []byte("x = 1\ny = 2\n")))
	if !strings.Contains(got, "\n-x=1\n+x = 1\n y = 2\n") {
		t.Errorf("got %s", got)
	}
}

// FuzzSource: what comes out says the same, and is in its form already.
func FuzzSource(f *testing.F) {
	for _, pattern := range []string{"../../../scripts/*.star", "../../../scripts/lib/*.star", "../../../builtins/testdata/*.star"} {
		files, err := filepath.Glob(pattern)
		if err != nil || files == nil {
			f.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		once, err := Source("x.star", text)
		if err != nil {
			return
		}
		twice, err := Source("x.star", once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("formatted twice: %v\n%q\n%q", err, once, twice)
		}
	})
}
