package docs

import (
	"fmt"
	"slices"
	"strings"
)

// Markdown returns the entries of a part, a heading for each.
func Markdown(all []Entry, part Part) string {
	var b strings.Builder
	for _, e := range all {
		if e.Part == part {
			b.WriteString(e.Markdown())
		}
	}
	return b.String()
}

// Markdown returns the entry with its heading: of the third level for what has members or settings, else of the fourth.
func (e Entry) Markdown() string {
	var b strings.Builder
	switch {
	case e.Name == "names":
		b.WriteString("\n### Names without a module\n\n")
	case e.Members != nil && e.Part == Values:
		fmt.Fprintf(&b, "\n### Value: %s\n\n", e.Name)
	case e.Members != nil || e.Part == Scripts:
		fmt.Fprintf(&b, "\n### %s\n\n", e.Name)
	default:
		fmt.Fprintf(&b, "\n#### `%s%s`\n\n", e.shownName(), e.Signature)
	}
	b.WriteString(e.Body(e.Members != nil))
	return b.String()
}

// shownName is the name in a heading: a method stands behind "value.".
func (e Entry) shownName() string {
	if _, member, ok := strings.Cut(e.Name, "."); ok && e.Part == Values {
		return "value." + member
	}
	return e.Name
}

// Body returns the entry in Markdown, without a heading. With shared, arguments that the module documents are among it.
func (e Entry) Body(shared bool) string {
	var b strings.Builder
	b.WriteString(e.Doc + "\n")
	args := slices.DeleteFunc(slices.Clone(e.Arguments), func(a Argument) bool { return a.shared && !shared })
	for i, a := range args {
		if i == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "- `%s`: %s\n", a.Name, a.Doc)
	}
	if e.Example != "" {
		fmt.Fprintf(&b, "\n```python\n%s\n```\n", e.Example)
	}
	if e.Settings != nil {
		b.WriteString("\n" + SettingsTable(e.Settings))
	}
	return b.String()
}

// SettingsTable returns a table of settings.
func SettingsTable(settings []Setting) string {
	var b strings.Builder
	b.WriteString("| setting | kind | default | what it says |\n| --- | --- | --- | --- |\n")
	for _, s := range settings {
		names := "`" + strings.Join(append([]string{s.Name}, s.Aliases...), "`, `") + "`"
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", names, s.Kind, s.shownDefault("`"), strings.ReplaceAll(strings.ReplaceAll(s.Doc, "\n", " "), "|", `\|`))
	}
	return b.String()
}

// shownDefault returns the default for a person, between quotes if it is an expression.
func (s Setting) shownDefault(quote string) string {
	switch {
	case s.Required:
		return "must be set"
	case s.Default == "None":
		return "none"
	case s.Default == "depends":
		return "depends"
	}
	return quote + s.Default + quote
}
