package certify

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// changes makes the cells in which one row has an odd field: the second row, or the only one.
func (a *API) changes() (cells []*Cell) {
	for _, l := range a.Lists {
		row := l.Rows[min(1, len(l.Rows)-1)]
		for _, path := range fieldPaths(row.Fields) {
			v := get(row.Fields, path)
			if slices.Contains(l.Needs, path) || v == nil {
				continue
			}
			add := func(name, what string, change Change) {
				change.Row, change.Path = row, path
				cells = append(cells, &Cell{Name: name, Change: &change, When: fmt.Sprintf("when %q of a row is %s", path, what)})
			}
			add("null-field", "null", Change{})
			add("missing-field", "missing", Change{Delete: true})
			add("changed-type", "a "+otherType(v), Change{Value: a.changed(l, path, v)})
			if s, ok := v.(string); ok && path != l.Time && path != l.ID {
				add("unicode", "Unicode", Change{Value: "Zo\u00eb \U0001F426 \u202e\u0000\n\t\"\\ " + s})
				add("huge", "100 kB long", Change{Value: strings.Repeat("x", 100_000)})
			}
			if _, ok := v.(int64); ok && path != l.Time {
				add("huge", "a number of 19 digits", Change{Value: int64(9223372036854775807)})
			}
		}
	}
	return cells
}

// fieldPaths lists the fields of a row, and those of the objects in it.
func fieldPaths(fields map[string]any) (paths []string) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		paths = append(paths, name)
		if inner, ok := fields[name].(map[string]any); ok {
			for _, key := range slices.Sorted(maps.Keys(inner)) {
				paths = append(paths, name+"."+key)
			}
		}
	}
	return paths
}

func otherType(v any) string {
	if _, ok := v.(string); ok {
		return "number"
	}
	return "text"
}

// changed is a value of another type, which is that of no other row and nobody's id.
func (a *API) changed(l *List, path string, v any) any {
	taken := map[string]bool{}
	for _, row := range a.rows() {
		taken[row.ID] = true
	}
	for _, row := range l.Rows {
		taken[text(get(row.Fields, path))] = true
	}
	if _, ok := v.(string); ok {
		n := int64(7)
		for taken[text(n)] {
			n++
		}
		return n
	}
	s := "seven"
	for taken[s] {
		s += "teen"
	}
	return s
}
