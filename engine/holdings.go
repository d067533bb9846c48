package engine

import (
	"unsafe"

	"go.starlark.net/starlark"
)

// maxHoldings is how many values are looked at to find out what a script holds.
const maxHoldings = 4_000_000

// holdings estimates what the variables on a thread hold, in bytes, at least 1.
func holdings(thread *starlark.Thread) int64 {
	h := holding{left: maxHoldings, seen: map[unsafe.Pointer]bool{}, bytes: 1}
	for depth := range thread.CallStackDepth() {
		frame := thread.DebugFrame(depth)
		for i := range frame.NumLocals() {
			if _, v := frame.Local(i); v != nil {
				h.add(v, 0)
			}
		}
		if fn, ok := frame.Callable().(*starlark.Function); ok {
			for _, v := range fn.Globals() {
				h.add(v, 0)
			}
			functionParts(fn, func(v starlark.Value) bool { h.add(v, 0); return true })
		}
	}
	return h.bytes
}

type holding struct {
	left  int
	bytes int64
	seen  map[unsafe.Pointer]bool
}

// Sizes of what a value takes beside what it holds, about.
const (
	itemBytes  = 16
	valueBytes = 48
	entryBytes = 100
	dictBytes  = 450
)

func (h *holding) add(v starlark.Value, depth int) {
	if h.left--; h.left < 0 || depth > 10*maxNesting {
		return
	}
	size, p := int64(itemBytes), unsafe.Pointer(nil)
	switch v := v.(type) {
	case starlark.String:
		if size += int64(len(v)); len(v) > 256 {
			p = unsafe.Pointer(unsafe.StringData(string(v)))
		}
	case starlark.Tuple:
		if size += int64(len(v)) * itemBytes; len(v) > 0 {
			p = unsafe.Pointer(unsafe.SliceData(v))
		}
	case *starlark.List:
		size, p = valueBytes+int64(v.Len())*itemBytes, unsafe.Pointer(v)
	case *starlark.Dict:
		size, p = dictBytes+int64(v.Len())*entryBytes, unsafe.Pointer(v)
	case *starlark.Set:
		size, p = dictBytes+int64(v.Len())*entryBytes, unsafe.Pointer(v)
	case Holder:
		size += int64(v.Parts()) * 8
	}
	if p != nil {
		if h.seen[p] {
			return
		}
		h.seen[p] = true
	}
	h.bytes += size
	held(v, func(v starlark.Value) bool {
		h.add(v, depth+1)
		return h.left > 0
	})
}
