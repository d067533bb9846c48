package engine

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A Section is a mapping of the configuration file that is read key by key. What is wrong is
// gathered, each problem with file, line and column, and returned together by Err: so reading code
// asks for every key it knows, whatever the answers, and then calls Err once.
//
// A key without a value counts as absent. A method that finds something wrong returns the default.
// A Section is for one goroutine.
type Section struct {
	problems  *problems
	base      string
	path      string
	line, col int
	mapping   *node // nil: nothing there
	asked     map[string]bool
	general   *node    // says, under keys with generalPrefix in front, what mapping does not; may be nil
	ignored   []string // keys without effect
}

// generalPrefix is what Devo's collectors put in front of a key of outputs among the globals.
const generalPrefix = "devo_sender_"

func newSection(ps *problems, base, path string, line, col int, mapping *node) *Section {
	return &Section{problems: ps, base: base, path: path, line: line, col: col, mapping: mapping, asked: map[string]bool{}}
}

// NewSection returns a section of values that come from no file, for code and for tests. Errors
// name file, if it is not empty; relative paths start at base.
func NewSection(file string, base string, values map[string]any) *Section {
	ps := &problems{file: file}
	return newSection(ps, base, "", 0, 0, nodeOf(values, ps))
}

// nodeOf returns the tree of values that were made in Go.
func nodeOf(values map[string]any, ps *problems) *node {
	var y yaml.Node
	if err := y.Encode(values); err != nil {
		ps.add(0, 0, "", "%v", err)
		return nil
	}
	c := converter{problems: ps}
	return c.convert(&y, "", 0)
}

// Has reports whether key is there and has a value. It counts as asking for the key.
func (s *Section) Has(key string) bool {
	_, ok := s.find(key)
	return ok
}

// Text returns a text, which may be empty. Numbers and the words true and false are texts only in quotes.
func (s *Section) Text(key, def string) string {
	e, ok := s.find(key)
	if !ok {
		return def
	}
	if text, ok := e.value.string(); ok {
		return text
	}
	want := "a text"
	if e.value.kind == scalarNode {
		want = "a text; put it in quotes"
	}
	s.wrong(e, want)
	return def
}

// Required returns a text that is not empty.
func (s *Section) Required(key string) string {
	if !s.Has(key) {
		s.missing(key, "")
		return ""
	}
	text := s.Text(key, "")
	if text == "" {
		s.missing(key, "it is empty") // unless Text has found more to say
	}
	return text
}

// Int returns a whole number between min and max, both included.
func (s *Section) Int(key string, def, min, max int64) int64 {
	e, ok := s.find(key)
	if !ok {
		return def
	}
	if i, ok := whole(e.value); ok && min <= i && i <= max {
		return i
	}
	want := fmt.Sprintf("a whole number from %d to %d", min, max)
	if text, ok := e.value.value.(string); ok {
		if _, err := strconv.ParseInt(text, 10, 64); err == nil {
			want += ", without quotes"
		}
	}
	s.wrong(e, want)
	return def
}

// whole returns the whole number that n is. JSON does not tell 60 from 60.0.
func whole(n *node) (int64, bool) {
	switch v := n.value.(type) {
	case int64:
		return v, true
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) < 1<<53
	}
	return 0, false
}

// Float returns a number between min and max, both included.
func (s *Section) Float(key string, def, min, max float64) float64 {
	e, ok := s.find(key)
	if !ok {
		return def
	}
	if f, ok := number(e.value); ok && min <= f && f <= max {
		return f
	}
	s.wrong(e, fmt.Sprintf("a number from %v to %v", min, max))
	return def
}

func number(n *node) (float64, bool) {
	switch v := n.value.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// Bool returns true or false.
func (s *Section) Bool(key string, def bool) bool {
	e, ok := s.find(key)
	if !ok {
		return def
	}
	if b, ok := e.value.value.(bool); ok {
		return b
	}
	s.wrong(e, "true or false, without quotes")
	return def
}

// Seconds returns a duration between min and max, both included, written as a number of seconds or
// in Go's notation, such as "1h30m".
func (s *Section) Seconds(key string, def, min, max time.Duration) time.Duration {
	e, ok := s.find(key)
	if !ok {
		return def
	}
	if d, ok := duration(e.value, max); ok && min <= d && d <= max {
		return d
	}
	s.wrong(e, fmt.Sprintf(`a time from %v to %v, as a number of seconds or such as "1m30s"`, min, max))
	return def
}

func duration(n *node, max time.Duration) (time.Duration, bool) {
	if f, ok := number(n); ok {
		// Beyond max the multiplication could overflow.
		return time.Duration(f * float64(time.Second)), math.Abs(f) <= max.Seconds()
	}
	text, _ := n.string()
	d, err := time.ParseDuration(text)
	return d, err == nil
}

var byteUnits = []struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// Bytes returns a size between min and max bytes, both included, written as a number of bytes or
// with a unit, such as "16MiB".
func (s *Section) Bytes(key string, def, min, max int64) int64 {
	e, ok := s.find(key)
	if !ok {
		return def
	}
	if size, ok := bytesOf(e.value); ok && min <= size && size <= max {
		return size
	}
	s.wrong(e, fmt.Sprintf(`a size from %d to %d, as a number of bytes or such as "16MiB"`, min, max))
	return def
}

func bytesOf(n *node) (int64, bool) {
	if size, ok := whole(n); ok {
		return size, true
	}
	text, _ := n.string()
	for _, unit := range byteUnits {
		digits, ok := strings.CutSuffix(text, unit.name)
		if !ok {
			continue
		}
		size, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		return size * unit.bytes, err == nil && size >= 0 && size <= math.MaxInt64/unit.bytes
	}
	return 0, false
}

// Choice returns one of choices.
func (s *Section) Choice(key, def string, choices ...string) string {
	e, ok := s.find(key)
	if !ok {
		return def
	}
	text, ok := e.value.string()
	if ok && slices.Contains(choices, text) {
		return text
	}
	want := "one of " + strings.Join(choices, ", ")
	if near := Nearest(strings.ToLower(text), choices); near != "" {
		want += fmt.Sprintf("; did you mean %s?", near)
	}
	s.wrong(e, want)
	return def
}

// File returns the absolute path of a file that exists. A relative name is looked up in each of
// dirs, which are relative to the base directory; with no dirs, in the base directory. A key that
// is absent gives "".
func (s *Section) File(key string, dirs ...string) string {
	e, ok := s.find(key)
	if !ok {
		return ""
	}
	name, ok := e.value.string()
	if !ok || name == "" {
		s.wrong(e, "the name of a file")
		return ""
	}
	candidates := []string{name}
	if !filepath.IsAbs(name) {
		if len(dirs) == 0 {
			dirs = []string{"."}
		}
		candidates = nil
		for _, dir := range dirs {
			candidates = append(candidates, s.absolute(filepath.Join(dir, name)))
		}
	}
	var found error
	for _, path := range candidates {
		info, err := os.Stat(path)
		switch {
		case err == nil && !info.IsDir():
			return path
		case err == nil:
			found = fmt.Errorf("%s is a directory, want a file", path)
		case !os.IsNotExist(err):
			found = err
		}
	}
	switch {
	case e.value.secret:
		s.wrong(e, "the name of a file that exists")
	case found != nil:
		s.Errorf(key, "%v", found)
	default:
		s.Errorf(key, "there is no file %s", strings.Join(candidates, " and no file "))
	}
	return ""
}

// Path returns an absolute path, of something that need not exist. A relative one starts at the
// base directory. Without the key it is def, made absolute likewise, or "" if def is empty.
func (s *Section) Path(key, def string) string {
	name := s.Text(key, def)
	if name == "" {
		if s.Has(key) {
			s.Errorf(key, "is empty, want a path")
		}
		return ""
	}
	return s.absolute(name)
}

func (s *Section) absolute(path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.base, path)
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// list returns the items of a list; one text alone is a list of one.
func (s *Section) list(key string) []*node {
	e, ok := s.find(key)
	switch {
	case !ok:
		return nil
	case e.value.kind == listNode:
		return e.value.items
	case e.value.kind == scalarNode:
		return []*node{e.value}
	}
	s.wrong(e, "a list, such as [a, b]")
	return nil
}

// Ignore accepts keys that exist but are not used.
func (s *Section) Ignore(keys ...string) {
	for _, key := range keys {
		s.asked[key] = true
	}
}

// WithoutEffect accepts keys of Devo's collectors that decide nothing here. Those that are there make one
// warning.
func (s *Section) WithoutEffect(keys ...string) {
	for _, key := range keys {
		if s.Has(key) && !slices.Contains(s.ignored, key) {
			s.ignored = append(s.ignored, key)
		}
	}
}

// warning names the keys that are there without effect, with their place; it is empty if there are none.
func (s *Section) warning() string {
	if s.ignored == nil {
		return ""
	}
	return place(s.problems.file, s.line, s.col) + s.path + ": " + withoutEffect(s.ignored)
}

func withoutEffect(keys []string) string {
	return strings.Join(keys, ", ") + ": accepted, without effect here"
}

// Known lists the keys that were asked for so far, sorted.
func (s *Section) Known() []string { return slices.Sorted(maps.Keys(s.asked)) }

// Errorf records a problem at key: at its place if it is there, at the section's otherwise.
func (s *Section) Errorf(key, format string, args ...any) {
	line, col := s.placeOf(key)
	s.problems.add(line, col, join(s.path, key), format, args...)
}

// missing records that key must be set, with what more there is to say.
func (s *Section) missing(key, more string) {
	n := len(s.problems.list)
	s.Errorf(key, "%s", more)
	s.problems.name(n, configurationID(6, ""))
}

// Err returns all problems, among them every key of the section that nobody asked for, or nil. The
// error is an *Error with CodeConfig and has one line for each problem.
func (s *Section) Err() error {
	all := problems{file: s.problems.file, list: slices.Clone(s.problems.list), seen: maps.Clone(s.problems.seen)}
	s.unknown(&all)
	return all.err()
}

// unknown adds every key that nobody asked for.
func (s *Section) unknown(ps *problems) {
	if s.mapping == nil {
		return
	}
	for _, e := range s.mapping.entries {
		if !s.asked[e.key] {
			ps.add(e.line, e.col, join(s.path, e.key), "%s", unknownKey(e.key, s.Known()))
		}
	}
}

func unknownKey(key string, known []string) string {
	if near := Nearest(key, known); near != "" {
		return fmt.Sprintf("unknown key, did you mean %q?", near)
	}
	if len(known) == 0 {
		return "unknown key, none is known here"
	}
	return "unknown key, known are " + strings.Join(known, ", ")
}

func (s *Section) find(key string) (entry, bool) {
	s.asked[key] = true
	if e, ok := s.mapping.find(key); ok {
		return e, true
	}
	return s.general.find(generalPrefix + key)
}

func (s *Section) placeOf(key string) (line, col int) {
	if s.mapping != nil {
		for _, e := range s.mapping.entries {
			if e.key == key {
				return e.line, e.col
			}
		}
	}
	return s.line, s.col
}

func (s *Section) wrong(e entry, want string) {
	n := *e.value
	n.secret = n.secret || looksSecret(e.key) || namesIdentity(e.key)
	s.Errorf(e.key, "got %s, want %s", n.shown(), want)
}

// sub returns the section below key; without a value it is empty.
func (s *Section) sub(key string) *Section {
	line, col := s.placeOf(key)
	e, ok := s.find(key)
	if ok && e.value.kind != mappingNode {
		s.wrong(e, "a mapping: keys with values, indented below it")
		e.value = nil
	}
	return newSection(s.problems, s.base, join(s.path, key), line, col, e.value)
}
