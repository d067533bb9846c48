package engine

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

const halfRun = `"""Doc."""
greeting = setting("greeting")
names = [
    "a",
    "b",
]

def pull():
    """Pulls."""
    for name in names:
        if name == "c":
            send(greeting)
        elif name == "a":
            pass
        else:
            send(greeting +
                 name)
    broken()

def never(
    x):
    return x

def broken():
    return [][1]
`

func TestStatementsThatRan(t *testing.T) {
	t.Parallel()
	var texts []string
	for _, marks := range []*Statements{nil, {}} {
		l := &Library{Predeclared: testPredeclared(), Statements: marks, Builtin: fstest.MapFS{"a.star": {Data: []byte(halfRun)},
			"a_test.star": {Data: []byte("settings = {\"greeting\": \"hi\"}\ndef test_a(t):\n    t.equal(t.script.broken.__doc__, 1)\n" +
				"def test_b(t):\n    t.script.pull()\n")}}}
		sources, err := l.Read()
		if err != nil {
			t.Fatal(err)
		}
		r := l.Test(t.Context(), sources, "a_test.star", Limits{}.WithDefaults())
		texts = append(texts, r.Err().Error())
		if marks == nil {
			continue
		}
		ran := map[string]int64{}
		for _, s := range marks.All() {
			if s.File == "builtin:a.star" {
				ran[fmt.Sprintf("%d-%d", s.Line, s.EndLine)] = s.Runs()
			}
		}
		want := map[string]int64{"2-2": 1, "3-6": 1, "8-8": 1, "10-10": 1, "11-11": 2, "12-12": 0, "13-13": 2, "14-14": 1, "16-17": 1, "18-18": 1,
			"20-21": 1, "22-22": 0, "24-24": 1, "25-25": 1}
		want["2-2"], want["3-6"], want["8-8"], want["20-21"], want["24-24"] = 2, 2, 2, 2, 2 // loaded by both tests
		if fmt.Sprint(ran) != fmt.Sprint(want) {
			t.Errorf("got  %v\nwant %v", ran, want)
		}
	}
	if texts[0] != texts[1] || !strings.Contains(texts[0], "a.star:25:14: index 1 out of range") {
		t.Errorf("errors have other places with marks:\n%s\n%s", texts[0], texts[1])
	}
}
