package lint

import (
	"strings"
	"testing"

	"starling/cmd/internal/source"
)

// found returns what lint finds in a script; text returns the other files of its folder.
func found(t *testing.T, text func(string) ([]byte, bool), script string) []Finding {
	t.Helper()
	r, err := source.NewReader(text)
	if err != nil {
		t.Fatal(err)
	}
	return File(r, "a.star", "a.star", []byte(script))
}

// TestOneCommentIgnoresOneLine: what it names there, all of it, and nothing else; a second comment has nothing left to ignore.
func TestOneCommentIgnoresOneLine(t *testing.T) {
	t.Parallel()
	var got []string
	for _, f := range found(t, nil, strings.Join([]string{
		"# lint: ignore unknown-member both are meant so",
		`a = ["x".lowr(), "x".upr()]  # lint: ignore unknown-member again`,
		`b = "x".lowr()`,
		`c = "x".lowr()  # lint: ignore unknown-membr it is meant so`,
		`d = nowhere  # lint: ignore undefined it is meant so`,
	}, "\n")) {
		got = append(got, f.Code+" "+f.Message)
	}
	want := []string{"bad-ignore there is no unknown-member here to ignore", "unknown-member a string has no .lowr (did you mean lower?)",
		"unknown-member a string has no .lowr (did you mean lower?)", `bad-ignore there is no lint "unknown-membr" (did you mean unknown-member?)`, `bad-ignore there is no lint "undefined"`}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestTestsAreReadOnce, however many names are asked for in them: a name behind a dot is used there.
func TestTestsAreReadOnce(t *testing.T) {
	t.Parallel()
	read := 0
	text := func(name string) ([]byte, bool) {
		if name != "a_test.star" {
			return nil, false
		}
		read++
		return []byte("def test_a(t):\n    t.equal(t.script.used, t.script.größe)\n"), true
	}
	var unused []string
	for _, f := range found(t, text, "devo.table(\"my.app.a\")\nused = 1\nuse = 1\ngröße = 1\ngröß = 1\n\ndef pull():\n    pass\n") {
		unused = append(unused, f.Code+" "+f.Message)
	}
	if got := strings.Join(unused, "\n"); got != "unused-variable use gets a value that nothing reads\nunused-variable größ gets a value that nothing reads" {
		t.Errorf("got\n%s", got)
	}
	if read > 2 { // by missing-test too
		t.Errorf("the tests are read %d times", read)
	}
}
