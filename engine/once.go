package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// prepare makes an engine without a store: enough to plan.
func prepare(config *Config, o Options) (*Engine, *Env, *Sources, error) {
	o = o.withDefaults()
	e := &Engine{options: o, started: time.Now().UTC(), config: config}
	env := o.env(config)
	sources, err := e.library(config).Read()
	return e, env, sources, err
}

// Checked is what Check found in order.
type Checked struct {
	Collectors []string // keys
	Outputs    []string // names
	Scripts    []string // every file with the ending .star
	Warnings   []string // of outputs, about what is accepted
}

// Check does everything that a start does short of opening the state directory and using the network:
// it loads every collector's script with its settings, makes every output, and compiles every other
// script of the library. The error joins all problems.
func Check(config *Config, o Options) (Checked, error) {
	e, env, sources, err := prepare(config, o)
	if err != nil {
		return Checked{}, err
	}
	p, err := e.plan(env, config, sources)
	if p != nil {
		defer p.abandon()
	}
	c := Checked{}
	if p != nil {
		c.Warnings = p.warnings
	}
	for _, cc := range config.Collectors {
		c.Collectors = append(c.Collectors, cc.Key())
	}
	for _, out := range config.Outputs {
		c.Outputs = append(c.Outputs, out.Name)
	}
	for _, name := range sources.Names() {
		if !strings.HasSuffix(name, ".star") {
			continue
		}
		c.Scripts = append(c.Scripts, name)
		if cerr := e.library(config).compile(sources, name); cerr != nil && !told(err, cerr) {
			err = errors.Join(err, cerr)
		}
	}
	return c, err
}

// Rates loads the script of one collector and returns the quotas that it keeps to. A collector that is
// not in the configuration has none.
func Rates(config *Config, o Options, collector string) ([]Rate, error) {
	e, env, sources, err := prepare(config, o)
	if err != nil {
		return nil, err
	}
	for _, cc := range config.Collectors {
		if cc.Key() == collector {
			load := &Load{Settings: cc.Settings.Fresh(), Env: env, Collector: collector, Place: cc.Place}
			_, err := e.library(config).Load(sources, cc.Script, load)
			return load.Rates, err
		}
	}
	return nil, nil
}

// told reports whether err says what more says, so that one mistake is not reported twice.
func told(err, more error) bool {
	return err != nil && strings.Contains(err.Error(), more.Error())
}

// compile checks the syntax and the names of one file.
func (l *Library) compile(sources *Sources, name string) error {
	if _, _, err := l.program(sources.files[name]); err != nil {
		return newScriptError(err, sources.byDisplay)
	}
	return nil
}

// Once says how PullOnce is to pull.
type Once struct {
	// Commit keeps what the pull commits, in the state directory. Otherwise the pull starts where the
	// state says, but leaves no trace in it.
	Commit bool
	// Fresh has a pull that is not committed start without any state, as a new collector would.
	Fresh bool
	// Sinks get the events; nil means the sinks of the configuration.
	Sinks map[string]Sink
}

// A Pulled is what PullOnce did.
type Pulled struct {
	PullStats
	// Before and After are the collector's cursors.
	Before, After map[string]json.RawMessage
}

// PullOnce runs one pull of one collector and delivers its events. The service is its name, or its
// key "input/id/service" where several have that name. It returns when every sink has acknowledged
// everything, or ctx ends.
func PullOnce(ctx context.Context, config *Config, service string, o Options, once Once) (Pulled, error) {
	if once.Commit && once.Sinks != nil {
		return Pulled{}, errors.New("a pull that is committed goes to the configured outputs: they would lose what waits for them")
	}
	cc, err := findService(config, service)
	if err != nil {
		return Pulled{}, err
	}
	only := *config
	only.Collectors = []CollectorConfig{cc}
	if once.Sinks != nil {
		only.Outputs = nil
	}
	e, env, sources, err := prepare(&only, o)
	if err != nil {
		return Pulled{}, err
	}
	p, err := e.plan(env, &only, sources)
	if err != nil {
		return Pulled{}, err
	}
	for name, sink := range once.Sinks {
		p.deliveries[name] = newDelivery(env, Output{Name: name, Type: "terminal"}, sink)
	}
	if env.Store, err = onceStore(&only, cc.Key(), once, env.Limits.OutboxBytes); err != nil {
		p.abandon()
		return Pulled{}, err
	}
	defer env.Store.Close()
	env.Store.guardSpace(env.Limits.DiskReserve, o.Logger)
	before, err := env.Store.kept()
	if err != nil {
		p.abandon()
		return Pulled{}, err
	}
	pulled, err := pullOnce(ctx, env, p, cc.Key())
	if !once.Commit && !once.Fresh {
		err = errors.Join(err, returnKept(&only, before, env.Store))
	}
	return pulled, err
}

func pullOnce(ctx context.Context, env *Env, p *plan, key string) (Pulled, error) {
	if err := env.Store.outputs(sortedKeys(p.deliveries)); err != nil {
		return Pulled{}, err
	}
	cursors, err := env.Store.Cursors()
	if err != nil {
		return Pulled{}, err
	}
	pulled := Pulled{Before: cursors[key]}
	sending, stop := context.WithCancel(ctx)
	defer stop()
	t := tasks{sending: sending, cancel: map[any]context.CancelFunc{}, done: map[any]chan struct{}{}}
	for _, d := range p.deliveries {
		t.startSending(d)
	}
	c := p.collectors[key]
	_, err = c.pull(ctx)
	for _, d := range p.deliveries {
		close(d.finish)
	}
	for _, d := range p.deliveries {
		t.wait(d)
	}
	if left := env.Store.Backlog(""); left.Chunks > 0 {
		err = errors.Join(err, Errorf(CodeSink, "deliver", "%d chunks were not acknowledged", left.Chunks))
	}
	cursors, cerr := env.Store.Cursors()
	pulled.PullStats, pulled.After = c.status.Last, cursors[key]
	return pulled, errors.Join(err, cerr)
}

// onceStore opens the state directory, or a copy in memory of what the collector has in it.
func onceStore(config *Config, key string, once Once, outbox int64) (*Store, error) {
	if once.Commit {
		return OpenStore(config.StateDir, outbox)
	}
	memory, err := OpenStore("", outbox)
	if err != nil || once.Fresh || config.StateDir == "" {
		return memory, err
	}
	state, err := OpenStore(config.StateDir, outbox)
	if err != nil {
		memory.Close()
		return nil, err
	}
	defer state.Close()
	memory.quotas.dir = config.StateDir // what was sent was sent
	if err := copyCollector(memory, state, key); err != nil {
		memory.Close()
		return nil, err
	}
	return memory, nil
}

// copiedLedger is how much of the ledger a pull without a trace gets to see.
const copiedLedger = 10 * 24 * time.Hour

func copyCollector(to, from *Store, key string) error {
	cursors, err := from.Cursors()
	if err != nil {
		return err
	}
	hours, err := from.seenHours(key)
	if err != nil {
		return err
	}
	st := staging{cursors: cursors[key], seen: map[int64]*keySet{}}
	for _, hour := range hours {
		if st.seen[hour], err = from.seen(key, hour); err != nil {
			return err
		}
	}
	coverage, err := from.Coverage(key, time.Now().Add(-copiedLedger), time.Time{})
	if err != nil {
		return err
	}
	st.marks = coverage.marks()
	return errors.Join(to.submit(context.Background(), key, st), to.submit(context.Background(), keptBy, staging{cursors: cursors[keptBy]}))
}

func findService(config *Config, service string) (CollectorConfig, error) {
	var found []CollectorConfig
	var names []string
	for _, cc := range config.Collectors {
		names = append(names, cc.Key())
		if cc.Service == service || cc.Key() == service {
			found = append(found, cc)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return CollectorConfig{}, &Error{Code: CodeConfig, Op: config.File, Err: fmt.Errorf("no enabled service %q", service),
			Hint: "there are: " + strings.Join(names, ", ")}
	}
	return CollectorConfig{}, &Error{Code: CodeConfig, Op: config.File, Err: fmt.Errorf("%d services are called %q", len(found), service),
		Hint: "name one of: " + strings.Join(names, ", ")}
}

// CompileErrors returns what is wrong with a script before anything runs: its syntax, its names, members that no builtin has, and what
// the engine's dialect leaves out. Editors ask for it.
func CompileErrors(name string, text []byte, predeclared starlark.StringDict) resolve.ErrorList {
	_, _, err := (&Library{Predeclared: predeclared}).program(source{text: text, display: name})
	if list, ok := errors.AsType[resolve.ErrorList](err); ok {
		return list
	}
	if e, ok := errors.AsType[syntax.Error](err); ok {
		return resolve.ErrorList{{Pos: e.Pos, Msg: e.Msg}}
	}
	return nil
}
