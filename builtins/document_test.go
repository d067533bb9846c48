package builtins

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

var documentSeeds = []string{
	`{"a":1,"b":[true,false,null,1.5e3,"x\u00e9\ud83d\ude00\n"],"c":{"d":{}}}`,
	" [ 1 , -0 , 1E+2 , { } ] \n", `"\ud800"`, `{"a":1,"a":2,"\u0061":3}`, "\xef\xbb\xbf{}", "\"\xff\"", "\"\x7f\"", "{\"\\\x7f\":1}",
	`{"a":"\\"}`, `["\\\"",""]`, `01`, `-`, `1.`, `[1,]`, `{"a":1,}`, `{,}`, `tru`, `nul`, `"a`, `"\x"`, "\"\n\"", `[1 2]`, `{"a" 1}`, `1e`, `{}{}`, ``, ` `,
	strings.Repeat("[", 200) + strings.Repeat("]", 200), strings.Repeat("[", 201) + strings.Repeat("]", 201), strings.Repeat(`{"a":`, 300),
	`[1e999, 123456789012345678901234567890, 0.1]`, `{"":{"":[]}}`,
}

// FuzzDocument holds NewDocument to the verdict of encoding/json, and what is written to its meaning.
func FuzzDocument(f *testing.F) {
	for _, seed := range documentSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		plain := bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
		v, err := NewDocument(body)
		if want := json.Valid(plain) && depthOf(plain) <= maxDepth; (err == nil) != want {
			t.Fatalf("got error %v, want valid %v", err, want)
		}
		if err != nil {
			return
		}
		// A number alone becomes a value at once, in which -0 and 1e2 are other texts for the same.
		_, isRecord := v.(*Record)
		_, isRecords := v.(*Records)
		if exact := isRecord || isRecords; exact || plainNumbers(plain) {
			wantSameMeaning(t, plain, write(t, v), exact) // copied
		}
		other, _ := NewDocument(body)
		if isRecord || isRecords {
			readAll(other)
			wantSameMeaning(t, plain, write(t, other), true) // read, but not changed
		}
		if plainNumbers(plain) {
			wantSameMeaning(t, plain, write(t, rebuild(other)), false) // written anew
		}
	})
}

// depthOf counts the nesting of valid JSON by the standard library's tokens.
func depthOf(text []byte) int {
	d := json.NewDecoder(bytes.NewReader(text))
	depth, deepest := 0, 0
	for {
		token, err := d.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			deepest = max(deepest, depth)
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

func write(t testing.TB, v starlark.Value) []byte {
	t.Helper()
	text, err := appendJSON(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	wantOneLine(t, text)
	return text
}

// wantOneLine holds text to being valid JSON that a line-based protocol can carry.
func wantOneLine(t testing.TB, text []byte) {
	t.Helper()
	if !json.Valid(text) || !utf8.Valid(text) {
		t.Fatalf("not valid: %q", text)
	}
	if i := bytes.IndexFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
		t.Fatalf("control character at %d: %q", i, text)
	}
}

func wantSameMeaning(t testing.TB, want, got []byte, exact bool) {
	t.Helper()
	if w, g := meaning(t, want, exact), meaning(t, got, exact); !reflect.DeepEqual(w, g) {
		t.Fatalf("got  %q\nwant the meaning of %q", got, want)
	}
}

func meaning(t testing.TB, text []byte, exact bool) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	if exact {
		d.UseNumber()
	}
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return v
}

// plainNumbers reports whether every number fits a float64, so that encoding/json can judge.
func plainNumbers(text []byte) bool {
	var v any
	return json.Unmarshal(text, &v) == nil
}

func readAll(v starlark.Value) {
	switch v := v.(type) {
	case *Record:
		for _, item := range v.Items() {
			readAll(item[1])
		}
	case *Records:
		for i := range v.Len() {
			readAll(v.Index(i))
		}
	}
}

// rebuild copies a document into plain dicts and lists.
func rebuild(v starlark.Value) starlark.Value {
	switch v := v.(type) {
	case *Record:
		d := starlark.NewDict(v.Len())
		for _, item := range v.Items() {
			if err := d.SetKey(item[0], rebuild(item[1])); err != nil {
				panic(err)
			}
		}
		return d
	case *Records:
		var list []starlark.Value
		for i := range v.Len() {
			list = append(list, rebuild(v.Index(i)))
		}
		return starlark.NewList(list)
	}
	return v
}

// FuzzString holds appendString to the meaning of encoding/json for every text.
func FuzzString(f *testing.F) {
	for _, seed := range []string{"", "a\"\\\n\x00\x7f", "é\u2028😀", "a\xffb\xc3", "\xed\xa0\x80"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := appendString(nil, s)
		wantOneLine(t, text)
		want, _ := json.Marshal(s)
		wantSameMeaning(t, want, text, true)
	})
}

// FuzzFloat holds appendFloat to reading back as the same number.
func FuzzFloat(f *testing.F) {
	for _, seed := range []float64{0, 1, -1.5, 1e21, 1e-7, 5e-324, 1.7976931348623157e308, 123456789012345680000, 1e100, 1e-10} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, x float64) {
		text, err := appendFloat(nil, x)
		if err != nil {
			return
		}
		wantOneLine(t, text)
		var back float64
		if err := json.Unmarshal(text, &back); err != nil || back != x {
			t.Fatalf("%v is written as %s, which reads as %v (%v)", x, text, back, err)
		}
	})
}

func TestFrozenDocumentIsReadByManyGoroutines(t *testing.T) {
	t.Parallel()
	v, err := NewDocument([]byte(`[{"a":{"b":[1,"x"]}},{"c":null}]`))
	if err != nil {
		t.Fatal(err)
	}
	v.Freeze()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			readAll(v)
			if got := v.String(); got != `[{"a":{"b":[1,"x"]}},{"c":null}]` {
				t.Errorf("got %s", got)
			}
			for _, name := range v.(*Records).Index(0).(*Record).AttrNames() {
				if _, err := v.(*Records).Index(0).(*Record).Attr(name); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// A page of 14 fields a record, about 560 bytes each, as the message trace has.
func benchmarkPage(records int) []byte {
	one := `{"Organization":"contoso.onmicrosoft.com","MessageId":"<DB7PR04MB4618F0E3A8B27C3C9B4C2A7DE1F19@DB7PR04MB4618.eurprd04.prod.outlook.com>",` +
		`"Received":"2026-09-17T08:33:01.5971826","SenderAddress":"Bob.Sender@Contoso.com","RecipientAddress":"Alice.Recipient@Fabrikam.example",` +
		`"Subject":"[OPS-1042] Weekly status report and notes","Status":"Delivered","ToIP":null,"FromIP":"203.0.113.77","Size":48213,` +
		`"MessageTraceId":"9f6fe7c2-7b1e-4a3f-9f0c-08dbb6d2f1aa","StartDate":"2026-09-15T00:00:00Z","EndDate":"2026-09-17T08:40:00Z","Index":0}`
	return []byte(`{"value":[` + strings.TrimSuffix(strings.Repeat(one+",", records), ",") + `]}`)
}

func BenchmarkDocumentCheck(b *testing.B) {
	page := benchmarkPage(1000)
	b.SetBytes(int64(len(page)))
	for b.Loop() {
		if _, err := parseBytes(page, false); err != nil {
			b.Fatal(err)
		}
	}
	perRecord(b, 1000)
}

func BenchmarkRecordReadThreeFields(b *testing.B) {
	v, err := NewDocument(benchmarkPage(1))
	if err != nil {
		b.Fatal(err)
	}
	raw := v.(*Record).lookup("value").(*Records).Index(0).(*Record).json
	b.ReportAllocs()
	for b.Loop() {
		r := &Record{json: raw}
		for _, name := range []string{"Received", "Size", "Index"} {
			if r.lookup(name) == nil {
				b.Fatal(name)
			}
		}
	}
}

func perRecord(b *testing.B, records int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(records), "ns/record")
}
