package engine

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// An operandGuard is a value that the rewritten script reads as guard[operand]. It gives the operand, an
// operand that knows bounds, or an error. An index is the cheapest call that Starlark has: it makes no
// frame, so that errors keep their place and their text.
type operandGuard func(starlark.Value) (starlark.Value, error)

func (operandGuard) String() string        { return "guard" }
func (operandGuard) Type() string          { return "guard" }
func (operandGuard) Freeze()               {}
func (operandGuard) Truth() starlark.Bool  { return true }
func (operandGuard) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: guard") }

// Get implements guard[v].
func (g operandGuard) Get(v starlark.Value) (starlark.Value, bool, error) {
	v, err := g(v)
	return v, true, err
}

// The guards, by the names that the rewritten script has for them. No script can write such a name.
const (
	guardPrefix  = "guard "
	guardAdd     = "guard +"
	guardRepeat  = "guard *"
	guardTimes   = "guard * number"
	guardFormat  = "guard %"
	guardShift   = "guard <<"
	guardAssign  = "guard +="
	guardCompare = "guard =="
	guardIn      = "guard in"
	guardKey     = "guard []"
	guardMethod  = "guard ."
	guardArgs    = "guard *args"
	guardMark    = "guard mark" // of Statements
)

func guards() map[string]operandGuard {
	return map[string]operandGuard{
		guardAdd: func(x starlark.Value) (starlark.Value, error) {
			if _, number := x.(starlark.Int); number {
				return x, nil
			}
			return measured(x), nil
		},
		guardRepeat: func(x starlark.Value) (starlark.Value, error) { return measured(x), nil },
		guardTimes: func(x starlark.Value) (starlark.Value, error) {
			if i, ok := x.(starlark.Int); ok {
				if _, small := i.Int64(); small {
					return x, nil
				}
			}
			return measured(x), nil
		},
		guardFormat: func(x starlark.Value) (starlark.Value, error) {
			if _, text := x.(starlark.String); text {
				return operand{x}, nil
			}
			return x, nil
		},
		guardShift:  shiftable,
		guardAssign: func(y starlark.Value) (starlark.Value, error) { return assigned(y), nil },
		guardCompare: func(x starlark.Value) (starlark.Value, error) {
			if isScalar(x) {
				return x, nil
			}
			return x, checkComparison(x)
		},
		guardIn: func(x starlark.Value) (starlark.Value, error) {
			return x, checkNeedle("in", x)
		},
		guardKey: func(x starlark.Value) (starlark.Value, error) {
			if _, tuple := x.(starlark.Tuple); !tuple {
				return x, checkHash(x)
			}
			return x, checkParts("key", maxKey, x)
		},
		guardMethod: func(x starlark.Value) (starlark.Value, error) { return receiverOf(x), nil },
		guardArgs: func(x starlark.Value) (starlark.Value, error) {
			return x, checkLen("arguments after *", starlark.Len(x))
		},
	}
}

// checkHash looks at a key that is no tuple: structs are hashed with all that they hold.
func checkHash(x starlark.Value) error {
	switch x.(type) {
	case starlark.String, starlark.Int, starlark.Bool, starlark.NoneType, starlark.Float:
		return nil
	}
	return checkParts("key", maxKey, x)
}

// checkComparison bounds what a comparison looks at. It goes through both sides in step, so that one side
// decides; Starlark itself ends it at CompareLimit levels.
func checkComparison(x starlark.Value) error {
	c := partsCount{left: maxParts, deepest: starlark.CompareLimit, cut: true}
	if c.add(x, 0) == errParts {
		return fmt.Errorf("comparison: the value has more than %d parts; texts count a part for every %d bytes", maxParts, textPart)
	}
	return nil
}

// maxNeedle is the longest text that is looked up; each text of a list may have to be compared with it.
const maxNeedle = 256 << 10

// checkNeedle bounds what is compared with each item of a list.
func checkNeedle(op string, x starlark.Value) error {
	if text, ok := x.(starlark.String); ok {
		if len(text) > maxNeedle {
			return fmt.Errorf("%s: the text to look for has %d bytes, it may have %d", op, len(text), maxNeedle)
		}
		return nil
	}
	if isScalar(x) {
		return nil
	}
	return checkParts(op, maxKey, x)
}

func shiftable(x starlark.Value) (starlark.Value, error) {
	if i, ok := x.(starlark.Int); ok {
		if _, small := i.Int64(); !small && i.BigInt().BitLen() > maxBits {
			return nil, fmt.Errorf("<<: the number would have more than %d bits", maxBits)
		}
	}
	return x, nil
}

// measured returns an operand that knows bounds, for a value with which + or * can make something large.
func measured(x starlark.Value) starlark.Value {
	switch x.(type) {
	case starlark.Int, starlark.String, starlark.Bytes, starlark.Tuple, *starlark.List:
		return operand{x}
	}
	return x
}

// assigned returns the right side of x += y.
func assigned(y starlark.Value) starlark.Value {
	switch y.(type) {
	case starlark.Float, starlark.Bool, starlark.NoneType, *starlark.Dict, *starlark.Set, starlark.HasBinary:
		if _, iterable := y.(starlark.Iterable); !iterable {
			return y
		}
	case starlark.Callable:
		return y
	}
	return operand{y}
}

// An operand is a value that is in the middle of an operation.
type operand struct{ starlark.Value }

// Binary implements x op y with its bounds.
func (o operand) Binary(op syntax.Token, y starlark.Value, side starlark.Side) (starlark.Value, error) {
	x := o.Value
	if other, ok := y.(operand); ok {
		y = other.Value
	}
	if side == starlark.Right {
		x, y = y, x
		if list, ok := x.(*starlark.List); ok && op == syntax.PLUS {
			return extended(list, y)
		}
	}
	if err := checkBinary(op, x, y); err != nil {
		return nil, err
	}
	return starlark.Binary(op, x, y)
}

func checkBinary(op syntax.Token, x, y starlark.Value) error {
	switch op {
	case syntax.PLUS:
		return checkSum(x, y)
	case syntax.STAR:
		return checkProduct(x, y)
	case syntax.PERCENT:
		if format, ok := x.(starlark.String); ok {
			return checkPercent(string(format), y)
		}
	}
	return nil
}

func checkSum(x, y starlark.Value) error {
	switch x := x.(type) {
	case starlark.String, starlark.Bytes:
		if n := starlark.Len(x) + max(0, starlark.Len(y)); n > maxText {
			return tooLong("+", n)
		}
	case *starlark.List, starlark.Tuple:
		return checkLen("+", starlark.Len(x)+max(0, starlark.Len(y)))
	}
	return nil
}

func tooLong(op string, n int) error {
	return fmt.Errorf("%s would make a text of %d bytes, one operation may make %d", op, n, maxText)
}

func checkProduct(x, y starlark.Value) error {
	if _, ok := x.(starlark.Int); !ok {
		x, y = y, x
	}
	n, ok := x.(starlark.Int)
	if !ok {
		return nil
	}
	if m, ok := y.(starlark.Int); ok {
		return checkBits(n, m)
	}
	length := starlark.Len(y)
	times, ok := n.Int64()
	if length <= 0 || ok && times <= 0 {
		return nil
	}
	high, total := bits.Mul64(uint64(length), uint64(times))
	if !ok || high != 0 || total > 1<<62 {
		total = 1 << 62
	}
	switch y.(type) {
	case starlark.String, starlark.Bytes:
		if total > maxText {
			return tooLong("*", int(total))
		}
	case *starlark.List, starlark.Tuple:
		return checkLen("*", int(total))
	}
	return nil
}

func checkBits(x, y starlark.Int) error {
	_, xSmall := x.Int64()
	_, ySmall := y.Int64()
	if xSmall && ySmall {
		return nil
	}
	if n := x.BigInt().BitLen() + y.BigInt().BitLen(); n > maxBits {
		return fmt.Errorf("* would make a number of %d bits, one operation may make %d", n, maxBits)
	}
	return nil
}

// checkPercent bounds format % args.
func checkPercent(format string, args starlark.Value) error {
	var values []starlark.Value
	switch args := args.(type) {
	case starlark.Tuple:
		values = args
	case starlark.IterableMapping:
		for _, item := range args.Items() {
			values = append(values, item[1])
		}
		values = append(values, args) // %s gives all of it
	default:
		values = []starlark.Value{args}
	}
	return checkFormat("%", format, strings.Count(format, "%"), values)
}

// checkFormat bounds a text into which values are put, each of them once if there are as many places.
func checkFormat(op, format string, places int, values []starlark.Value) error {
	var sum, largest int
	for _, v := range values {
		var s textSize
		if err := s.plain(v); err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
		sum, largest = sum+s.bytes, max(largest, s.bytes)
	}
	if places > len(values) {
		sum = places * largest
	}
	if n := len(format) + sum; n > maxText {
		return tooLong(op, n)
	}
	return nil
}

// extended is list += y, which changes the list.
func extended(list *starlark.List, y starlark.Value) (starlark.Value, error) {
	items, ok := y.(starlark.Iterable)
	if !ok {
		return starlark.Binary(syntax.PLUS, list, y)
	}
	all, err := collect("+=", items) // first, because the items may be those of the list
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		if err := list.Append(v); err != nil {
			return nil, errors.New(strings.Replace(err.Error(), "append to", "apply += to", 1))
		}
	}
	return list, nil
}

// collect returns the items of an iterable, if they are not too many.
func collect(op string, items starlark.Iterable) ([]starlark.Value, error) {
	n := max(0, starlark.Len(items))
	if err := checkLen(op, n); err != nil {
		return nil, err
	}
	all := make([]starlark.Value, 0, n)
	it := items.Iterate()
	defer it.Done()
	var v starlark.Value
	for it.Next(&v) {
		if err := checkLen(op, len(all)+1); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}
