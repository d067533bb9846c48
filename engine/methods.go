package engine

import (
	"fmt"
	"strings"
	"unicode"

	"go.starlark.net/starlark"
)

// A receiver is a value of Starlark's own in front of the dot of a method that needs bounds.
type receiver struct {
	starlark.Value
	attrs   starlark.HasAttrs
	methods map[string]*starlark.Builtin
}

func receiverOf(x starlark.Value) starlark.Value {
	switch x := x.(type) {
	case starlark.String:
		return receiver{x, x, stringMethods}
	case starlark.Bytes:
		return receiver{x, x, bytesMethods}
	case *starlark.List:
		return receiver{x, x, listMethods}
	case *starlark.Dict:
		return receiver{x, x, dictMethods}
	case *starlark.Set:
		return receiver{x, x, setMethods}
	}
	return x
}

// Attr gives the method with its bounds, or what the value has by that name.
func (r receiver) Attr(name string) (starlark.Value, error) {
	if m := r.methods[name]; m != nil {
		return m.BindReceiver(r.Value), nil
	}
	return r.attrs.Attr(name)
}

func (r receiver) AttrNames() []string { return r.attrs.AttrNames() }

// A methodCheck looks at a call before it is made. It may change the arguments.
type methodCheck func(op string, recv starlark.Value, args starlark.Tuple, kwargs []starlark.Tuple) error

// The methods that need bounds. Those that only look a value up are guarded where they are called,
// which costs less, if the call has the usual form; see lookups.
var (
	stringMethods = methods(map[string]methodCheck{
		"join": checkJoin, "replace": checkReplace, "format": checkFormatMethod,
		"split": checkSplit, "rsplit": checkSplit, "splitlines": checkSplit,
		"elems": checkElems, "elem_ords": checkElems, "codepoints": checkElems, "codepoint_ords": checkElems,
	})
	bytesMethods = methods(map[string]methodCheck{"elems": checkElems})
	listMethods  = methods(map[string]methodCheck{"extend": checkExtend, "index": checkNeedleArg, "remove": checkNeedleArg})
	dictMethods  = methods(map[string]methodCheck{"get": checkNeedleArg, "pop": checkNeedleArg, "setdefault": checkNeedleArg, "update": checkItems})
	setMethods   = methods(map[string]methodCheck{
		"add": checkNeedleArg, "discard": checkNeedleArg, "remove": checkNeedleArg, "update": checkItems, "union": checkItems,
		"intersection": checkItems, "difference": checkItems, "symmetric_difference": checkItems, "issubset": checkItems, "issuperset": checkItems,
	})
)

// lookups are the methods that look up their first argument, with the guard of it.
var lookups = map[string]string{
	"get": guardKey, "pop": guardKey, "setdefault": guardKey, "add": guardKey, "discard": guardKey,
	"remove": guardIn, "index": guardIn,
}

// hasBounds reports whether a value of Starlark's own has a method of this name that needs bounds.
func hasBounds(name string) bool {
	for _, methods := range []map[string]*starlark.Builtin{stringMethods, bytesMethods, listMethods, dictMethods, setMethods} {
		if methods[name] != nil {
			return true
		}
	}
	return false
}

func methods(checks map[string]methodCheck) map[string]*starlark.Builtin {
	methods := map[string]*starlark.Builtin{}
	for name, check := range checks {
		methods[name] = starlark.NewBuiltin(name, func(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			recv := b.Receiver()
			if err := check(name, recv, args, kwargs); err != nil {
				return nil, err
			}
			m, err := recv.(starlark.HasAttrs).Attr(name)
			if err != nil {
				return nil, err
			}
			return m.(*starlark.Builtin).CallInternal(thread, args, kwargs)
		})
	}
	return methods
}

func checkJoin(op string, recv starlark.Value, args starlark.Tuple, _ []starlark.Tuple) error {
	if len(args) != 1 {
		return nil
	}
	items, ok := args[0].(starlark.Iterable)
	if !ok {
		return nil
	}
	switch items.(type) {
	case *starlark.List, starlark.Tuple, *starlark.Set, *starlark.Dict:
	default:
		all, err := collect(op, items)
		if err != nil {
			return err
		}
		items = starlark.NewList(all)
		args[0] = items
	}
	n := starlark.Len(recv) * starlark.Len(items)
	it := items.Iterate()
	defer it.Done()
	var v starlark.Value
	for it.Next(&v) && n <= maxText {
		text, _ := starlark.AsString(v)
		n += len(text)
	}
	if n > maxText {
		return tooLong(op, n)
	}
	return nil
}

func checkReplace(op string, recv starlark.Value, args starlark.Tuple, _ []starlark.Tuple) error {
	if len(args) < 2 {
		return nil
	}
	text := string(recv.(starlark.String))
	old, _ := starlark.AsString(args[0])
	new, _ := starlark.AsString(args[1])
	if len(new) <= len(old) || (len(text)/max(1, len(old))+1)*len(new)+len(text) <= maxText {
		return nil
	}
	times := strings.Count(text, old)
	if len(args) > 2 {
		if most, err := starlark.AsInt32(args[2]); err == nil && most >= 0 {
			times = min(times, most)
		}
	}
	if n := len(text) + times*(len(new)-len(old)); n > maxText {
		return tooLong(op, n)
	}
	return nil
}

func checkFormatMethod(op string, recv starlark.Value, args starlark.Tuple, kwargs []starlark.Tuple) error {
	values := append([]starlark.Value{}, args...)
	for _, kv := range kwargs {
		values = append(values, kv[1])
	}
	format := string(recv.(starlark.String))
	places := strings.Count(format, "{")
	if strings.Count(format, "{}") != places {
		places = max(places, 2) // a value with a name or a number may be there twice
	}
	return checkFormat(op, format, places, values)
}

func checkSplit(op string, recv starlark.Value, args starlark.Tuple, _ []starlark.Tuple) error {
	text := string(recv.(starlark.String))
	if len(text) <= maxItems {
		return nil
	}
	if len(args) > 0 && op != "splitlines" {
		if sep, ok := starlark.AsString(args[0]); ok && sep != "" {
			return checkLen(op, strings.Count(text, sep)+1)
		}
	}
	parts := 1
	for _, r := range text {
		if unicode.IsSpace(r) {
			parts++
		}
	}
	return checkLen(op, parts)
}

func checkElems(op string, recv starlark.Value, _ starlark.Tuple, _ []starlark.Tuple) error {
	return checkLen(op, starlark.Len(recv))
}

func checkExtend(op string, _ starlark.Value, args starlark.Tuple, _ []starlark.Tuple) error {
	if len(args) == 0 {
		return nil
	}
	return checkLen(op, starlark.Len(args[0]))
}

// checkNeedleArg looks at the value to look for, where it does not stand in front of the others.
func checkNeedleArg(op string, _ starlark.Value, args starlark.Tuple, _ []starlark.Tuple) error {
	if len(args) == 0 {
		return nil
	}
	return checkNeedle(op, args[0])
}

// checkItems bounds what is put into a dict or a set, each item of which is hashed and compared.
func checkItems(op string, _ starlark.Value, args starlark.Tuple, _ []starlark.Tuple) error {
	for _, arg := range args {
		if err := checkLen(op, starlark.Len(arg)); err != nil {
			return err
		}
	}
	return checkParts(op, maxParts, args...)
}

// boundedNames are the functions of Starlark's own that need bounds, with these bounds.
func boundedNames() starlark.StringDict {
	names := starlark.StringDict{}
	for name, check := range map[string]methodCheck{
		"list": checkListOf, "tuple": checkListOf, "reversed": checkListOf, "enumerate": checkListOf, "any": checkListOf, "all": checkListOf,
		"bytes": checkListOf, "zip": checkZip, "set": checkItems, "dict": checkItems, "sorted": checkOrder, "min": checkOrder, "max": checkOrder,
		"str": checkText, "repr": checkText, "print": checkTexts, "fail": checkTexts, "getattr": checkGetattr, "int": checkIntText,
		"float": checkIntText,
	} {
		original := starlark.Universe[name].(*starlark.Builtin)
		names[name] = starlark.NewBuiltin(name, func(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			if err := check(name, nil, args, kwargs); err != nil {
				return nil, err
			}
			return original.CallInternal(thread, args, kwargs)
		})
	}
	return names
}

// checkListOf bounds what makes an item of each item of its first argument, or looks at all of them.
func checkListOf(op string, _ starlark.Value, args starlark.Tuple, _ []starlark.Tuple) error {
	if len(args) == 0 {
		return nil
	}
	if _, text := args[0].(starlark.String); text {
		return nil
	}
	return checkLen(op, starlark.Len(args[0]))
}

func checkZip(op string, _ starlark.Value, args starlark.Tuple, _ []starlark.Tuple) error {
	rows := -1
	for _, arg := range args {
		if n := starlark.Len(arg); n >= 0 && (rows < 0 || n < rows) {
			rows = n
		}
	}
	if rows > maxItems {
		return checkLen(op, rows)
	}
	return checkLen(op, rows*len(args))
}

// checkOrder bounds what is compared with each other.
func checkOrder(op string, _ starlark.Value, args starlark.Tuple, kwargs []starlark.Tuple) error {
	for _, kv := range kwargs {
		args = append(args, kv[1])
	}
	c := partsCount{left: maxParts, deepest: starlark.CompareLimit + 1, cut: true}
	for _, arg := range args {
		if err := checkListOf(op, nil, starlark.Tuple{arg}, nil); err != nil {
			return err
		}
		if c.add(arg, 0) == errParts {
			return fmt.Errorf("%s: the values have more than %d parts; texts count a part for every %d bytes", op, maxParts, textPart)
		}
	}
	return nil
}

func checkText(_ string, _ starlark.Value, args starlark.Tuple, _ []starlark.Tuple) error {
	if len(args) != 1 {
		return nil
	}
	var s textSize
	return s.plain(args[0])
}

func checkTexts(_ string, _ starlark.Value, args starlark.Tuple, _ []starlark.Tuple) error {
	var s textSize
	for _, arg := range args {
		if err := s.plain(arg); err != nil {
			return err
		}
	}
	if s.bytes > maxText {
		return errText
	}
	return nil
}

// checkGetattr makes getattr(x, "join") give the method with its bounds, as x.join does.
func checkGetattr(_ string, _ starlark.Value, args starlark.Tuple, _ []starlark.Tuple) error {
	if len(args) > 0 {
		args[0] = receiverOf(args[0])
	}
	return nil
}

func checkIntText(op string, _ starlark.Value, args starlark.Tuple, _ []starlark.Tuple) error {
	if len(args) == 0 {
		return nil
	}
	if text, ok := starlark.AsString(args[0]); ok && len(text) > maxDigits {
		return fmt.Errorf("%s: the text has %d bytes, a number may have %d", op, len(text), maxDigits)
	}
	return nil
}
