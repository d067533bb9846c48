package reference

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A devoName is a name that Devo's documents have: of a setting, an output, an error, a line or a command.
type devoName struct{ section, kind, name string }

// namesOfDevo reads the list of names; ORIGINS.md beside it says where they are from.
func namesOfDevo(t *testing.T) []devoName {
	t.Helper()
	text, err := os.ReadFile("testdata/devo/names.txt")
	if err != nil {
		t.Fatal(err)
	}
	var names []devoName
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		fields := strings.SplitN(line, " ", 3)
		if len(fields) != 3 {
			t.Fatalf("names.txt: %q is no section, kind and name", line)
		}
		names = append(names, devoName{fields[0], fields[1], fields[2]})
	}
	return names
}

// devoIndex finds rows by what the documents call things.
type devoIndex struct {
	words  map[string]bool // in names and remarks of rows that are no lines
	ids    map[string]int
	lines  []*regexp.Regexp
	byText map[string]bool // patterns
}

func indexOfDevo(t *testing.T) devoIndex {
	t.Helper()
	tables, err := DevoTables()
	if err != nil {
		t.Fatal(err)
	}
	x := devoIndex{words: map[string]bool{}, ids: map[string]int{}, byText: map[string]bool{}}
	word := regexp.MustCompile(`[\w@.-]*\w`)
	for _, table := range tables {
		for _, r := range table.Rows {
			if r.ID != "" && table.Kind == "error" {
				x.ids[r.ID]++
			}
			if r.Lines != "" {
				x.lines = append(x.lines, regexp.MustCompile(r.Lines))
				x.byText[r.Lines] = true
				continue
			}
			for _, text := range []string{r.Name, r.Key, r.Says} {
				for _, w := range word.FindAllString(text, -1) {
					x.words[w] = true
					x.words[w[strings.LastIndex(w, ".")+1:]] = true
				}
			}
		}
	}
	return x
}

func (x devoIndex) has(n devoName) bool {
	switch n.kind {
	case "error":
		return x.ids[n.name] > 0
	case "line":
		return x.byText[n.name]
	}
	return x.words[n.name]
}

// TestEveryNameOfDevosDocumentsHasARow counts the table's rows against the list of names.
func TestEveryNameOfDevosDocumentsHasARow(t *testing.T) {
	t.Parallel()
	x := indexOfDevo(t)
	all, found := map[string]int{}, map[string]int{}
	messages := map[string]int{}
	for _, n := range namesOfDevo(t) {
		all[n.kind]++
		if n.kind == "error" {
			messages[n.name]++
		}
		if x.has(n) {
			found[n.kind]++
		} else {
			t.Errorf("section %s: the %s %s has no row", n.section, n.kind, n.name)
		}
	}
	for id, n := range messages {
		if x.ids[id] < n {
			t.Errorf("%s: the documents have %d messages, the table has %d", id, n, x.ids[id])
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		t.Logf("%ss: %d of %d", kind, found[kind], all[kind])
	}
	for kind, least := range map[string]int{"setting": 60, "output": 7, "error": 60, "line": 60, "command": 5} {
		if all[kind] < least {
			t.Errorf("names.txt has %d of the kind %s, want at least %d", all[kind], kind, least)
		}
	}
}

// TestDevosDocuments reads the documents themselves, whose paths DEVO_DOCUMENTS lists as PATH does, and finds the names
// in them that the table does not have.
func TestDevosDocuments(t *testing.T) {
	t.Parallel()
	files := filepath.SplitList(os.Getenv("DEVO_DOCUMENTS"))
	if len(files) == 0 {
		t.Skip("DEVO_DOCUMENTS names no documents; the list of names counts")
	}
	x := indexOfDevo(t)
	all, found := map[string]int{}, map[string]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		names := append(namesInFacts(string(text)), namesInPage(string(text))...)
		seen := map[devoName]bool{}
		for _, n := range names {
			if seen[n] || !isName(n) {
				continue
			}
			seen[n] = true
			all[n.kind]++
			ok := n.kind == "line" && slices.ContainsFunc(x.lines, func(r *regexp.Regexp) bool { return r.MatchString(n.name) }) || n.kind != "line" && x.has(n)
			if ok {
				found[n.kind]++
				continue
			}
			t.Errorf("%s, section %s: the %s %s has no row", filepath.Base(file), n.section, n.kind, n.name)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		t.Logf("in the documents, %ss: %d of %d", kind, found[kind], all[kind])
	}
}
