package builtins

import (
	"bytes"
	"fmt"
	"syscall"
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
	p := newBenchmarkSender(b, script)
	b.SetBytes(int64(len(p.page)))
	b.ReportAllocs()
	p.measure(func() {
		for n := 0; b.Loop(); n++ {
			p.send(engine.NewPull(b.Context(), p.env, fmt.Sprint("test/1/", n)).NewThread("pull"), n, benchmarkRows)
		}
	})
}

// BenchmarkSendHour is the same for the pages of one busy hour, of which a commit has 100, drafted by one goroutine or two.
func BenchmarkSendHour(b *testing.B) {
	for _, drafters := range []int{1, 2} {
		b.Run(fmt.Sprint("drafters=", drafters), func(b *testing.B) { benchmarkSendHour(b, drafters) })
	}
}

func benchmarkSendHour(b *testing.B, drafters int) {
	p := newBenchmarkSender(b, messageTraceTable)
	pull := engine.NewPull(b.Context(), p.env, "test/1/hour")
	thread := pull.NewThread("pull")
	thread.SetLocal(draftersLocal, drafters)
	p.measure(func() {
		for n := 0; b.Loop(); n++ {
			p.send(thread, n, benchmarkRows)
			if n%100 == 99 {
				if err := pull.Commit(); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// BenchmarkSendHourAgain is the same for the pages of an hour that were sent before, 200 of them.
func BenchmarkSendHourAgain(b *testing.B) {
	p := newBenchmarkSender(b, messageTraceTable)
	const pages = 200
	for n := range pages {
		pull := engine.NewPull(b.Context(), p.env, "test/1/hour")
		p.send(pull.NewThread("pull"), n, benchmarkRows)
		if err := pull.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	thread := engine.NewPull(b.Context(), p.env, "test/1/hour").NewThread("pull")
	p.measure(func() {
		for n := 0; b.Loop(); n++ {
			p.send(thread, n%pages, 0)
		}
	})
}

const benchmarkRows = 2000 // of a page

type benchmarkSender struct {
	b    *testing.B
	env  *engine.Env
	fn   starlark.Value
	page []byte
	ids  [][]byte // in page
}

func newBenchmarkSender(b *testing.B, script string) *benchmarkSender {
	globals := starEval(b, script)
	globals.Freeze()
	p := &benchmarkSender{b: b, env: testEnv(b), fn: globals["send"], page: benchmarkPage(benchmarkRows)}
	for rest := p.page; ; {
		i := bytes.Index(rest, []byte(`"MessageTraceId":"`))
		if i < 0 {
			return p
		}
		rest = rest[i+len(`"MessageTraceId":"`):]
		p.ids = append(p.ids, rest[:36])
	}
}

// measure runs f and tells the time and the processor time for a row of b.N pages.
func (p *benchmarkSender) measure(f func()) {
	before := processorTime(p.b)
	f()
	p.b.ReportMetric(float64(processorTime(p.b)-before)/float64(p.b.N)/benchmarkRows, "cpu-ns/record")
	perRecord(p.b, benchmarkRows)
}

func processorTime(b *testing.B) (ns int64) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// send sends the page whose rows have the number n, and wants so many events of it.
func (p *benchmarkSender) send(thread *starlark.Thread, n, want int) {
	for i, id := range p.ids {
		copy(id, fmt.Sprintf("%08x-%04x", n, i))
	}
	doc, err := strictDocument(bytes.Clone(p.page))
	if err != nil {
		p.b.Fatal(err)
	}
	sent, err := starlark.Call(thread, p.fn, starlark.Tuple{doc}, nil)
	if err != nil {
		p.b.Fatal(err)
	}
	if sent != starlark.MakeInt(want) {
		p.b.Fatalf("got %v, want %d", sent, want)
	}
}
