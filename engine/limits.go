package engine

import "time"

// Limits bound what one pull may use, so that a mistake in a script or an API that answers without
// end cannot take the process down. The zero value of a field means its default.
type Limits struct {
	PullTimeout      time.Duration // wall time of one pull
	Steps            uint64        // Starlark instructions of one pull, counted by the interpreter
	LoadSteps        uint64        // Starlark instructions of a script's top level
	ScriptMemory     int64         // by how much the heap may grow because of scripts, beside what is staged
	ResponseBytes    int64         // body of one HTTP answer, decompressed
	EventBytes       int           // body of one event
	Oversized        Oversized     // what becomes of a larger one, or of one that an output refuses: cut, set_aside or fail
	AsideBytes       int64         // events set aside, in files; at the bound, pulls fail and outputs wait
	StagedBytes      int64         // compressed events between two commits
	HTTPTimeout      time.Duration // one HTTP request with its answer, unless the script says otherwise
	OutboxBytes      int64         // compressed events waiting for delivery
	OutboxAge        time.Duration // how long an event may wait for delivery; 0s for any time
	OutboxFull       OutboxFull    // at one of these bounds: wait (pulls wait), or drop_oldest
	OutboxAlarm      float64       // share of these bounds from which on the log warns
	DiskReserve      int64         // bytes that stay free on the state directory's disk; below it, pulls wait
	LogLinesPerPull  int           // lines a script may log in one pull; the rest is counted
	TestTimeout      time.Duration // one test_* function
	ShutdownDelivery time.Duration // how long a stop goes on delivering
}

// WithDefaults returns l with every zero field set.
func (l Limits) WithDefaults() Limits {
	set(&l.PullTimeout, time.Hour)
	set(&l.Steps, 2_000_000_000)
	set(&l.LoadSteps, 50_000_000)
	set(&l.ScriptMemory, 256<<20)
	set(&l.ResponseBytes, 32<<20)
	set(&l.EventBytes, 1<<20)
	set(&l.Oversized, Cut)
	set(&l.AsideBytes, 1<<30)
	set(&l.StagedBytes, 256<<20)
	set(&l.HTTPTimeout, 60*time.Second)
	set(&l.OutboxBytes, 1<<30)
	set(&l.OutboxFull, Wait)
	set(&l.OutboxAlarm, 0.8)
	set(&l.DiskReserve, 256<<20)
	set(&l.LogLinesPerPull, 1000)
	set(&l.TestTimeout, 10*time.Second)
	set(&l.ShutdownDelivery, 20*time.Second)
	return l
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
