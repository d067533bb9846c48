package pickle

import "fmt"

// An opcode is an instruction of a pickle.
type opcode byte

// The instructions that make data.
const (
	opProto           opcode = 0x80
	opFrame           opcode = 0x95
	opStop            opcode = '.'
	opMark            opcode = '('
	opNone            opcode = 'N'
	opTrue            opcode = 0x88
	opFalse           opcode = 0x89
	opBinInt          opcode = 'J'
	opBinInt1         opcode = 'K'
	opBinInt2         opcode = 'M'
	opLong1           opcode = 0x8a
	opLong4           opcode = 0x8b
	opBinFloat        opcode = 'G'
	opBinUnicode      opcode = 'X'
	opShortBinUnicode opcode = 0x8c
	opBinUnicode8     opcode = 0x8d
	opBinBytes        opcode = 'B'
	opShortBinBytes   opcode = 'C'
	opBinBytes8       opcode = 0x8e
	opByteArray8      opcode = 0x96
	opEmptyList       opcode = ']'
	opAppend          opcode = 'a'
	opAppends         opcode = 'e'
	opEmptyTuple      opcode = ')'
	opTuple           opcode = 't'
	opTuple1          opcode = 0x85
	opTuple2          opcode = 0x86
	opTuple3          opcode = 0x87
	opEmptyDict       opcode = '}'
	opSetItem         opcode = 's'
	opSetItems        opcode = 'u'
	opEmptySet        opcode = 0x8f
	opAddItems        opcode = 0x90
	opFrozenSet       opcode = 0x91
	opMemoize         opcode = 0x94
	opBinPut          opcode = 'q'
	opLongBinPut      opcode = 'r'
	opBinGet          opcode = 'h'
	opLongBinGet      opcode = 'j'
	opGlobal          opcode = 'c'
	opStackGlobal     opcode = 0x93
	opReduce          opcode = 'R'
)

// names has all instructions there are.
var names = map[opcode]string{
	opProto: "PROTO", opFrame: "FRAME", opStop: "STOP", opMark: "MARK", opNone: "NONE", opTrue: "NEWTRUE", opFalse: "NEWFALSE",
	opBinInt: "BININT", opBinInt1: "BININT1", opBinInt2: "BININT2", opLong1: "LONG1", opLong4: "LONG4", opBinFloat: "BINFLOAT",
	opBinUnicode: "BINUNICODE", opShortBinUnicode: "SHORT_BINUNICODE", opBinUnicode8: "BINUNICODE8",
	opBinBytes: "BINBYTES", opShortBinBytes: "SHORT_BINBYTES", opBinBytes8: "BINBYTES8", opByteArray8: "BYTEARRAY8",
	opEmptyList: "EMPTY_LIST", opAppend: "APPEND", opAppends: "APPENDS", opEmptyTuple: "EMPTY_TUPLE", opTuple: "TUPLE",
	opTuple1: "TUPLE1", opTuple2: "TUPLE2", opTuple3: "TUPLE3", opEmptyDict: "EMPTY_DICT", opSetItem: "SETITEM", opSetItems: "SETITEMS",
	opEmptySet: "EMPTY_SET", opAddItems: "ADDITEMS", opFrozenSet: "FROZENSET", opMemoize: "MEMOIZE", opBinPut: "BINPUT",
	opLongBinPut: "LONG_BINPUT", opBinGet: "BINGET", opLongBinGet: "LONG_BINGET", opGlobal: "GLOBAL", opStackGlobal: "STACK_GLOBAL", opReduce: "REDUCE",

	'b': "BUILD", 'i': "INST", 'o': "OBJ", 0x81: "NEWOBJ", 0x92: "NEWOBJ_EX", 'P': "PERSID", 'Q': "BINPERSID", 0x82: "EXT1", 0x83: "EXT2",
	0x84: "EXT4", 0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER",

	'0': "POP", '1': "POP_MARK", '2': "DUP", 'F': "FLOAT", 'I': "INT", 'L': "LONG", 'S': "STRING", 'T': "BINSTRING", 'U': "SHORT_BINSTRING",
	'V': "UNICODE", 'd': "DICT", 'l': "LIST", 'g': "GET", 'p': "PUT",
}

func (o opcode) String() string {
	if name, ok := names[o]; ok {
		return name
	}
	return fmt.Sprintf("%#02x", byte(o))
}

// isCode reports whether an instruction makes or calls something other than data.
func (o opcode) isCode() bool {
	switch o {
	case 'b', 'i', 'o', 0x81, 0x92, 'P', 'Q', 0x82, 0x83, 0x84, 0x97, 0x98:
		return true
	}
	return false
}
