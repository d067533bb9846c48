package engine

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// What one operation of a script may make or look at. The interpreter can be stopped between two
// instructions only, and a stack that overflows cannot be caught, so each instruction has bounds.
const (
	maxText    = 32 << 20  // bytes of a text that one operation makes
	maxItems   = 2_000_000 // items of a list that one operation makes
	maxParts   = 4_000_000 // parts of values that one operation compares, sorts or freezes
	maxKey     = 1_000     // parts of a value that is looked up
	maxNesting = 200       // levels of values in values
	maxBits    = 64 << 10  // of an int
	maxDigits  = 20_000    // of the text of an int
	textPart   = 32        // bytes of a text that count as a part
)

// A Holder is a value of a builtin that can hold values of a script. What looks at all of a value,
// to compare, write or freeze it, learns from it how much there is.
type Holder interface {
	// Parts is how many values there are, about, beside those that Held yields.
	Parts() int
	// Held yields the values that a script may have put there.
	Held(yield func(starlark.Value) bool)
}

var errNesting = fmt.Errorf("the value is nested deeper than %d levels, or contains itself", maxNesting)

// errParts says that a value is too large for what is to be done with it.
var errParts = errors.New("too many parts")

// A partsCount counts the parts of values, as a tree: what is held twice counts twice, because that
// is how often it is compared, written or hashed.
type partsCount struct {
	left     int                     // how many there may still be
	deepest  int                     // levels; 0 means maxNesting
	cut      bool                    // what is deeper does not count
	freezing map[starlark.Value]bool // if not nil, counts what Freeze visits: functions too, lists only once
}

func (c *partsCount) add(v starlark.Value, depth int) error {
	if c.left--; c.left < 0 {
		return errParts
	}
	deepest := c.deepest
	if deepest == 0 {
		deepest = maxNesting
	}
	if depth > deepest && !isScalar(v) {
		if c.cut {
			return nil
		}
		return errNesting
	}
	var err error
	each := func(v starlark.Value) bool {
		err = c.add(v, depth+1)
		return err == nil
	}
	switch v := v.(type) {
	case starlark.String:
		c.left -= len(v) / textPart
	case starlark.Bytes:
		c.left -= len(v) / textPart
	case starlark.Tuple:
		v.Elements()(each)
	case *starlark.Function, *starlark.Builtin:
		if c.freezing != nil {
			functionParts(v, each)
		}
	case *starlark.List, *starlark.Dict, *starlark.Set, *starlarkstruct.Struct, Holder:
		if c.freezing != nil {
			if c.freezing[v] {
				return nil
			}
			c.freezing[v] = true
		}
		if h, ok := v.(Holder); ok {
			c.left -= h.Parts()
		}
		held(v, each)
	}
	return err
}

// held yields what a value of a script holds.
func held(v starlark.Value, yield func(starlark.Value) bool) {
	switch v := v.(type) {
	case starlark.Tuple:
		v.Elements()(yield)
	case *starlark.List:
		v.Elements()(yield)
	case *starlark.Set:
		v.Elements()(yield)
	case *starlark.Dict:
		v.Entries()(func(k, v starlark.Value) bool { return yield(k) && yield(v) })
	case *starlarkstruct.Struct:
		for _, name := range v.AttrNames() {
			if field, err := v.Attr(name); err == nil && !yield(field) {
				return
			}
		}
	case Holder:
		v.Held(yield)
	}
}

func functionParts(v starlark.Value, yield func(starlark.Value) bool) {
	switch v := v.(type) {
	case *starlark.Builtin:
		if v.Receiver() != nil {
			yield(v.Receiver())
		}
	case *starlark.Function:
		for i := range v.NumParams() {
			if d := v.ParamDefault(i); d != nil && !yield(d) {
				return
			}
		}
		for i := range v.NumFreeVars() {
			if _, free := v.FreeVar(i); free != nil && !yield(free) {
				return
			}
		}
	}
}

// isScalar reports whether a value holds no others and is not large.
func isScalar(v starlark.Value) bool {
	switch v.(type) {
	case starlark.String, starlark.Int, starlark.Bool, starlark.NoneType, starlark.Float:
		return true
	}
	return false
}

// checkParts returns an error if the values together have more than max parts, or are nested too deep.
func checkParts(op string, max int, values ...starlark.Value) error {
	c := partsCount{left: max}
	for _, v := range values {
		if err := c.add(v, 0); err == errParts {
			return fmt.Errorf("%s: the value has more than %d parts; texts count a part for every %d bytes", op, max, textPart)
		} else if err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
	}
	return nil
}

// checkFreeze returns an error if freezing the values of a file's top level would take too long, or
// too much stack.
func checkFreeze(globals starlark.StringDict, file string) error {
	c := partsCount{left: maxParts, freezing: map[starlark.Value]bool{}}
	for _, name := range globals.Keys() {
		err := c.add(globals[name], 0)
		if err == errParts {
			err = fmt.Errorf("the values of the top level have more than %d parts", maxParts)
		}
		if err != nil {
			return newFileError(file, name+": "+err.Error(), err)
		}
	}
	return nil
}

// A textSize adds up how long values are when they are written.
type textSize struct{ bytes int }

// add adds the text that str gives of v.
func (s *textSize) add(v starlark.Value, depth int) error {
	if depth > maxNesting {
		return errNesting
	}
	switch v := v.(type) {
	case starlark.String:
		s.bytes += quotedSize(string(v))
	case starlark.Bytes:
		s.bytes += 4*len(v) + 3
	case starlark.Int:
		s.bytes += 21
		if _, small := v.Int64(); !small {
			s.bytes += v.BigInt().BitLen() / 3
		}
	case starlark.Tuple, *starlark.List, *starlark.Dict, *starlark.Set, *starlarkstruct.Struct:
		s.bytes += 8
		var err error
		held(v, func(v starlark.Value) bool {
			s.bytes += 2
			err = s.add(v, depth+1)
			return err == nil
		})
		if st, ok := v.(*starlarkstruct.Struct); ok {
			for _, name := range st.AttrNames() {
				s.bytes += len(name) + 3
			}
		}
		if err != nil {
			return err
		}
	case starlark.NoneType, starlark.Bool, starlark.Float:
		s.bytes += 24
	default:
		s.bytes += len(v.String())
	}
	if s.bytes > maxText {
		return errText
	}
	return nil
}

// plain adds the text that %s gives: that of a string as it is.
func (s *textSize) plain(v starlark.Value) error {
	if text, ok := starlark.AsString(v); ok {
		s.bytes += len(text)
		return nil
	}
	return s.add(v, 0)
}

var errText = fmt.Errorf("the text would be longer than %d MiB, which is what one operation may make", maxText>>20)

// quotedSize is how long a text is at most when it is quoted.
func quotedSize(s string) int {
	n := len(s) + 2
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			n += 3
		}
	}
	if !utf8.ValidString(s) {
		n += len(s)
	}
	return n
}

// checkLen returns an error if a list of n items is more than one operation may make.
func checkLen(op string, n int) error {
	if n > maxItems {
		return fmt.Errorf("%s: %d items, one operation may have %d", op, n, maxItems)
	}
	return nil
}

// Show returns a value as str writes it. Of one that is nested too deep, or whose text would be too
// long, it says only that: builtins show values of scripts with it.
func Show(v starlark.Value) string {
	var s textSize
	if err := s.add(v, 0); err != nil {
		return fmt.Sprintf("<%s: %v>", v.Type(), err)
	}
	return v.String()
}
