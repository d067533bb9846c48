package engine

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Settings are the values that a script may read: what stands at its service, at its input and in
// the input's credentials, the first of them that has the key. The engine's own keys, such as
// enabled, are not among them. They do not change; which keys were asked for does.
type Settings struct {
	file    string
	path    string
	line    int
	col     int
	service *node
	shared  []level // of the input: seen by all of its services
	family  *family
	base    string                          // where names of files start
	open    func(name string) (File, error) // in place of the disk, in tests of scripts
	spare   bool                            // what no script reads is no mistake

	mu       sync.Mutex
	declared map[string]bool
}

// A level is a mapping that a setting may stand in. Own are the keys there that are the engine's.
type level struct {
	path    string
	mapping *node
	own     []string
}

// A family is the services of one input. A key of the input is unknown when no service declares it.
type family struct {
	services int

	mu       sync.Mutex
	declared map[string]map[string]bool // by path of the service
}

// NewSettings returns settings that come from no file, for tests and tools.
func NewSettings(values map[string]any) *Settings {
	ps := &problems{}
	return &Settings{file: "settings", service: nodeOf(values, ps)}
}

// Fresh returns the same values with no key declared yet, for another initialisation of a script.
func (s *Settings) Fresh() *Settings {
	return &Settings{file: s.file, path: s.path, line: s.line, col: s.col, service: s.service, shared: s.shared, family: s.family, base: s.base, open: s.open}
}

func (s *Settings) ofService() level { return level{s.path, s.service, serviceKeys} }

func (s *Settings) levels() []level {
	return append([]level{s.ofService()}, s.shared...)
}

// Lookup returns the setting under key, and declares that the script knows the key. A key without a
// value counts as absent. The Value of an absent key still has a place, the service's, for Errorf.
func (s *Settings) Lookup(key string) (Value, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.declared == nil {
		s.declared = map[string]bool{}
	}
	s.declared[key] = true
	for _, l := range s.levels() {
		if e, ok := l.mapping.find(key); ok {
			return Value{place(s.file, e.line, e.col) + join("", key), e.value}, true
		}
	}
	return Value{place(s.file, s.line, s.col) + join("", key), nil}, false
}

// Unknown returns an error that lists the keys no script has declared, each with its place and what
// was probably meant. Call it after the script is initialised. Keys that several services share are
// judged when the last of these services calls it.
func (s *Settings) Unknown() error {
	if s.spare {
		return nil
	}
	s.mu.Lock()
	declared := maps.Clone(s.declared)
	s.mu.Unlock()
	ps := &problems{file: s.file}
	ps.addUndeclared(s.ofService(), declared)
	if all, complete := s.family.join(s.path, declared); complete {
		for _, l := range s.shared {
			ps.addUndeclared(l, all)
		}
	}
	return ps.err()
}

// join records what the service at path declares, and returns what all services do once all have said.
func (f *family) join(path string, declared map[string]bool) (all map[string]bool, complete bool) {
	if f == nil {
		return declared, true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.declared[path] = declared
	all = map[string]bool{}
	for _, keys := range f.declared {
		maps.Copy(all, keys)
	}
	return all, len(f.declared) == f.services
}

func (ps *problems) addUndeclared(l level, declared map[string]bool) {
	if l.mapping == nil {
		return
	}
	known := slices.AppendSeq(slices.Clone(l.own), maps.Keys(declared))
	slices.Sort(known)
	for _, e := range l.mapping.entries {
		if !declared[e.key] && e.key != environmentKey {
			ps.add(e.line, e.col, join(l.path, e.key), "%s", unknownKey(e.key, known))
		}
	}
}

// environmentKey is a setting that every script may read and none must.
const environmentKey = "environment"

// A Value is one setting and its place.
type Value struct {
	place string
	node  *node
}

// Go returns the value as nil, string, bool, int64, float64, []any or map[string]any. What came
// whole from ${NAME} without quotes has the type that its text looks like; see Text.
func (v Value) Go() any {
	if v.node == nil {
		return nil
	}
	return v.node.object()
}

// Text returns the value if it is a text, or may be taken as one: ${NAME} without quotes is the text
// "0123" for who wants a text, whatever number it looks like.
func (v Value) Text() (string, bool) {
	if v.node == nil {
		return "", false
	}
	return v.node.string()
}

// Errorf returns an *Error with CodeConfig that begins with the place and the key, such as
// "config.yaml:31:9: tenant_id: ". Keep the value out of it: it may be a secret.
func (v Value) Errorf(format string, args ...any) error {
	return &Error{Code: CodeConfig, Err: fmt.Errorf("%s: %w", v.place, fmt.Errorf(format, args...))}
}
