package sim

import (
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Row is one delivery: a message and one of its recipients. An empty MessageID, ToIP or FromIP is null on the wire.
type Row struct {
	Organization string
	MessageID    string
	Received     time.Time // whole ticks of 100 ns, UTC
	Sender       string    // empty for a non-delivery report
	Recipient    string
	Subject      string // a surrogate that stands alone is held as its three bytes, as in WTF-8
	NoSubject    bool   // Subject is null
	Status       string // the last one
	ToIP, FromIP string
	Size         int
	TraceID      string
	Visible      time.Time // from when on a query finds it
	Changes      []Change  // every status, the first at Visible; empty for a row that appears with Status and keeps it
}

// Identity names the delivery: MessageTraceId and RecipientAddress, in lower case. No two rows share one.
func (r *Row) Identity() string { return identity(r.TraceID, r.Recipient) }

func identity(trace, recipient string) string { return strings.ToLower(trace + "|" + recipient) }

// Rows says which rows exist. Either Count of them are spread evenly over [From, To), or PerSecond appear from From on, for ever
// or until To; a row exists from its Received on. So a history with a live end is PerSecond with a From in the past. With a List,
// exactly those rows exist.
type Rows struct {
	From, To   time.Time
	Count      int
	PerSecond  float64
	Bursts     []Burst       // times with another rate than PerSecond, oldest first and apart
	Recipients int           // most recipients a message has; 0 means 8, at most 64
	Quantum    time.Duration // Received is rounded down to it, so that many rows share a moment; 0 means not

	// When rows appear, and how their status changes. What the shares leave over appears at once.
	Delays    []Delay
	Incidents []Incident
	Evolve    float64       // share of the rows whose status changes after they appear
	EvolveBy  time.Duration // the last change comes at most so long after the row appeared; at least 1 s
	Late      float64       // short for one Delay, up to LateBy
	LateBy    time.Duration

	// List replaces all of the above. It must be ordered by Received. A row without a TraceID or Recipient gets one, and one
	// without Visible appears at once.
	List []Row
}

// Burst is a time with its own rate; 0 makes it quiet.
type Burst struct {
	From, To  time.Time
	PerSecond float64
}

// blockRows is how many rows are made together. Messages do not cross blocks, so any row costs one block at most.
const blockRows = 64

const tick = 100 * time.Nanosecond

// generator makes row i from the seed and i alone. Received never decreases with i.
type generator struct {
	spec       Rows
	seed       uint64
	segments   []segment
	limit      int   // rows 0 to limit-1 exist
	quantum    int64 // ticks
	lateBy     int64 // ticks
	org        string
	recipients []string
	senders    []string
}

func newGenerator(seed uint64, org string, spec Rows) *generator {
	if spec.Recipients == 0 {
		spec.Recipients = 8
	}
	spec.Recipients = min(spec.Recipients, blockRows)
	if spec.Late > 0 {
		spec.Delays = append([]Delay{{spec.Late, tick, spec.LateBy}}, spec.Delays...)
	}
	g := &generator{spec: spec, seed: seed, org: org, quantum: int64(spec.Quantum / tick), recipients: recipientPool(), senders: senderPool()}
	switch {
	case spec.List != nil:
		g.spec.List = g.complete(spec.List)
		g.limit = len(spec.List)
	default:
		g.segments, g.limit = plan(&spec)
	}
	g.lateBy = int64((g.spec.longest() + tick - 1) / tick)
	return g
}

// complete fills in what the rows of a list must have.
func (g *generator) complete(list []Row) []Row {
	rows := slices.Clone(list)
	for i := range rows {
		row := &rows[i]
		row.Received = row.Received.UTC()
		row.Organization = g.org
		if row.TraceID == "" {
			r := g.random(i)
			row.TraceID = guid(r.Uint64(), r.Uint64())
		}
		if row.Recipient == "" {
			row.Recipient = g.recipients[i%len(g.recipients)]
		}
		if row.Visible.IsZero() {
			row.Visible = row.Received
		}
		if n := len(row.Changes); n > 0 {
			row.Status = row.Changes[n-1].Status
		}
	}
	return rows
}

func ticks(t time.Time) int64 {
	return t.Unix()*int64(time.Second/tick) + int64(t.Nanosecond())/int64(tick)
}

func fromTicks(n int64) time.Time {
	const second = int64(time.Second / tick)
	return time.Unix(n/second, n%second*int64(tick)).UTC()
}

// message is what the rows of one message share.
type message struct {
	row  Row
	tick int64
	n    int // rows
	pool int // where its recipients start in the pool

	group bool // its first recipient is a distribution list
}

// block makes the rows of block b.
func (g *generator) block(b int) []Row {
	if g.spec.List != nil {
		return g.spec.List[b*blockRows : min((b+1)*blockRows, g.limit)]
	}
	r := g.random(b)
	rows := make([]Row, 0, blockRows)
	last := int64(math.MinInt64)
	for len(rows) < blockRows {
		m := g.message(r, b*blockRows+len(rows), last)
		last = m.tick
		for j := range min(m.n, blockRows-len(rows)) {
			rows = append(rows, g.delivery(r, &m, j))
		}
	}
	return rows[:min(blockRows, g.limit-b*blockRows)]
}

func (g *generator) random(b int) *rand.Rand { return rand.New(rand.NewPCG(g.seed, uint64(b))) }

// first is the moment of the first row of block b.
func (g *generator) first(b int) int64 {
	if g.spec.List != nil {
		return ticks(g.spec.List[b*blockRows].Received)
	}
	return g.moment(g.random(b), b*blockRows, math.MinInt64)
}

// message makes the message whose first row is row i; last is the moment of the message before it in the block.
func (g *generator) message(r *rand.Rand, i int, last int64) message {
	m := message{tick: g.moment(r, i, last), n: 1, pool: r.IntN(len(g.recipients))}
	if r.IntN(5) < 2 {
		m.n = 1 + r.IntN(g.spec.Recipients)
		m.group = m.n > 1 && r.IntN(8) == 0
	}
	m.row = Row{
		Organization: g.org,
		Received:     fromTicks(m.tick),
		Sender:       g.senders[r.IntN(len(g.senders))],
		TraceID:      guid(r.Uint64(), r.Uint64()),
		Size:         1000 + r.IntN(200_000),
	}
	if r.IntN(64) > 0 {
		m.row.MessageID = messageID(r)
	}
	m.row.Subject, m.row.NoSubject = subject(r)
	m.row.FromIP = address(r, 16)
	if r.IntN(32) == 0 { // a non-delivery report comes from nobody
		m.row.Sender, m.row.FromIP = "", ""
		m.row.Subject, m.row.NoSubject = "Undeliverable: "+m.row.Subject, false
	}
	return m
}

// moment places the message of row i in the row's slot. A slot that holds a whole second often uses that second or a tick beside
// it, as these are the bounds collectors ask for.
func (g *generator) moment(r *rand.Rand, i int, last int64) int64 {
	const second = int64(time.Second / tick)
	start, end := g.slot(i)
	choice, at := r.IntN(8), start
	if end > start {
		at += r.Int64N(end - start)
	}
	whole := (start + second - 1) / second * second
	switch {
	case choice == 0 && last != math.MinInt64:
		at = last
	case choice <= 2 && whole < end:
		at = whole
	case choice == 3 && whole+1 < end:
		at = whole + 1
	case choice == 4 && end%second == 0 && end > start:
		at = end - 1
	}
	if g.quantum > 0 {
		at = max(at/g.quantum*g.quantum, g.segments[0].tick)
	}
	return at
}

// delivery makes the row of the j-th recipient.
func (g *generator) delivery(r *rand.Rand, m *message, j int) Row {
	row := m.row
	row.Recipient = g.recipients[(m.pool+j)%len(g.recipients)]
	row.Status = statuses[min(r.IntN(4*len(statuses)), len(statuses)-1)]
	row.ToIP = address(r, 2)
	row.Size += r.IntN(500) // headers differ
	if r.IntN(64) == 0 {
		row.Size = 0
	}
	if m.group && j == 0 { // the list itself; its members follow
		row.Recipient, row.Status = "all-"+strconv.Itoa(m.pool)+"@contoso.com", "Expanded"
	}
	row.Visible = row.Received.Add(g.spec.delay(r, m.tick))
	g.spec.evolve(r, &row)
	return row
}

// search returns the first row that was received at tick t or later, or the number of rows that exist.
func (g *generator) search(t int64) int {
	if g.limit == 0 {
		return 0
	}
	blocks := (g.limit-1)/blockRows + 1
	if g.spec.List == nil {
		if t <= g.segments[0].tick {
			return 0
		}
		blocks = min(g.reach(t+g.quantum)/blockRows+2, blocks)
	}
	b := sort.Search(blocks, func(b int) bool { return g.first(b) >= t }) - 1
	if b < 0 {
		return 0
	}
	rows := g.block(b)
	return b*blockRows + sort.Search(len(rows), func(i int) bool { return ticks(rows[i].Received) >= t })
}

// between yields the rows received in [from, to) with their positions.
func (g *generator) between(from, to int64) iter.Seq2[int, *Row] {
	return func(yield func(int, *Row) bool) {
		hi := g.search(to)
		at := reader{g: g}
		for i := g.search(from); i < hi; i++ {
			if !yield(i, at.row(i)) {
				return
			}
		}
	}
}

// reader reads rows one after another, up or down, and makes each block once.
type reader struct {
	g     *generator
	block int
	rows  []Row
}

func (r *reader) row(i int) *Row {
	if b := i / blockRows; r.rows == nil || b != r.block {
		r.block, r.rows = b, r.g.block(b)
	}
	return &r.rows[i%blockRows]
}

// property returns the text of a property that can be asked for, by its name in either API.
func (r *Row) property(name string, now time.Time) string {
	switch name {
	case "MessageTraceId", "id":
		return r.TraceID
	case "MessageId", "messageId":
		return r.MessageID
	case "SenderAddress", "senderAddress":
		return r.Sender
	case "RecipientAddress", "recipientAddress":
		return r.Recipient
	case "Status", "status":
		return r.StatusAt(now)
	case "FromIP", "fromIP":
		return r.FromIP
	case "ToIP", "toIP":
		return r.ToIP
	case "subject":
		return r.Subject
	case "size":
		return strconv.Itoa(r.Size)
	}
	return ""
}
