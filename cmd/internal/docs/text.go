package docs

import (
	"fmt"
	"strings"
)

// width is how long a line of text may be.
const width = 100

// Text returns the entry for a terminal.
func (e Entry) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s\n\n%s", e.shownName(), e.Signature, paragraphs(e.Doc, "    "))
	if e.Returns != "" {
		fmt.Fprintf(&b, "\n    Returns: %s\n", e.Returns)
	}
	for i, a := range e.Arguments {
		if i == 0 {
			b.WriteString("\n    Arguments:\n")
		}
		b.WriteString(hanging("      "+a.Name+": ", a.Doc))
	}
	for i, s := range e.Settings {
		if i == 0 {
			b.WriteString("\n    Settings:\n")
		}
		head := fmt.Sprintf("      %s (%s, %s): ", strings.Join(append([]string{s.Name}, s.Aliases...), ", "), s.Kind, s.shownDefault(""))
		b.WriteString(hanging(head, s.Doc))
	}
	if e.Example != "" {
		b.WriteString("\n    Example:\n      " + strings.ReplaceAll(e.Example, "\n", "\n      ") + "\n")
	}
	for i, m := range e.Members {
		if i == 0 {
			b.WriteString("\n    Members:\n")
		}
		fmt.Fprintf(&b, "      %s\n", m)
	}
	return b.String()
}

// hanging returns text behind a head, and further lines of it deeper than the head.
func hanging(head, text string) string {
	return strings.TrimRight(wrap(head+text, "          ", len([]rune(head))), " ")
}

// paragraphs wraps what is not indented already.
func paragraphs(text, indent string) string {
	var b strings.Builder
	for _, p := range strings.Split(text, "\n") {
		switch {
		case p == "":
			b.WriteString("\n")
		case strings.HasPrefix(p, " "):
			b.WriteString(indent + p + "\n")
		default:
			b.WriteString(wrap(indent+p, indent, len(indent)))
		}
	}
	return b.String()
}

// wrap breaks a line between words, but not among its first n characters; further lines begin with indent.
func wrap(line, indent string, n int) string {
	var b strings.Builder
	head, rest := []rune(line)[:n], string([]rune(line)[n:])
	b.WriteString(string(head))
	column := len(head)
	for i, word := range strings.Fields(rest) {
		if i > 0 && column+1+len([]rune(word)) > width {
			b.WriteString("\n" + indent)
			column = len(indent)
		} else if i > 0 {
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += len([]rune(word))
	}
	return b.String() + "\n"
}
