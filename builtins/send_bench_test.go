package builtins

import (
	"bytes"
	"fmt"
	"testing"

	"go.starlark.net/starlark"

	"starling/engine"
)

// messageTraceTable is the table of the built-in script for light rows.
const messageTraceTable = `
light = fields.map({"@devo_pulling_id": devo.pulling_id}, rest = fields.keep, nulls = "keep")
table = devo.table(
    "cloud.office365.messagetracing",
    light,
    time = field("Received").time(),
    key = [field("MessageTraceId").lower(), field("RecipientAddress").lower()],
    status = field("Status").lower(),
    pending = ["gettingstatus", "pending"],
    apart = [field("Size"), field("ToIP"), field("Subject")],
)
def send(page):
    return devo.send(table, page["value"])
`

// messageTraceDef does everything in functions, as people write them.
const messageTraceDef = `
def event(r):
    r["SenderAddress"] = r["SenderAddress"].lower()
    r["RecipientAddress"] = r["RecipientAddress"].lower()
    r["SenderDomain"] = r["SenderAddress"].rpartition("@")[2]
    r["Received"] = time.parse(r["Received"])
    r["@devo_pulling_id"] = "1"
    return r

table = devo.table("cloud.office365.messagetracing", event)
def send(page):
    return devo.send(table, page["value"])
`

// BenchmarkSendPage is what a page of 2,000 rows costs from its bytes to sealed chunks: the check, the
// mapping, the keys, staging.
func BenchmarkSendPage(b *testing.B)    { benchmarkPageOf(b, messageTraceTable) }
func BenchmarkSendPageDef(b *testing.B) { benchmarkPageOf(b, messageTraceDef) }

func benchmarkPageOf(b *testing.B, script string) {
	globals := starEval(b, script)
	globals.Freeze()
	env := testEnv(b)
	const rows = 2000
	page := benchmarkPage(rows)
	var ids [][]byte
	for rest := page; ; {
		i := bytes.Index(rest, []byte(`"MessageTraceId":"`))
		if i < 0 {
			break
		}
		rest = rest[i+len(`"MessageTraceId":"`):]
		ids = append(ids, rest[:36])
	}
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		for i, id := range ids {
			copy(id, fmt.Sprintf("%08x-%04x", n, i))
		}
		body := bytes.Clone(page)
		pull := engine.NewPull(b.Context(), env, fmt.Sprint("test/1/", n))
		doc, err := strictDocument(body)
		if err != nil {
			b.Fatal(err)
		}
		sent, err := starlark.Call(pull.NewThread("pull"), globals["send"], starlark.Tuple{doc}, nil)
		if err != nil {
			b.Fatal(err)
		}
		if sent != starlark.MakeInt(rows) {
			b.Fatalf("got %v, want %d", sent, rows)
		}
	}
	perRecord(b, rows)
}
