package builtins

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"go.starlark.net/starlark"
)

const messageTraceMap = `
received = field("Received").time()
sender = field("SenderAddress").lower()
recipient = field("RecipientAddress").lower()

def campaign(subject):
    if not subject.startswith("["):
        return None
    return subject[1:].partition("]")[0]

declared = {
    "source": "o365.messagetrace",
    "received": received,
    "received_ms": received.ms(),
    "sender_address": sender,
    "sender_user": sender.user(),
    "sender_domain": sender.domain(),
    "recipient_address": recipient,
    "recipient_user": recipient.user(),
    "recipient_domain": recipient.domain(),
    "to_ip_kind": field("ToIP").ip_kind(),
    "from_ip_kind": field("FromIP").ip_kind(),
    "start_date": field("StartDate").time(),
    "end_date": field("EndDate").time(),
}
event = fields.map(declared, rest = fields.snake)
plain = fields.map({"id": field("MessageTraceId"), "severity": field("Status").lookup({"Failed": 4}, 6), "received": received}, rest = fields.keep)
with_def = fields.map(dict(declared, campaign = field("Subject").call(campaign)), rest = fields.snake)
everything = fields.map({
    "text": field("a").lower().upper().trim().replace("A", "\n").first(3),
    "user": field("a").user(), "domain": field("a").domain(), "match": field("a").match("(.)(.)?", 2),
    "time": field("a").time(), "ms": field("b").time("epoch").ms(), "date": field("b").time("epoch_ms").date(), "iso": field("a").iso(9),
    "int": field("a").int(), "float": field("a").float(), "bool": field("b").bool(), "string": field("b").string(),
    "kind": field("a").ip_kind(), "in": field("a").ip_in(["10.0.0.0/8"]), "at": field("b").at("a", 0), "at0": field("b").at(0).lower(),
    "look": field("a").lookup({"x": 1}, "other"), "default": field("b").default({"a": [1]}), "call": field("b").call(lambda v: v),
    "eq": field("a").eq("x") & ~field("b").eq(1), "first": fields.first(field("a"), field("b"), "c"),
    "when": fields.when(field("a").present(), field("b"), "no"), "join": fields.join("\"", field("a"), field("b"), 1),
    "Same": field("c"),
}, rest = fields.snake, nulls = "keep", drop = ["drop.*"])
`

func mapOf(t testing.TB, name string) *Mapping {
	t.Helper()
	globals := starEval(t, messageTraceMap)
	return globals[name].(*Mapping)
}

func record(t testing.TB) jsonValue {
	t.Helper()
	return jsonOf(t, strings.TrimSuffix(strings.TrimPrefix(string(benchmarkPage(1)), `{"value":[`), `]}`))
}

func jsonOf(t testing.TB, text string) jsonValue {
	t.Helper()
	v, err := parseJSON(nil, text, false)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestMessageTraceRecordIsMapped(t *testing.T) {
	t.Parallel()
	r := newRun(compile(mapOf(t, "with_def")), &starlark.Thread{}, nil)
	r.read(record(t))
	want := `{"organization":"contoso.onmicrosoft.com","message_id":"<DB7PR04MB4618F0E3A8B27C3C9B4C2A7DE1F19@DB7PR04MB4618.eurprd04.prod.outlook.com>",` +
		`"received":"2026-09-17T08:33:01.597Z","sender_address":"bob.sender@contoso.com","recipient_address":"alice.recipient@fabrikam.example",` +
		`"subject":"[OPS-1042] Weekly status report and notes","status":"Delivered","from_ip":"203.0.113.77","size":48213,` +
		`"message_trace_id":"9f6fe7c2-7b1e-4a3f-9f0c-08dbb6d2f1aa","start_date":"2026-09-15T00:00:00.000Z","end_date":"2026-09-17T08:40:00.000Z","index":0,` +
		`"source":"o365.messagetrace","received_ms":1789633981597,"sender_user":"bob.sender","sender_domain":"contoso.com",` +
		`"recipient_user":"alice.recipient","recipient_domain":"fabrikam.example","from_ip_kind":"public","campaign":"OPS-1042"}`
	if got := string(r.appendTo(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if ms := time.Date(2026, 9, 17, 8, 33, 1, 597e6, time.UTC).UnixMilli(); ms != 1789633981597 {
		t.Errorf("the expected received_ms is wrong: %d", ms)
	}
	if r.Failed() != 0 || r.err != nil {
		t.Errorf("%d values failed, error %v", r.Failed(), r.err)
	}
}

func TestValuesThatDoNotConvertAreCountedOnce(t *testing.T) {
	t.Parallel()
	m := starEval(t, `
at = field("At").time()
m = fields.map({"at": at, "ms": at.ms(), "day": at.date(), "n": field("N").int(), "x": field("Missing").int()})`)["m"].(*Mapping)
	r := newRun(compile(m), &starlark.Thread{}, nil)
	for range 2 {
		r.read(jsonOf(t, `{"At":"soon","N":[1]}`))
		if got, want := string(r.appendTo(nil)), `{"at":"soon","ms":"soon","day":"soon","n":[1]}`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if r.Failed() != 4 {
		t.Errorf("got %d failed, want 4: two in each record", r.Failed())
	}
}

func TestEqualStepsAreWorkedOutOnce(t *testing.T) {
	t.Parallel()
	m := starEval(t, `
m = fields.map({
    "a": field("X").lower().user(),
    "b": field("X").lower().domain(),
    "c": field("X").lower(),
    "d": fields.join("@", field("X").lower().user(), field("X").lower().domain()),
})`)["m"].(*Mapping)
	// field, lower, user, domain, the constant "@" and join.
	if got := len(compile(m).steps); got != 6 {
		t.Errorf("got %d steps, want 6", got)
	}
}

func TestCallsOfDifferentFunctionsAreNotShared(t *testing.T) {
	t.Parallel()
	m := starEval(t, `
m = fields.map({
    "a": field("X").call(lambda v: v + "1"), "b": field("X").call(lambda v: v + "2"),
    "c": field("X").lookup({"x": 1}), "d": field("X").lookup({"x": 2}),
})`)["m"].(*Mapping)
	r := newRun(compile(m), &starlark.Thread{}, nil)
	r.read(jsonOf(t, `{"X":"x"}`))
	if got, want := string(r.appendTo(nil)), `{"a":"x1","b":"x2","c":1,"d":2}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestMappingsRunOnManyGoroutines(t *testing.T) {
	t.Parallel()
	m := mapOf(t, "with_def")
	m.Freeze()
	p := compile(m)
	raw := record(t)
	var wg sync.WaitGroup
	results := make([]string, 4)
	for i := range results {
		wg.Go(func() {
			r := newRun(p, &starlark.Thread{}, nil)
			for range 100 {
				r.read(raw)
				results[i] = string(r.appendTo(nil))
			}
		})
	}
	wg.Wait()
	for _, got := range results {
		if got == "" || got != results[0] {
			t.Errorf("got %s, want %s", got, results[0])
		}
	}
}

func TestNamesWithoutEndAreNotRemembered(t *testing.T) {
	t.Parallel()
	m := starEval(t, `m = fields.map({}, rest = fields.snake)`)["m"].(*Mapping)
	r := newRun(compile(m), &starlark.Thread{}, nil)
	for i := range 5 * maxKnownFields {
		name := "Key" + strings.Repeat("x", i%7) + time.Duration(i).String()
		r.read(jsonOf(t, `{"`+name+`":1}`))
		if got, want := string(r.appendTo(nil)), `{"`+snakeName(name)+`":1}`; got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	if len(r.inputs) > maxKnownFields+1 {
		t.Errorf("remembers %d names", len(r.inputs))
	}
}

func TestAPlainRecordCostsNoAllocation(t *testing.T) {
	r := newRun(compile(mapOf(t, "plain")), &starlark.Thread{}, nil)
	raw := record(t)
	dst := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		r.read(raw)
		dst = r.appendTo(dst[:0])
	}); n != 0 {
		t.Errorf("got %v allocations a record, want 0", n)
	}
}

// FuzzMapping: whatever a valid record holds, what goes out is one line of valid JSON, and fields
// that no one has declared keep their meaning.
func FuzzMapping(f *testing.F) {
	for _, seed := range []string{
		`{"a":"x","b":1,"c":null}`, `{"a":"2026-01-01T00:00:00Z","b":1700000000,"Same":[1],"same":{}}`, `{"a":"\ud800\"\\\n","b":"\u007f","FooBar":1,"fooBar":2}`,
		`{"b":{"a":[1,"x"]},"drop.x":1,"a":"10.0.0.1"}`, `{"":0," ":1,"\u0000":2,"b":[["X"]]}`, "{\"b\":\"\x7f\xff\", \"a\" : \t1e400}", `{"a":[],"a":"A@B"}`, `{"b":"1e999"}`, `{"b":-1e15}`,
	} {
		f.Add([]byte(seed))
	}
	globals := starEval(f, messageTraceMap+"\nkeep = fields.map({}, rest = fields.keep, nulls = \"keep\")")
	everything, keep := globals["everything"].(*Mapping), globals["keep"].(*Mapping)
	f.Fuzz(func(t *testing.T, body []byte) {
		raw, err := parseBytes(body, false)
		if err != nil || !raw.isObject() {
			return
		}
		for _, m := range []*Mapping{everything, keep} {
			r := newRun(compile(m), &starlark.Thread{}, nil)
			for range 2 { // the second time its fields are known
				r.read(raw)
				got := r.appendTo(nil)
				if r.err != nil {
					t.Fatal(r.err)
				}
				wantOneLine(t, got)
				wantNoRepeatedNames(t, got)
				if m == keep {
					wantSameMeaning(t, []byte(raw.text), got, true)
				}
			}
		}
	})
}

func wantNoRepeatedNames(t testing.TB, text []byte) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(text)))
	seen := map[string]bool{}
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		if seen[name.(string)] {
			t.Fatalf("%q twice in %s", name, text)
		}
		seen[name.(string)] = true
		var skipped json.RawMessage
		if err := d.Decode(&skipped); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkMapPlain(b *testing.B)        { benchmarkMap(b, "plain") }
func BenchmarkMapMessageTrace(b *testing.B) { benchmarkMap(b, "event") }
func BenchmarkMapWithDef(b *testing.B)      { benchmarkMap(b, "with_def") }

// benchmarkMap maps one record at a time; the check of the page is BenchmarkDocumentCheck.
func benchmarkMap(b *testing.B, name string) {
	r := newRun(compile(mapOf(b, name)), &starlark.Thread{}, nil)
	raw := record(b)
	dst := make([]byte, 0, 4096)
	b.SetBytes(int64(len(raw.text)))
	b.ReportAllocs()
	for b.Loop() {
		r.read(raw)
		if dst = r.appendTo(dst[:0]); r.err != nil {
			b.Fatal(r.err)
		}
	}
}
