package engine

import (
	"context"
	"errors"
	"time"

	"go.starlark.net/starlark"
)

// A Load is the initialisation of a script's top level for one collector.
type Load struct {
	// Settings are what config.* reads.
	Settings *Settings
	// Env is what all pulls share.
	Env *Env
	// Collector is the key of the collector, "input/id/service".
	Collector string
	// Place is where the service stands in the configuration, "file:line:col: path", for errors about it.
	Place string
	// Replaces says that a script which works is in use, and that only files are other than before: what
	// would fail later on is refused now.
	Replaces bool

	// Ctx ends the top level early; nil lets it have all its time.
	Ctx context.Context

	problems []Mistake
	followed []string  // paths
	ends     time.Time // when the first of them expires

	// Declared are the settings that config.* was asked for so far, in the order of the script.
	Declared []Declaration
	// Rates are the quotas that the script has named or made so far.
	Rates []Rate

	logged int
}

const loadLocal = "starling.load"

// NewThread returns a thread on which builtins find the load.
func (l *Load) NewThread(name string) *starlark.Thread {
	thread := &starlark.Thread{Name: name}
	thread.SetLocal(loadLocal, l)
	return thread
}

// AllowLog reports whether the top level may log one more line, and counts it.
func (l *Load) AllowLog() bool {
	l.logged++
	return l.logged <= l.Env.Limits.LogLinesPerPull
}

// Problem notes a mistake of the operator, which what runs on thread has found. The script goes on, so that
// further mistakes are found, and the load fails.
func (l *Load) Problem(thread *starlark.Thread, err error) {
	l.problems = append(l.problems, Mistake{At: places(thread.CallStack()), Err: err})
}

// Problems joins what Problem noted, or is nil.
func (l *Load) Problems() error { return joinMistakes(l.problems) }

func joinMistakes(found []Mistake) error {
	var errs []error
	for _, m := range found {
		errs = append(errs, m.Err)
	}
	return errors.Join(errs...)
}

// LoadOf returns the load that runs on thread. While a pull runs there is none, and the error tells
// the author of the script so.
func LoadOf(thread *starlark.Thread) (*Load, error) {
	if l, ok := thread.Local(loadLocal).(*Load); ok {
		return l, nil
	}
	return nil, errors.New("can only be used at the top level of a script, so that a wrong setting is found before the first pull")
}
