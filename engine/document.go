package engine

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// A node is a value of the configuration file and where it stands. The trees of YAML, of JSON and
// of Go values look alike.
type node struct {
	line, col int
	kind      nodeKind
	entries   []entry // of a mapping, in the order of the file
	items     []*node // of a list
	value     any     // of a scalar: nil, string, bool, int64 or float64
	text      string  // of a scalar, as it is written
	plain     bool    // the scalar is written without quotes
	loose     bool    // the scalar came whole from ${NAME}: it is the text or the value, as whoever asks needs it
	hidden    bool    // the scalar was expanded, so its text is not what the file shows
	secret    bool    // the scalar is a secret, going by where it comes from
}

type entry struct {
	key       string
	line, col int
	value     *node
}

type nodeKind int

const (
	scalarNode nodeKind = iota
	listNode
	mappingNode
)

// find returns the entry of key. A key without a value is as good as absent: that is how templates
// leave optional settings out.
func (n *node) find(key string) (entry, bool) {
	if n == nil {
		return entry{}, false
	}
	i := slices.IndexFunc(n.entries, func(e entry) bool { return e.key == key })
	if i < 0 || n.entries[i].value.isNull() {
		return entry{}, false
	}
	return n.entries[i], true
}

func (n *node) isNull() bool { return n.kind == scalarNode && n.value == nil }

// without returns the mapping n without some of its keys.
func (n *node) without(keys ...string) *node {
	if n == nil {
		return nil
	}
	rest := *n
	rest.entries = slices.DeleteFunc(slices.Clone(n.entries), func(e entry) bool { return slices.Contains(keys, e.key) })
	return &rest
}

// texts calls visit with every text at and below n.
func (n *node) texts(visit func(string)) {
	if n == nil {
		return
	}
	for _, e := range n.entries {
		e.value.texts(visit)
	}
	for _, item := range n.items {
		item.texts(visit)
	}
	if text, ok := n.string(); ok {
		visit(text)
	}
}

// object returns n as nil, string, bool, int64, float64, []any or map[string]any.
func (n *node) object() any {
	switch n.kind {
	case mappingNode:
		m := make(map[string]any, len(n.entries))
		for _, e := range n.entries {
			m[e.key] = e.value.object()
		}
		return m
	case listNode:
		list := make([]any, len(n.items))
		for i, item := range n.items {
			list[i] = item.object()
		}
		return list
	}
	return n.value
}

// string returns the text of a scalar that is, or may be read as, a text.
func (n *node) string() (string, bool) {
	if n.kind != scalarNode {
		return "", false
	}
	_, ok := n.value.(string)
	return n.text, ok || n.loose
}

// shown describes n for an error, without giving a secret away.
func (n *node) shown() string {
	switch {
	case n.kind == mappingNode:
		return "a mapping"
	case n.kind == listNode:
		return "a list"
	case n.isNull():
		return "nothing"
	}
	if _, text := n.value.(string); text {
		if n.hidden || n.secret {
			return "a text"
		}
		return strconv.Quote(cut(n.text, 60))
	}
	if n.hidden || n.secret {
		return "another type of value"
	}
	return cut(n.text, 60)
}

func cut(s string, max int) string {
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max] + "…"
}

// write puts everything that n means into w, to be hashed.
func (n *node) write(w io.Writer) {
	if n == nil {
		fmt.Fprint(w, "-")
		return
	}
	fmt.Fprintf(w, "%d %d %d %T %t %q\n", n.kind, len(n.entries), len(n.items), n.value, n.loose, n.text)
	sorted := slices.SortedFunc(slices.Values(n.entries), func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	for _, e := range sorted {
		fmt.Fprintf(w, "%q ", e.key)
		e.value.write(w)
	}
	for _, item := range n.items {
		item.write(w)
	}
}

// Bounds of a configuration file. They stop files that are something else, and YAML aliases that
// multiply.
const (
	maxConfigBytes = 1 << 20
	maxConfigNodes = 100_000
	maxConfigDepth = 64
)

// parseYAML returns the tree of a YAML text, or nil if there is none. Problems go to ps; one that
// leaves the tree whole but for itself does not keep others from being found.
func parseYAML(data []byte, ps *problems) *node {
	if line, col, bad := firstUnreadable(data); bad {
		ps.add(line, col, "", "is not a text in UTF-8 here; save the file as UTF-8")
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, more yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return &node{line: 1, col: 1}
	} else if err != nil {
		ps.addYAML(err)
		return nil
	}
	switch err := decoder.Decode(&more); {
	case err == nil:
		ps.add(more.Line, more.Column, "", "a second document begins here; put one configuration into one file")
	case !errors.Is(err, io.EOF):
		ps.addYAML(err)
	}
	c := converter{problems: ps}
	return c.convert(document.Content[0], "", 0)
}

var (
	yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	// The library counts lines from 0 in what its parser says, and from 1 in what its scanner says.
	yamlParserError = regexp.MustCompile(`^(did not find expected (<|node|'-'|key|',')|found (duplicate|incompatible|undefined))`)
)

// addYAML records what the YAML library says. It gives the line, at most, in which the part that it
// could not read begins, and none for the first.
func (ps *problems) addYAML(err error) {
	ps.broken = true
	line, text := 1, strings.ReplaceAll(err.Error(), "\n", " ")
	if m := yamlError.FindStringSubmatch(text); m != nil {
		text = text[len(m[0]):]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
			if yamlParserError.MatchString(text) {
				line++
			}
		}
	}
	advice := "check indentation, brackets, colons and quotes"
	if strings.HasPrefix(text, "found character that cannot start any token") {
		advice = "a tab is no indentation in YAML, use spaces; put a text that begins with @, % or ` into quotes"
	}
	ps.add(line, 1, "", "%s, in this line or in the block that begins here; %s", text, advice)
}

// firstUnreadable finds what YAML refuses to read, so that the error can have a place.
func firstUnreadable(data []byte) (line, col int, bad bool) {
	line, col = 1, 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && size == 1,
			r < ' ' && r != '\t' && r != '\n' && r != '\r',
			r >= 0x7f && r < 0xa0 && r != 0x85,
			r == 0xfffe || r == 0xffff:
			return line, col, true
		case r == '\n':
			line, col = line+1, 0
		}
		col++
		data = data[size:]
	}
	return 0, 0, false
}

// A converter makes nodes of the YAML library's nodes. Aliases are replaced by copies of what they
// stand for; limits on number and depth end those that multiply or contain themselves.
type converter struct {
	problems *problems
	nodes    int
}

func (c *converter) convert(y *yaml.Node, path string, depth int) *node {
	c.nodes++
	n := &node{line: y.Line, col: y.Column}
	switch {
	case c.nodes == maxConfigNodes:
		c.problems.add(y.Line, y.Column, path, "the file holds more than %d values, counting what aliases repeat", maxConfigNodes)
	case depth == maxConfigDepth:
		c.problems.add(y.Line, y.Column, path, "is nested more than %d deep", maxConfigDepth)
	}
	if c.nodes >= maxConfigNodes || depth >= maxConfigDepth {
		return n
	}
	if y.Style&yaml.TaggedStyle != 0 && (y.ShortTag() != "!!str" || y.Kind != yaml.ScalarNode) {
		c.problems.add(y.Line, y.Column, path, "the tag %s is not supported; leave it out", strconv.Quote(cut(y.Tag, 60)))
		return n
	}
	switch y.Kind {
	case yaml.AliasNode:
		return c.convert(y.Alias, path, depth+1)
	case yaml.MappingNode:
		n.kind = mappingNode
		c.mapping(n, y, path, depth)
	case yaml.SequenceNode:
		n.kind = listNode
		for i, item := range y.Content {
			n.items = append(n.items, c.convert(item, fmt.Sprintf("%s[%d]", path, i), depth+1))
		}
	default:
		n.text, n.value, n.plain = y.Value, y.Value, y.Style == 0
		if n.plain {
			n.value = c.problems.resolve(n, path)
		}
	}
	return n
}

func (c *converter) mapping(n *node, y *yaml.Node, path string, depth int) {
	var merged []*node
	lines := map[string]int{}
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		for key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		below := join(path, key.Value)
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() == "!!null":
			c.problems.add(y.Content[i].Line, y.Content[i].Column, path, "a key must be a text")
		case key.ShortTag() == "!!merge":
			m := c.convert(value, below, depth+1)
			if m.kind == listNode {
				merged = append(merged, m.items...)
			} else {
				merged = append(merged, m)
			}
		default:
			e := entry{key.Value, y.Content[i].Line, y.Content[i].Column, c.convert(value, below, depth+1)}
			c.problems.insert(n, e, lines, path)
		}
	}
	for _, m := range merged {
		if m.kind != mappingNode {
			c.problems.add(m.line, m.col, join(path, "<<"), "got %s, want an alias of a mapping", m.shown())
		}
		for _, e := range m.entries {
			if _, have := lines[e.key]; !have {
				lines[e.key] = e.line
				n.entries = append(n.entries, e)
			}
		}
	}
}

// insert adds an entry to a mapping unless its key is there already; lines has where.
func (ps *problems) insert(n *node, e entry, lines map[string]int, path string) {
	if line, have := lines[e.key]; have {
		ps.add(e.line, e.col, join(path, e.key), "is here twice, first in line %d", line)
		return
	}
	lines[e.key] = e.line
	n.entries = append(n.entries, e)
}

var (
	leadingZero = regexp.MustCompile(`^[-+]?0[0-9_]`)
	digitsOnly  = regexp.MustCompile(`^[-+]?[0-9]+$`)
)

// resolve returns what the text of a plain scalar means. Dates stay texts, and so do digits after a
// zero, which YAML would read as an octal number: both are mostly names here.
func (ps *problems) resolve(n *node, path string) any {
	if leadingZero.MatchString(n.text) {
		return n.text
	}
	y := yaml.Node{Kind: yaml.ScalarNode, Value: n.text}
	tag := y.ShortTag()
	if tag != "!!null" && tag != "!!bool" && tag != "!!int" && tag != "!!float" {
		return n.text
	}
	var v any
	if err := y.Decode(&v); err != nil {
		return n.text
	}
	switch v := v.(type) {
	case int:
		return int64(v)
	case float64:
		if !math.IsNaN(v) && !math.IsInf(v, 0) && !digitsOnly.MatchString(n.text) {
			return v
		}
	case int64, bool, nil:
		return v
	}
	ps.add(n.line, n.col, path, "the number is out of range; if it is a text, put it in quotes")
	return n.text
}
