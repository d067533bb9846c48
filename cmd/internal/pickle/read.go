package pickle

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"
)

// Read returns what data holds: nil, bool, int64 or *big.Int, float64, string, []byte, *List, *Dict,
// time.Time or time.Duration. Walking through it ends: it does not hold itself, is at most 100 deep, and
// has 200,000 values at most. What follows the end of the pickle is ignored, as Python does. The error is
// an *Error, or says that data is longer than MaxBytes.
func Read(data []byte) (any, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("%d bytes long, more than the %d that are read", len(data), MaxBytes)
	}
	m := &machine{data: data}
	v, problem := m.run()
	if problem == "" {
		problem = (&bound{maxValues}).check(v, 0)
	}
	if problem == "" {
		return v, nil
	}
	e := &Error{Offset: m.start, Problem: problem}
	if m.start < len(data) {
		e.Op = opcode(data[m.start]).String()
	}
	return nil, e
}

// A machine runs a pickle.
type machine struct {
	data  []byte
	start int // of the instruction that runs
	next  int // of what is read next
	stack []any
	marks []int // places in stack
	memo  map[int]any
}

const cutShort = "the file ends in the middle"

func (m *machine) run() (any, string) {
	if len(m.data) == 0 {
		return nil, "the file is empty"
	}
	if opcode(m.data[0]) != opProto {
		return nil, fmt.Sprintf("begins with the byte %#02x, and not as a pickle of protocol 2 or later does", m.data[0])
	}
	m.memo = map[int]any{}
	for range maxValues {
		m.start = m.next
		raw, ok := m.take(1)
		if !ok {
			return nil, cutShort
		}
		op := opcode(raw[0])
		if op == opStop {
			if len(m.stack) != 1 || len(m.marks) != 0 {
				return nil, "ends with more or less than one value"
			}
			return m.stack[0], ""
		}
		if problem := m.step(op); problem != "" {
			return nil, problem
		}
	}
	return nil, fmt.Sprintf("has more than %d instructions", maxValues)
}

// step does one instruction. What it returns says why it cannot.
func (m *machine) step(op opcode) string {
	switch op {
	case opProto:
		return m.proto()
	case opFrame:
		if _, ok := m.take(8); !ok { // its length says nothing that is needed
			return cutShort
		}
		return ""
	case opMark:
		m.marks = append(m.marks, len(m.stack))
		return ""
	case opNone:
		return m.push(nil)
	case opTrue, opFalse:
		return m.push(op == opTrue)
	case opBinInt, opBinInt1, opBinInt2, opBinFloat, opLong1, opLong4:
		return m.number(op)
	case opShortBinUnicode, opBinUnicode, opBinUnicode8, opShortBinBytes, opBinBytes, opBinBytes8, opByteArray8:
		return m.text(op)
	case opEmptyList, opEmptyTuple, opEmptySet:
		return m.push(&List{})
	case opEmptyDict:
		return m.push(&Dict{})
	case opTuple1, opTuple2, opTuple3, opTuple, opFrozenSet:
		return m.tuple(op)
	case opAppend, opAppends, opAddItems:
		return m.extend(op)
	case opSetItem, opSetItems:
		return m.setItems(op)
	case opMemoize, opBinPut, opLongBinPut:
		return m.remember(op)
	case opBinGet, opLongBinGet:
		return m.recall(op)
	case opGlobal, opStackGlobal:
		return m.global(op)
	case opReduce:
		return m.reduce()
	}
	if op.isCode() {
		return "refused: state is data, and this makes or calls something else"
	}
	return "is not among the data of protocols 2 to 5"
}

func (m *machine) proto() string {
	raw, ok := m.take(1)
	switch {
	case !ok:
		return cutShort
	case raw[0] < 2 || raw[0] > 5:
		return fmt.Sprintf("protocol %d, where 2 to 5 are known", raw[0])
	}
	return ""
}

// take returns the next n bytes.
func (m *machine) take(n int) ([]byte, bool) {
	if n < 0 || n > len(m.data)-m.next {
		return nil, false
	}
	b := m.data[m.next : m.next+n]
	m.next += n
	return b, true
}

// uint reads a number of n bytes, little end first.
func (m *machine) uint(n int) (uint64, bool) {
	raw, ok := m.take(n)
	var b [8]byte
	copy(b[:], raw)
	return binary.LittleEndian.Uint64(b[:]), ok
}

func (m *machine) push(v any) string {
	m.stack = append(m.stack, v)
	return ""
}

// pop returns the last n values of the stack, none of them before the last mark.
func (m *machine) pop(n int) ([]any, bool) {
	floor := 0
	if len(m.marks) > 0 {
		floor = m.marks[len(m.marks)-1]
	}
	if len(m.stack)-floor < n {
		return nil, false
	}
	values := slices.Clone(m.stack[len(m.stack)-n:])
	m.stack = m.stack[:len(m.stack)-n]
	return values, true
}

// popMark returns what is above the last mark.
func (m *machine) popMark() ([]any, bool) {
	if len(m.marks) == 0 {
		return nil, false
	}
	at := m.marks[len(m.marks)-1]
	values, _ := m.pop(len(m.stack) - at)
	m.marks = m.marks[:len(m.marks)-1]
	return values, true
}

const (
	noValues = "has no values to work on"
	badArgs  = "has values of the wrong kind to work on"
)

func (m *machine) number(op opcode) string {
	switch op {
	case opBinFloat:
		raw, ok := m.take(8)
		if !ok {
			return cutShort
		}
		return m.push(math.Float64frombits(binary.BigEndian.Uint64(raw)))
	case opLong1, opLong4:
		return m.long(op)
	}
	n, ok := m.uint(map[opcode]int{opBinInt: 4, opBinInt1: 1, opBinInt2: 2}[op])
	switch {
	case !ok:
		return cutShort
	case op == opBinInt:
		return m.push(int64(int32(uint32(n))))
	}
	return m.push(int64(n))
}

// long reads an int of any length: two's complement, little end first.
func (m *machine) long(op opcode) string {
	width := 1
	if op == opLong4 {
		width = 4
	}
	n, ok := m.uint(width)
	if ok && n > maxLong {
		return fmt.Sprintf("an int of %d bytes", n)
	}
	raw, whole := m.take(int(n))
	if !ok || !whole {
		return cutShort
	}
	b := slices.Clone(raw)
	slices.Reverse(b)
	v := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	if v.IsInt64() {
		return m.push(v.Int64())
	}
	return m.push(v)
}

func (m *machine) text(op opcode) string {
	width := 4
	switch op {
	case opShortBinUnicode, opShortBinBytes:
		width = 1
	case opBinUnicode8, opBinBytes8, opByteArray8:
		width = 8
	}
	n, ok := m.uint(width)
	if !ok || n > uint64(len(m.data)) {
		return cutShort
	}
	raw, ok := m.take(int(n))
	if !ok {
		return cutShort
	}
	switch op {
	case opShortBinUnicode, opBinUnicode, opBinUnicode8:
		if !utf8.Valid(raw) {
			return m.push(strings.ToValidUTF8(string(raw), "\ufffd")) // Python writes halves of surrogates as they are
		}
		return m.push(string(raw))
	}
	return m.push(slices.Clone(raw))
}

func (m *machine) tuple(op opcode) string {
	var items []any
	var ok bool
	switch op {
	case opTuple1:
		items, ok = m.pop(1)
	case opTuple2:
		items, ok = m.pop(2)
	case opTuple3:
		items, ok = m.pop(3)
	default:
		items, ok = m.popMark()
	}
	if !ok {
		return noValues
	}
	return m.push(&List{items})
}

func (m *machine) extend(op opcode) string {
	items, ok := m.items(op == opAppend, 1)
	into, isThere := m.top()
	if !ok || !isThere {
		return noValues
	}
	list, ok := into.(*List)
	if !ok {
		return badArgs
	}
	list.Items = append(list.Items, items...)
	return ""
}

func (m *machine) setItems(op opcode) string {
	items, ok := m.items(op == opSetItem, 2)
	into, isThere := m.top()
	if !ok || !isThere || len(items)%2 != 0 {
		return noValues
	}
	dict, ok := into.(*Dict)
	if !ok {
		return badArgs
	}
	for i := 0; i < len(items); i += 2 {
		dict.set(items[i], items[i+1])
	}
	return ""
}

// items returns the last n values, or those above the mark.
func (m *machine) items(one bool, n int) ([]any, bool) {
	if one {
		return m.pop(n)
	}
	return m.popMark()
}

func (m *machine) top() (any, bool) {
	if len(m.stack) == 0 {
		return nil, false
	}
	return m.stack[len(m.stack)-1], true
}

func (m *machine) remember(op opcode) string {
	at, ok := uint64(len(m.memo)), true
	switch op {
	case opBinPut:
		at, ok = m.uint(1)
	case opLongBinPut:
		at, ok = m.uint(4)
	}
	v, isThere := m.top()
	switch {
	case !ok:
		return cutShort
	case !isThere:
		return noValues
	}
	m.memo[int(at)] = v
	return ""
}

func (m *machine) recall(op opcode) string {
	width := 1
	if op == opLongBinGet {
		width = 4
	}
	at, ok := m.uint(width)
	if !ok {
		return cutShort
	}
	v, ok := m.memo[int(at)]
	if !ok {
		return fmt.Sprintf("nothing is remembered as %d", at)
	}
	return m.push(v)
}
