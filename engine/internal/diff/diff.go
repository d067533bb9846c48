// Package diff says how two values of Starlark differ, for people who read the failure of a test.
package diff

import (
	"fmt"
	"strconv"
	"strings"

	"go.starlark.net/lib/json"
	"go.starlark.net/starlark"
)

// most is how many differences are told.
const most = 20

// short is the length up to which two values are simply shown.
const short = 100

// Values says how got differs from want: both of them if they are short, the differing lines of long
// texts, and the places where dicts, lists and JSON differ. show prints a value in a bounded way.
func Values(got, want starlark.Value, show func(starlark.Value) string) string {
	d := &differences{show: show}
	if g, ok := starlark.AsString(got); ok {
		if w, ok := starlark.AsString(want); ok {
			return d.texts(g, w)
		}
	}
	both := fmt.Sprintf("got  %s\nwant %s", show(got), show(want))
	if len(both) <= 2*short || !isContainer(got) || !isContainer(want) {
		return both
	}
	d.compare("", got, want)
	return d.String()
}

type differences struct {
	show  func(starlark.Value) string
	lines []string
	more  int
}

func (d *differences) add(path, format string, args ...any) {
	if len(d.lines) == most {
		d.more++
		return
	}
	if path == "" {
		path = "the value"
	}
	d.lines = append(d.lines, path+": "+fmt.Sprintf(format, args...))
}

func (d *differences) String() string {
	n := len(d.lines) + d.more
	text := fmt.Sprintf("%d places differ", n)
	if n == 1 {
		text = "1 place differs"
	}
	text += "\n  " + strings.Join(d.lines, "\n  ")
	if d.more > 0 {
		text += fmt.Sprintf("\n  and %d more", d.more)
	}
	return text
}

func isContainer(v starlark.Value) bool {
	switch v.(type) {
	case starlark.String, starlark.Bytes:
		return false
	case starlark.IterableMapping, starlark.Indexable:
		return true
	}
	return isStruct(v)
}

// isStruct reports whether v is a value with attributes and nothing else, such as an event.
func isStruct(v starlark.Value) bool {
	_, ok := v.(starlark.HasSetField)
	_, attrs := v.(starlark.HasAttrs)
	return attrs && !ok && v.Type() == "struct"
}

func (d *differences) compare(path string, got, want starlark.Value) {
	if equal(got, want) {
		return
	}
	gm, gok := got.(starlark.IterableMapping)
	wm, wok := want.(starlark.IterableMapping)
	if gok && wok {
		d.mappings(path, gm, wm)
		return
	}
	if isStruct(got) && isStruct(want) {
		d.structs(path, got.(starlark.HasAttrs), want.(starlark.HasAttrs))
		return
	}
	gl, gok := got.(starlark.Indexable)
	wl, wok := want.(starlark.Indexable)
	if gok && wok && isContainer(got) && isContainer(want) {
		d.lists(path, gl, wl)
		return
	}
	d.add(path, "got %s, want %s", d.show(got), d.show(want))
}

func (d *differences) mappings(path string, got, want starlark.IterableMapping) {
	for _, item := range want.Items() {
		at := path + "[" + item[0].String() + "]"
		if v, ok, err := got.Get(item[0]); err != nil || !ok {
			d.add(at, "is missing, want %s", d.show(item[1]))
		} else {
			d.compare(at, v, item[1])
		}
	}
	for _, item := range got.Items() {
		if _, ok, err := want.Get(item[0]); err != nil || !ok {
			d.add(path+"["+item[0].String()+"]", "got %s, want nothing", d.show(item[1]))
		}
	}
}

func (d *differences) structs(path string, got, want starlark.HasAttrs) {
	for _, name := range want.AttrNames() {
		g, _ := got.Attr(name)
		w, _ := want.Attr(name)
		if g == nil {
			d.add(path+"."+name, "is missing, want %s", d.show(w))
		} else {
			d.compare(path+"."+name, g, w)
		}
	}
}

func (d *differences) lists(path string, got, want starlark.Indexable) {
	at := func(i int) string { return path + "[" + strconv.Itoa(i) + "]" }
	if got.Len() == want.Len() {
		for i := range got.Len() {
			d.compare(at(i), got.Index(i), want.Index(i))
		}
		return
	}
	edits(got.Len(), want.Len(), func(i, j int) bool { return equal(got.Index(i), want.Index(j)) }, func(i, j int) {
		switch {
		case j < 0:
			d.add(at(i), "got %s, want nothing", d.show(got.Index(i)))
		case i < 0:
			d.add(at(j), "is missing, want %s", d.show(want.Index(j)))
		}
	})
}

func equal(a, b starlark.Value) bool {
	same, err := starlark.Equal(a, b)
	return err == nil && same
}

func (d *differences) texts(got, want string) string {
	g, gok := document(got)
	w, wok := document(want)
	if gok && wok && !equal(g, w) && len(got)+len(want) > 2*short {
		d.compare("", g, w)
		return "as JSON, " + d.String()
	}
	if strings.Contains(got, "\n") && strings.Contains(want, "\n") {
		return Lines(got, want)
	}
	if len(got) <= short || len(want) <= short {
		return fmt.Sprintf("got  %s\nwant %s", d.show(starlark.String(got)), d.show(starlark.String(want)))
	}
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	return fmt.Sprintf("the texts differ from byte %d on (%d bytes, want %d)\ngot  …%s\nwant …%s", at, len(got), len(want), near(got, at), near(want, at))
}

// near is what a text has around a place.
func near(text string, at int) string {
	return strings.ToValidUTF8(text[max(0, at-30):min(len(text), at+60)], "")
}

// document reads a text that is a JSON object or array.
func document(text string) (starlark.Value, bool) {
	t := strings.TrimSpace(text)
	if !strings.HasPrefix(t, "{") && !strings.HasPrefix(t, "[") {
		return nil, false
	}
	v, err := starlark.Call(new(starlark.Thread), json.Module.Members["decode"], starlark.Tuple{starlark.String(t)}, nil)
	return v, err == nil
}

// Lines shows the lines that differ, each with a line before and behind it: - what is wanted and
// missing, + what came instead.
func Lines(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	type line struct {
		mark byte
		text string
	}
	var all []line
	edits(len(g), len(w), func(i, j int) bool { return g[i] == w[j] }, func(i, j int) {
		switch {
		case j < 0:
			all = append(all, line{'+', g[i]})
		case i < 0:
			all = append(all, line{'-', w[j]})
		default:
			all = append(all, line{' ', g[i]})
		}
	})
	text, shown, gap := "the lines differ (- wanted, + got)", 0, false
	for i, l := range all {
		isNear := l.mark != ' ' || i > 0 && all[i-1].mark != ' ' || i+1 < len(all) && all[i+1].mark != ' '
		if !isNear {
			gap = true
			continue
		}
		if shown == 2*most {
			return text + "\n  …"
		}
		if gap && shown > 0 {
			text += "\n  …"
		}
		text += "\n  " + string(l.mark) + " " + l.text
		shown, gap = shown+1, false
	}
	return text
}

// edits calls step for what turns the second sequence into the first: (i, j) for what both have, (i, -1)
// for what only the first has, (-1, j) for the second. What is too large is compared place by place.
func edits(n, m int, same func(i, j int) bool, step func(i, j int)) {
	head := 0
	for head < n && head < m && same(head, head) {
		step(head, head)
		head++
	}
	tail := 0
	for tail < n-head && tail < m-head && same(n-1-tail, m-1-tail) {
		tail++
	}
	middle(head, n-tail, m-tail, same, step)
	for k := tail; k > 0; k-- {
		step(n-k, m-k)
	}
}

// largest is the product of lengths up to which the longest common part is looked for.
const largest = 1 << 20

func middle(head, n, m int, same func(i, j int) bool, step func(i, j int)) {
	rows, cols := n-head, m-head
	if rows*cols > largest {
		for i := head; i < n; i++ {
			step(i, -1)
		}
		for j := head; j < m; j++ {
			step(-1, j)
		}
		return
	}
	longest := make([][]int, rows+1)
	for i := range longest {
		longest[i] = make([]int, cols+1)
	}
	for i := rows - 1; i >= 0; i-- {
		for j := cols - 1; j >= 0; j-- {
			if same(head+i, head+j) {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < rows || j < cols {
		switch {
		case i < rows && j < cols && same(head+i, head+j):
			step(head+i, head+j)
			i, j = i+1, j+1
		case j < cols && (i == rows || longest[i][j+1] >= longest[i+1][j]):
			step(-1, head+j)
			j++
		default:
			step(head+i, -1)
			i++
		}
	}
}
