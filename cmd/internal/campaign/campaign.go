package campaign

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// A Campaign is one kind of fault.
type Campaign struct {
	Name  string
	Doc   string // one line
	CI    Size   // what tests draw
	Full  Size   // what the promise is measured with
	Round Size   // the most of one round, which has a world and a state directory of its own

	run func(context.Context, *round) error
}

// Size is how much there is of a campaign.
type Size struct {
	Faults int
	Rows   int
	For    time.Duration // how long an outage or the soak takes
}

// All are the campaigns, in the order in which they run.
func All() []Campaign {
	return []Campaign{
		{Name: "kills", Doc: "SIGKILL of the collector", run: kills(plot{receiver: newInside}),
			CI: Size{Faults: 20, Rows: 40_000}, Full: Size{Faults: 1000, Rows: 1_000_000}, Round: Size{Faults: 50, Rows: 50_000}},
		{Name: "window", Doc: "SIGKILL of the collector, syslog over TLS confirmed by the window", run: unconfirmedKills,
			CI: Size{Faults: 5, Rows: 10_000}, Full: Size{Faults: 200, Rows: 200_000}, Round: Size{Faults: 50, Rows: 50_000}},
		{Name: "receiver", Doc: "SIGKILL of the receiver", run: receiverKills(plot{receiver: newOwn}),
			CI: Size{Faults: 6, Rows: 12_000}, Full: Size{Faults: 200, Rows: 400_000}, Round: Size{Faults: 20, Rows: 40_000}},
		{Name: "rsyslog", Doc: "SIGKILL of rsyslog, syslog over TLS", run: receiverKills(plot{receiver: newRsyslog(inputSyslog)}),
			CI: Size{Faults: 6, Rows: 12_000}, Full: Size{Faults: 200, Rows: 400_000}, Round: Size{Faults: 20, Rows: 40_000}},
		{Name: "relp", Doc: "SIGKILL of rsyslog, RELP over TLS",
			run: receiverKills(plot{receiver: newRsyslog(inputRelp), config: map[string]string{"type: devo_platform\n": "type: relp\n"}}),
			CI:  Size{Faults: 6, Rows: 12_000}, Full: Size{Faults: 200, Rows: 400_000}, Round: Size{Faults: 20, Rows: 40_000}},
		{Name: "stall", Doc: "the receiver reads nothing for 2 s, then RST", run: stalls(plot{receiver: newInside}),
			CI: Size{Faults: 1, Rows: 60_000}, Full: Size{Faults: 100, Rows: 6_000_000}, Round: Size{Faults: 1, Rows: 60_000}},
		{Name: "gzip-kills", Doc: "SIGKILL of the collector, gzip", run: kills(plot{receiver: newInside, gzip: true}),
			CI: Size{Faults: 4, Rows: 6_000}, Full: Size{Faults: 200, Rows: 200_000}, Round: Size{Faults: 50, Rows: 50_000}},
		{Name: "gzip-receiver", Doc: "SIGKILL of the receiver, gzip", run: receiverKills(plot{receiver: newOwn, gzip: true}),
			CI: Size{Faults: 3, Rows: 5_000}, Full: Size{Faults: 200, Rows: 400_000}, Round: Size{Faults: 20, Rows: 40_000}},
		{Name: "gzip-stall", Doc: "the receiver reads nothing for 2 s, then RST, gzip", run: stalls(plot{receiver: newInside, gzip: true}),
			CI: Size{Faults: 1, Rows: 15_000}, Full: Size{Faults: 60, Rows: 1_800_000}, Round: Size{Faults: 1, Rows: 30_000}},
		{Name: "outage", Doc: "the receiver cannot be reached", run: outages,
			CI: Size{Faults: 3, Rows: 20_000, For: 5 * time.Second}, Full: Size{Faults: 3, Rows: 200_000, For: 30 * time.Minute}},
		{Name: "diskfull", Doc: "the disk of the state directory is full", run: fullDisks,
			CI: Size{Faults: 3, Rows: 30_000}, Full: Size{Faults: 50, Rows: 250_000}, Round: Size{Faults: 10, Rows: 50_000}},
		{Name: "soak", Doc: "all at once, and edits", run: soak,
			CI: Size{Rows: 15_000, For: 15 * time.Second}, Full: Size{Rows: 1_000_000, For: time.Hour}},
	}
}

// Options are what a campaign runs with.
type Options struct {
	Starling string   // the program
	Receiver []string // the command that calls [Receive], without its arguments
	Dir      string   // for files; what a round leaves in it is removed when the round went well
	Seed     uint64   // round n draws from Seed+n
	Size     Size
	Log      func(format string, args ...any)
}

// Result is what became of the events.
type Result struct {
	Name               string
	Seed               uint64
	Rounds             int
	Faults             int
	Ended              int // how often the collector ended by itself, where that is allowed
	Rows               int
	Lost, Extra, Twice int // rows missing, identities that nobody sent, events that came again
	Disorder           int // events that came, for the first time, after a later one
	Took               time.Duration
	Notes              []string
}

// Run repeats rounds until there were as many faults and rows as the size wants. An error says what promise was broken, or that a
// round could not be done; its text names the seed of that round.
func (c Campaign) Run(ctx context.Context, o Options) (Result, error) {
	began := time.Now()
	all := Result{Name: c.Name, Seed: o.Seed}
	for all.Rounds == 0 || all.Faults < o.Size.Faults || all.Rows < o.Size.Rows {
		r := &round{Options: o, seed: o.Seed + uint64(all.Rounds), dir: filepath.Join(o.Dir, fmt.Sprintf("%s-%d", c.Name, all.Rounds))}
		r.size = Size{Faults: o.Size.Faults, Rows: o.Size.Rows, For: o.Size.For}
		if c.Round.Faults > 0 {
			r.size.Faults = min(r.size.Faults, c.Round.Faults)
		}
		if c.Round.Rows > 0 {
			r.size.Rows = min(r.size.Rows, c.Round.Rows)
		}
		r.random = rand.New(rand.NewPCG(r.seed, 0))
		err := c.run(ctx, r)
		all.add(&r.result)
		all.Took = time.Since(began)
		if err == nil {
			err = r.result.verdict()
		}
		if err != nil {
			return all, fmt.Errorf("%s, round with seed %d: %w", c.Name, r.seed, err)
		}
		if err := os.RemoveAll(r.dir); err != nil {
			return all, err
		}
		o.Log("%s: %d faults, %d rows, %d sent twice after %v", c.Name, all.Faults, all.Rows, all.Twice, all.Took.Round(time.Second))
		if r.result.Faults == 0 {
			return all, fmt.Errorf("%s, round with seed %d: no fault hit", c.Name, r.seed)
		}
	}
	return all, nil
}

// ErrSkipped says that a campaign needs what this machine does not have.
var ErrSkipped = errors.New("skipped")

func (r *Result) add(one *Result) {
	r.Rounds++
	r.Faults += one.Faults
	r.Ended += one.Ended
	r.Rows += one.Rows
	r.Lost += one.Lost
	r.Extra += one.Extra
	r.Twice += one.Twice
	r.Disorder += one.Disorder
	r.Notes = append(r.Notes, one.Notes...)
}

// mostTwice is how many events one fault may repeat: an epoch of the largest size and the chunk that it may exceed it by, of rows of
// some 350 bytes and more.
const mostTwice = (8<<20 + 1<<20) / 350

func (r *Result) verdict() error {
	switch {
	case r.Lost != 0 || r.Extra != 0:
		return fmt.Errorf("%d rows are lost, %d came that nobody sent", r.Lost, r.Extra)
	case r.Disorder != 0:
		return fmt.Errorf("%d events came after later ones", r.Disorder)
	case r.Twice > r.Faults*mostTwice:
		return fmt.Errorf("%d events came again over %d faults, want %d for each at most: the epoch that was not confirmed", r.Twice, r.Faults, mostTwice)
	}
	return nil
}

// A round is one world from its start to its end.
type round struct {
	Options
	seed   uint64
	random *rand.Rand
	gzip   bool // the receiver takes nothing else
	dir    string
	size   Size
	result Result
}

// between draws a duration.
func (r *round) between(from, to time.Duration) time.Duration {
	return from + time.Duration(r.random.Int64N(int64(to-from)))
}
