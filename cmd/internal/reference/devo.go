package reference

import (
	"bytes"
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"starling/engine"
)

//go:embed devo.yaml
var devoYAML []byte

// A DevoTable is a part of what Devo's documents name.
type DevoTable struct {
	Title, Kind, At, About string
	Rows                   []DevoRow
}

// A DevoRow is one thing that they name, and what becomes of it here. The head of devo.yaml says what its
// fields mean.
type DevoRow struct {
	Name, State, Says string

	At, Key, Without string
	Alone            bool
	Default          any
	Range            string
	Good, Bad        []any
	Warns, Refuses   string

	Args, Prints string
	Exit         int
	File, Has    string
	Tests        []string
	ID, Message  string
	Lines        string
}

// DevoStates are the states of rows, in the order of the summary.
var DevoStates = []string{"same", "better", "not applicable", "refused"}

// DevoTables returns all that Devo's documents name.
func DevoTables() ([]DevoTable, error) {
	var tables []DevoTable
	d := yaml.NewDecoder(bytes.NewReader(devoYAML))
	d.KnownFields(true)
	if err := d.Decode(&tables); err != nil {
		return nil, fmt.Errorf("devo.yaml: %w", err)
	}
	for i := range tables {
		before := ""
		for j := range tables[i].Rows {
			r := &tables[i].Rows[j]
			r.complete(tables[i])
			if more, ok := strings.CutPrefix(r.Says, "The same"); ok && strings.IndexAny(more, ".;") == 0 {
				r.Says = strings.TrimSuffix(before, ".") + more
			} else {
				before = r.Says
			}
		}
	}
	return tables, nil
}

// complete fills in what follows from the table and from other sources.
func (r *DevoRow) complete(in DevoTable) {
	if r.At == "" {
		r.At = in.At
	}
	if r.Key == "" {
		r.Key = r.Name
	}
	if r.ID != "" && r.Message == "" {
		r.Message = r.Name
	}
	if r.Message == "@" { // the documents have none
		r.Message = ""
	}
	if id, ok := r.Error(); ok && r.Says == "" {
		r.Says = id.Cause
	}
}

// Error returns the error that a row is about.
func (r *DevoRow) Error() (engine.ErrorID, bool) {
	all := engine.ErrorIDs()
	i := slices.IndexFunc(all, func(id engine.ErrorID) bool { return id.Name() == r.ID && id.Message == r.Message })
	if i < 0 {
		return engine.ErrorID{}, false
	}
	return all[i], true
}

const devoHead = `# What Devo's documents name, and what it is here

Made by ` + "`go generate ./cmd/internal/reference`" + ` from ` + "`cmd/internal/reference/devo.yaml`" + `. Do not edit it: a test compares the two, and another one tries every row.

For whoever runs Devo's Office 365 message trace collector and wants to know what becomes of a setting, an error, a line of the log or a command. Search this page for it; [moving-from-devo.md](moving-from-devo.md) goes through the move step by step, and ` + "`starling check`" + ` says of a configuration what this page says of its keys.

| here | means |
| --- | --- |
| same | it works as Devo's documents say |
| better | it is accepted, and what it is for works better: the remark says how |
| not applicable | it is accepted or cannot occur, and there is nothing here that it could change: the remark says why. What a configuration has of it is named in one warning |
| refused | it is an error, or not there: the remark says what to do instead |

`

// Devo returns the text of docs/devo.md.
func Devo() (string, error) {
	tables, err := DevoTables()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(devoHead)
	head := append([]string{"part"}, DevoStates...)
	var sums [][]string
	for _, t := range tables {
		row := []string{fmt.Sprintf("[%s](#%s)", t.Title, anchor(t.Title))}
		for _, state := range DevoStates {
			row = append(row, fmt.Sprint(t.count(state)))
		}
		sums = append(sums, row)
	}
	b.WriteString(table(head, sums))
	for _, t := range tables {
		b.WriteString("\n## " + t.Title + "\n\n")
		if t.About != "" {
			b.WriteString(t.About + "\n\n")
		}
		b.WriteString(t.render())
	}
	return b.String(), nil
}

func (t DevoTable) count(state string) (n int) {
	for _, r := range t.Rows {
		if r.State == state {
			n++
		}
	}
	return n
}

var notInAnchors = regexp.MustCompile(`[^a-z0-9_ -]`)

func anchor(title string) string {
	return strings.ReplaceAll(notInAnchors.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
}

func (t DevoTable) render() string {
	head := map[string][]string{
		"setting": {"setting", "default", "range", "here", "remark"},
		"error":   {"id", "message", "here", "remark"},
		"line":    {"line", "here", "remark"},
	}[t.Kind]
	if head == nil {
		head = []string{"what", "here", "remark"}
	}
	var rows [][]string
	for _, r := range t.Rows {
		cells := []string{named(r.Name), r.State, r.Says}
		switch t.Kind {
		case "setting":
			cells = slices.Insert(cells, 1, code(ofDefault(r.Default)), r.Range)
		case "error":
			cells = []string{code(r.ID), escaped(r.Name), r.State, r.Says}
		case "line":
			cells[0] = code(r.Name)
		}
		rows = append(rows, cells)
	}
	return table(head, rows)
}

// named shows names that are written as they are in files and command lines as code.
func named(name string) string {
	if strings.HasPrefix(name, "--") || !strings.Contains(name, " ") {
		return code(name)
	}
	return escaped(name)
}

func ofDefault(value any) string {
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

// escaped keeps texts from being read as Markdown.
func escaped(text string) string { return strings.NewReplacer("<", `\<`, "*", `\*`).Replace(text) }
