// Package docs is the manual of scripts: of every builtin, from the stubs, and of every script and its
// settings, from the scripts. REFERENCE.md, starling docs, the help of the interactive interpreter and what
// editors show are made of it.
package docs

import (
	"slices"
	"strings"

	"starling/builtins"
	"starling/engine"
)

// A Part is a chapter of the manual.
type Part string

// The parts, in their order.
const (
	Modules Part = "modules"
	Values  Part = "values"
	Scripts Part = "scripts"
)

// An Entry describes one name.
type Entry struct {
	Name      string     `json:"name"` // "checkpoint", "checkpoint.windows", "client.pages", or that of a script
	Part      Part       `json:"part"`
	Signature string     `json:"signature,omitempty"`
	Doc       string     `json:"doc"`
	Arguments []Argument `json:"arguments,omitempty"`
	Returns   string     `json:"returns,omitempty"`
	Example   string     `json:"example,omitempty"`
	Settings  []Setting  `json:"settings,omitempty"` // of a script
	Members   []string   `json:"members,omitempty"`  // of a module or a value
}

// An Argument is one of a function. Of a module, what several of its functions take.
type Argument struct {
	Name    string `json:"name"`
	Default string `json:"default,omitempty"`
	Doc     string `json:"doc"`

	shared bool // the module documents it
}

// Builtins returns the entries of all builtins: each module with its members, then each value.
func Builtins() ([]Entry, error) {
	stubs, err := builtins.Stubs()
	if err != nil {
		return nil, err
	}
	var all []Entry
	for _, s := range stubs {
		all = append(all, ofStub(s)...)
	}
	return all, nil
}

func ofStub(s builtins.Stub) []Entry {
	part, prefix := Modules, s.Name+"."
	if s.Value {
		part = Values
	}
	if s.Name == "names" {
		prefix = ""
	}
	all := []Entry{{Name: s.Name, Part: part, Doc: s.Doc, Arguments: arguments(s.Args)}}
	for _, m := range s.Members {
		all[0].Members = append(all[0].Members, prefix+m.Name)
		all = append(all, OfMember(prefix+m.Name, part, m))
	}
	return all
}

// OfMember returns the entry of a function, a method or a constant.
func OfMember(name string, part Part, m builtins.StubMember) Entry {
	return Entry{Name: name, Part: part, Signature: m.Signature, Doc: m.Doc, Arguments: arguments(m.Arguments), Returns: m.Returns, Example: m.Example}
}

func arguments(list []builtins.StubArgument) []Argument {
	var all []Argument
	for _, a := range list {
		all = append(all, Argument{Name: a.Name, Default: strings.ReplaceAll(a.Default, "…", ""), Doc: a.Doc, shared: !a.Own})
	}
	return all
}

// OfScripts returns the entries of all scripts of a snapshot.
func OfScripts(sources *engine.Sources) ([]Entry, error) {
	var all []Entry
	for _, file := range sources.Scripts() {
		doc, settings, err := Script(sources.Text, file)
		if err != nil {
			return nil, err
		}
		all = append(all, Entry{Name: strings.TrimSuffix(file, ".star"), Part: Scripts, Doc: doc, Settings: settings})
	}
	return all, nil
}

// Find returns the entry of a name. A value and a module can have the same name: then it returns both.
func Find(all []Entry, name string) []Entry {
	name = strings.TrimSuffix(name, ".star")
	var found []Entry
	for _, e := range all {
		if e.Name == name {
			found = append(found, e)
		}
	}
	return found
}

// Nearest returns the name that was probably meant, or "".
func Nearest(all []Entry, name string) string {
	var names []string
	for _, e := range all {
		names = append(names, e.Name)
	}
	return engine.Nearest(name, names)
}

// Search returns the entries that have all words of a text in them, those with one in their name first.
func Search(all []Entry, text string) []Entry {
	words := strings.Fields(strings.ToLower(text))
	var named, others []Entry
	for _, e := range all {
		name, rest := strings.ToLower(e.Name), strings.ToLower(e.everything())
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(name+" "+rest, w) }) {
			if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(name, w) }) {
				named = append(named, e)
			} else {
				others = append(others, e)
			}
		}
	}
	return append(named, others...)
}

func (e Entry) everything() string {
	parts := []string{e.Signature, e.Doc, e.Example}
	for _, a := range e.Arguments {
		if !a.shared {
			parts = append(parts, a.Name, a.Doc)
		}
	}
	for _, s := range e.Settings {
		parts = append(parts, s.Name, s.Doc, strings.Join(s.Aliases, " "))
	}
	return strings.Join(parts, " ")
}

// Summary returns the first sentence of the doc.
func (e Entry) Summary() string {
	first, _, _ := strings.Cut(strings.Join(strings.Fields(e.Doc), " "), ". ")
	return strings.TrimSuffix(first, ".") + "."
}
