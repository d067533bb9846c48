package pickle

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// written returns what testdata/devo_state/make.py wrote.
func written(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../../testdata/devo_state", name+".pickle"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func list(items ...any) *List { return &List{items} }

// plain is a Dict whose keys are easy to ask for.
func plain(t *testing.T, v any) map[any]any {
	t.Helper()
	d, ok := v.(*Dict)
	if !ok {
		t.Fatalf("got %T, want a dict", v)
	}
	m := map[any]any{}
	for _, p := range d.Pairs {
		m[p.Key] = p.Value
	}
	if len(m) != len(d.Pairs) {
		t.Errorf("%d keys in %d pairs", len(m), len(d.Pairs))
	}
	return m
}

func big2(exponent uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), exponent) }

func TestReadsAllKindsOfData(t *testing.T) {
	t.Parallel()
	numbers := &List{}
	for i := range 1500 {
		numbers.Items = append(numbers.Items, int64(i))
	}
	want := map[any]any{
		"@persistence_version": int64(1),
		"none":                 nil,
		"yes":                  true,
		"no":                   false,
		"ints": list(int64(0), int64(255), int64(256), int64(65535), int64(65536), int64(-1), int64(1<<31-1), int64(-1<<31), int64(1<<31),
			int64(1<<63-1), int64(-1<<63), big2(63), new(big.Int).Neg(big2(100))),
		"floats":    list(0.0, -1.5, 1e300),
		"text":      "ünïcode ✓ 𝄞",
		"long text": strings.Repeat("x", 300),
		"bytes":     []byte{0, 255},
		"tuples": list(&List{}, list(int64(1)), list(int64(1), int64(2)), list(int64(1), int64(2), int64(3)),
			list(int64(1), int64(2), int64(3), int64(4))),
		"many":   numbers,
		int64(1): "a key that is no text",
		"shared": list(list("one", "two"), list("one", "two")),
	}
	for _, name := range []string{"all_2", "all_3", "all_4", "all_5"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := Read(written(t, name))
			if err != nil {
				t.Fatal(err)
			}
			got := plain(t, v)
			for key, value := range want {
				if key == "bytes" && name == "all_2" {
					continue
				}
				if !reflect.DeepEqual(got[key], value) {
					t.Errorf("%v: got %#v, want %#v", key, got[key], value)
				}
			}
			c := plain(t, plain(t, got["nested"])["a"])["b"].(*List).Items[0]
			if n := plain(t, c)["c"]; n != int64(1) {
				t.Errorf("nested: got %v", n)
			}
			if name >= "all_4" && !reflect.DeepEqual(got["sets"], list(list(int64(7)), list(int64(8)))) {
				t.Errorf("sets: got %#v", got["sets"])
			}
			if name == "all_5" && !reflect.DeepEqual(got["bytearray"], []byte{1, 2}) {
				t.Errorf("bytearray: got %#v", got["bytearray"])
			}
		})
	}
}

func TestReadsTimes(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 4, 3, 2, 1, 987654000, time.UTC)
	want := map[any]any{
		"naive": at, "utc": at, "east": at.Add(-5*time.Hour - 30*time.Minute), "west": at.Add(8 * time.Hour),
		"delta": -24*time.Hour + 5*time.Second + 7*time.Microsecond,
	}
	for _, name := range []string{"times_4", "times_5"} {
		v, err := Read(written(t, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := plain(t, v); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, data, want string }{
		{"nothing", "", "the file is empty"},
		{"zeros", "\x00\x00\x00", "begins with the byte 0x00"},
		{"a text", "hello", "begins with the byte 0x68"},
		{"protocol 0", "I1\n.", "begins with the byte 0x49"},
		{"a protocol to come", "\x80\x06N.", "offset 0: PROTO: protocol 6, where 2 to 5 are known"},
		{"an object", string(written(t, "refused_object")), `STACK_GLOBAL: refused: it names "__main__.Message", and state is data`},
		{"a call", string(written(t, "refused_call")), `offset 30: STACK_GLOBAL: refused: it names "builtins.print"`},
		{"a date", string(written(t, "refused_date")), `STACK_GLOBAL: refused: it names "datetime.date"`},
		{"a module by lines", "\x80\x02cos\nsystem\nU\x02id\x85R.", `offset 2: GLOBAL: refused: it names "os.system"`},
		{"INST", "\x80\x02(ios\nsystem\n.", "offset 3: INST: refused"},
		{"BUILD", "\x80\x02}}b.", "offset 4: BUILD: refused"},
		{"NEWOBJ", "\x80\x02N)\x81.", "offset 4: NEWOBJ: refused"},
		{"PERSID", "\x80\x02Pabc\n.", "offset 2: PERSID: refused"},
		{"EXT1", "\x80\x02\x82\x01.", "offset 2: EXT1: refused"},
		{"NEXT_BUFFER", "\x80\x05\x97.", "offset 2: NEXT_BUFFER: refused"},
		{"an old instruction", "\x80\x02I1\n.", "offset 2: INT: is not among the data of protocols 2 to 5"},
		{"no instruction", "\x80\x02\xff.", "offset 2: 0xff: is not among the data"},
		{"a class alone", "\x80\x02cdatetime\ndatetime\n.", "holds the class datetime.datetime itself"},
		{"a day that is none", "\x80\x03cdatetime\ndatetime\nC\x0a\x07\xea\x02\x1e\x00\x00\x00\x00\x00\x00\x85R.", "these are no values of a datetime.datetime"},
		{"a call of data", "\x80\x02}NR.", "offset 4: REDUCE: has values of the wrong kind"},
		{"itself", string(written(t, "refused_itself")), "values in values, more than 100 deep"},
		{"deep", string(written(t, "refused_deep")), "values in values, more than 100 deep"},
		{"the same over and over", string(written(t, "refused_laughs")), "holds more than 200000 values"},
		{"too many", "\x80\x02(" + strings.Repeat("N", maxValues) + "t.", "has more than 200000 instructions"},
		{"a large int", "\x80\x02\x8b" + string(binary.LittleEndian.AppendUint32(nil, 1000)) + strings.Repeat("\xff", 1000) + ".", "an int of 1000 bytes"},
		{"two values", "\x80\x02NN.", "ends with more or less than one value"},
		{"no value", "\x80\x02.", "ends with more or less than one value"},
		{"a mark that stays", "\x80\x02N(.", "ends with more or less than one value"},
		{"below the mark", "\x80\x02N(\x85.", "TUPLE1: has no values"},
		{"no mark", "\x80\x02]Ne.", "APPENDS: has no values"},
		{"half a pair", "\x80\x02}(Nu.", "SETITEMS: has no values"},
		{"not a list", "\x80\x02}Na.", "APPEND: has values of the wrong kind"},
		{"not a dict", "\x80\x02]NNs.", "SETITEM: has values of the wrong kind"},
		{"nothing to remember", "\x80\x04\x94.", "MEMOIZE: has no values"},
		{"not remembered", "\x80\x02h\x05.", "offset 2: BINGET: nothing is remembered as 5"},
		{"a text longer than the file", "\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "offset 2: BINUNICODE8: the file ends in the middle"},
		{"too long", "\x80\x02" + strings.Repeat("N", MaxBytes), "more than the 16777216 that are read"},
	} {
		v, err := Read([]byte(c.data))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v and %v, want an error with %q", c.name, v, err, c.want)
		}
	}
}

// TestNoPartOfAPickleIsTakenForIt cuts one short at every byte.
func TestNoPartOfAPickleIsTakenForIt(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"state", "times_5", "all_2"} {
		data := written(t, name)
		if _, err := Read(append(bytes.Clone(data), 0, 0)); err != nil {
			t.Errorf("%s with more behind it: %v", name, err)
		}
		for n := range min(len(data), 2000) {
			if v, err := Read(data[:n]); err == nil {
				t.Errorf("%s, %d of %d bytes: got %v", name, n, len(data), v)
			}
		}
	}
}

// FuzzPickle wants an answer or an error of anything, and a walk through an answer that ends.
func FuzzPickle(f *testing.F) {
	files, err := filepath.Glob("../../../testdata/devo_state/*.pickle")
	if err != nil || len(files) == 0 {
		f.Fatalf("no pickles (%v)", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("\x80\x02cos\nsystem\nU\x02id\x85R."))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Read(data)
		if (v != nil) && err != nil {
			t.Fatalf("got both %v and %v", v, err)
		}
		left := maxValues
		walk(t, v, 0, &left)
	})
}

// walk goes through a value and knows all that Read may return.
func walk(t *testing.T, v any, depth int, left *int) {
	if *left--; *left < 0 || depth > maxDepth {
		t.Fatalf("%d deep, %d values left", depth, *left)
	}
	switch v := v.(type) {
	case nil, bool, int64, *big.Int, float64, string, []byte, time.Time, time.Duration:
	case *List:
		for _, item := range v.Items {
			walk(t, item, depth+1, left)
		}
	case *Dict:
		for _, p := range v.Pairs {
			walk(t, p.Key, depth+1, left)
			walk(t, p.Value, depth+1, left)
		}
	default:
		t.Fatalf("got a %T", v)
	}
}
