package jsontape

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

var most = Limits{Depth: MaxDepth, Values: 1 << 30}

// rebuild writes the nodes as compact JSON, by what they say alone.
func rebuild(text string, nodes []Node) string {
	n := &nodes[0]
	switch n.Kind {
	case Object, Array:
		parts, named := []string{}, false
		for i := 1; i < int(n.Size); i = Next(nodes, i) {
			part := rebuild(text, nodes[i:])
			if n.Kind == Object && !named {
				part += ":"
			}
			if named {
				parts[len(parts)-1] += part
			} else {
				parts = append(parts, part)
			}
			named = n.Kind == Object && !named
		}
		inside := strings.Join(parts, ",")
		if n.Kind == Object {
			return "{" + inside + "}"
		}
		return "[" + inside + "]"
	}
	return n.Text(text)
}

// check compares with encoding/json what Parse says of a text.
func check(t *testing.T, text string) {
	nodes, err := Parse(nil, text, most)
	valid := json.Valid([]byte(text))
	switch {
	case errors.Is(err, ErrTooDeep): // encoding/json goes deeper
		return
	case errors.Is(err, ErrUTF8):
		if utf8.ValidString(text) {
			t.Fatalf("%q: %v, but it is UTF-8", text, err)
		}
		return
	case (err == nil) != valid:
		t.Fatalf("%q: got %v, encoding/json says %v", text, err, valid)
	case err != nil:
		return
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if got := rebuild(text, nodes); got != compact.String() {
		t.Fatalf("%q: got %s, want %s", text, got, compact.String())
	}
	if int(nodes[0].Size) != len(nodes) {
		t.Fatalf("%q: the size is %d of %d nodes", text, nodes[0].Size, len(nodes))
	}
	for i := range nodes {
		checkNode(t, text, &nodes[i])
	}
}

func checkNode(t *testing.T, text string, n *Node) {
	part := n.Text(text)
	switch n.Kind {
	case Object, Array:
		var compact bytes.Buffer
		json.Compact(&compact, []byte(part))
		if (n.Flags&Loose != 0) != (compact.Len() != len(part) || strings.Contains(part, "\x7f")) {
			t.Fatalf("%q: loose is wrong", part)
		}
	case String:
		var want string
		if err := json.Unmarshal([]byte(part), &want); err != nil {
			t.Fatalf("%q: %v", part, err)
		}
		if got := Unescape(n.Inside(text)); got != want || (n.Flags&Escaped != 0) != strings.ContainsAny(part, "\\\x7f") || (n.Flags&Loose != 0) != strings.Contains(part, "\x7f") {
			t.Fatalf("%q: got %q, want %q; flags %v", part, got, want, n.Flags)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		``, ` `, `{}`, `[]`, `{`, `[`, `}`, `]`, `{]`, `[}`, `[,]`, `{,}`, `[1,]`, `{"a":1,}`, `[1 2]`, `{"a" 1}`, `{"a":}`, `{1:2}`, `{"a"}`, `{"a":1 "b":2}`,
		`null`, `nul`, `nulls`, `true`, `tru`, `false`, `falsy`, `nan`, `Infinity`, `0`, `-0`, `-`, `+1`, `01`, `1.`, `.5`, `1.5`, `1e5`, `1e`, `1e+`, `1E-7`, `1e+-7`, `0x10`, `1 1`, `--1`, `1.e5`, `-e`,
		`""`, `"`, `"a`, `"\"`, `"\\"`, `"\u12"`, `"\u123g"`, `"\ud800"`, `"\ud800\udc00"`, `"\udc00\ud800"`, `"\ud800\u0041"`, `"\ud83d\ude00 \u00e9\n\/\b\f\r\t"`, `"\x"`, `"\u"`, "\"\t\"", "\"\x00\"", "\"\x1f1234567\"", "\"1234567\x1f\"",
		"\"é日本🌍\"", "\"12345678é\"", "\"\xff\"", "\"1234567\xc3\"", "\"\xed\xa0\x80\"", "\"\x7f\"", "{\"\x7f12345678\":1}", "\u00a0 1", "\ufeff1", "1\x00", "\x0b1", "\x7f",
		` { "a" : [ 1 , { "b" : null } , "c" ] , "d" : { } } `, `{"a":[1,{"b":null},"c"],"d":{}}`, "[\n1\n]", "[ ]", "{ }", `[[],[ ],{}]`, `[[1],2]`, `{"a":{"b":{"c":[]}}}x`,
		strings.Repeat("[", 250) + strings.Repeat("]", 250), strings.Repeat("[", 250), `{"long name of a field":"a text of more than eight bytes \" with a quote"}`,
	} {
		check(t, text)
		for i := range len(text) {
			check(t, text[:i])
		}
	}
	// Each byte, at each place of the eight that are looked at at once.
	for c := range 256 {
		for place := range 20 {
			body := bytes.Repeat([]byte("x"), 20)
			body[place] = byte(c)
			check(t, `{"`+string(body)+`":["`+string(body)+`"]}`)
			check(t, string(body))
		}
	}
}

// Names are compared with those of the object before: what is nearly the same is read as what it is.
func TestParseNamesLikeThoseBefore(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`[{"a":1,"b":2},{"a":3,"b":4},{"a":5,"b":6}]`, `[{"a":1,"b":2},{"b":3,"a":4},{"a":5,"b":6}]`,
		`[{"a":1},{"a":2,"b":3}]`, `[{"a":1,"b":2},{"a":3}]`, `[{"a":1},{},{"a":2}]`, `[{},{"a":1},{"a":2}]`,
		`[{"ab":1},{"ac":2},{"a":3},{"abc":4}]`, `[{"":1},{"":2},{"a":3}]`, `[{"a":1},{a":2}]`, `[{"a":1},{"a":}]`, `[{"a":1},{"a":2,}]`, `[{"a":1},{"a":2"a":3}]`,
		`[{"a" :1},{"a" :2},{"a" 3}]`, `[{"a" :1},{"a":2},{"a": 3},{"a" :4}]`, `[{"a":1},{"a",2}]`,
		`[{"a":1},"b",{"a":2,"b":3}]`, `[{"a":1},"b",{"a":2,"b",3}]`, `[{"a":1},5,{"a":2,5:3}]`, `[{"a":1},[{"b":2}],{"a":3,[{"b":4}]:5}]`,
		`[{"\u0061":1},{"\u0061":2},{"a":3}]`, "[{\"\x7f\":1},{\"\x7f\":2}]", `[{"é":1},{"é":2},{"è":3}]`,
		`{"x":{"a":1},"y":{"a":2,"y":3}}`, `{"x":{"a":1},"y":{"a":2,"y":{"a":3,"y":4}}}`, `[{"a":{"b":[1,{"c":2}]},"d":3},{"a":{"b":[1,{"c":2}]},"d":3}]`,
	} {
		check(t, text)
		for i := range len(text) {
			check(t, text[:i])
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text   string
		limits Limits
		want   error
		at     int
	}{
		{`[[[1]]]`, Limits{3, 10}, nil, 0},
		{`[[[1]]]`, Limits{2, 10}, ErrTooDeep, 2},
		{`{"a":{"b":1}}`, Limits{1, 10}, ErrTooDeep, 5},
		{strings.Repeat("[", 300), Limits{1000, 10}, ErrTooDeep, MaxDepth},
		{`[1,2,3]`, Limits{2, 3}, nil, 0},
		{`[1,2,3,4]`, Limits{2, 3}, ErrTooMany, 6},
		{"[\"\xff\"]", most, ErrUTF8, 2},
		{`[1,2`, most, errSyntax, 4},
		{`{"a":tru}`, most, errSyntax, 5},
	} {
		_, err := Parse(nil, c.text, c.limits)
		if !errors.Is(err, c.want) {
			t.Errorf("%q: got %v, want %v", c.text, err, c.want)
			continue
		}
		if e, ok := errors.AsType[*Error](err); ok && e.Offset != c.at {
			t.Errorf("%q: got %v, want byte %d", c.text, err, c.at)
		}
	}
}

// What was appended before stays, also when a text is not taken.
func TestParseAppends(t *testing.T) {
	t.Parallel()
	nodes, err := Parse(nil, `[1]`, most)
	if err != nil {
		t.Fatal(err)
	}
	more, err := Parse(nodes, `{"a":[2]}`, most)
	if err != nil || len(more) != 6 || more[2].Size != 4 || fmt.Sprint(more[:2]) != fmt.Sprint(nodes) {
		t.Fatalf("got %v, %v", more, err)
	}
	if same, err := Parse(nodes, `{"a":`, most); err == nil || len(same) != 2 {
		t.Fatalf("got %v, %v", same, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{`{"a":[1,2.5e-7,"x\u00e9\ud83d\ude00"],"b":null}`, ` [ true , false ] `, "\"é\x7f\"", `{"a":1,"a":{"a":"\\\""}}`, "[\"12345678\\\"90\"]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { check(t, text) })
}

const row = `{"Organization":"contoso.onmicrosoft.com","MessageId":"<7f9f4e0a-43b3-4a6d-9f0e-0c9b64f2f3de@contoso.onmicrosoft.com>","Received":"2026-01-01T00:00:00.1234567","SenderAddress":"someone@contoso.com","RecipientAddress":"other@fabrikam.com","Subject":"Wöchentlicher Bericht","Status":"Delivered","ToIP":null,"FromIP":"10.0.0.1","Size":12345,"MessageTraceId":"7f9f4e0a-43b3-4a6d-9f0e-0c9b64f2f3de","StartDate":"2026-01-01T00:00:00Z","EndDate":"2026-01-01T01:00:00Z","Index":17}`

func BenchmarkParse(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	var rows []string
	for range 2000 { // texts are of different lengths, as in earnest
		rows = append(rows, strings.NewReplacer("someone", strings.Repeat("s", 1+random.IntN(20)), "other", strings.Repeat("o", 1+random.IntN(20)),
			"Bericht", strings.Repeat("Bericht ", random.IntN(8))).Replace(row))
	}
	page := `{"value":[` + strings.Join(rows, ",") + `]}`
	var nodes []Node
	b.SetBytes(int64(len(page)))
	for b.Loop() {
		var err error
		if nodes, err = Parse(nodes[:0], page, most); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2000, "ns/row")
}
