package engine

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.starlark.net/starlark"
)

// Options are what an Engine needs from outside. NewSink, Predeclared and Logger must be set.
type Options struct {
	// Builtin are the scripts inside the program.
	Builtin fs.FS
	// Predeclared are the names that scripts can use.
	Predeclared starlark.StringDict
	// NewSink makes the sink of an output; it must not connect yet.
	NewSink func(Output) (Sink, error)
	// NewTransport makes what sends the scripts' HTTP requests. It asks Network.CheckAddr about every
	// address before it connects. Nil means http.DefaultTransport, which does not ask.
	NewTransport func(*Network) http.RoundTripper
	// Identity is how builtins get tokens for this machine itself.
	Identity  Identity
	Logger    *slog.Logger
	Telemetry *Telemetry
	Redactor  *Redactor
	// Internal takes events about the program itself to outputs that lead to Devo, with what they say of it;
	// nil for none.
	Internal      *InternalEvents
	InternalAbout InternalAbout
	// OnConfig is called with every configuration that comes into use, the first included.
	OnConfig func(*Config)
	// Observe is told of every event that a pull stages; nil if nobody wants to know.
	Observe Observer
	// Recorder gets the tapes of pulls; nil if nobody wants them.
	Recorder *Recorder
}

// An Engine runs the collectors and outputs of one configuration file and follows its changes.
type Engine struct {
	options Options
	started time.Time

	mu         sync.Mutex // guards all below; held while a reload swaps, never while anything waits
	env        *Env
	config     *Config
	loaded     time.Time
	alarm      alarm
	sources    *Sources
	collectors map[string]*collector
	deliveries map[string]*delivery
	reloads    reloadLog
	seen       observed // the files as they were when New read them

	reloading sync.Mutex // one reload at a time
	force     chan struct{}
	tasks     tasks
}

// New checks config with all its scripts and outputs and opens the state directory. Any error means
// that nothing runs and nothing was changed. Close the engine if it is never run.
func New(config *Config, o Options) (*Engine, error) {
	o = o.withDefaults()
	e := &Engine{options: o, started: time.Now().UTC(), collectors: map[string]*collector{}, deliveries: map[string]*delivery{},
		force: make(chan struct{}, 1)}
	env := o.env(config)
	sources, err := e.library(config).Read()
	if err != nil {
		return nil, err
	}
	p, err := e.plan(env, config, sources)
	if err != nil {
		return nil, err
	}
	env.Store, err = OpenStore(config.StateDir, env.Limits.OutboxBytes)
	if err != nil {
		p.abandon()
		return nil, err
	}
	env.Store.guardSpace(env.Limits.DiskReserve, o.Logger)
	if err := errors.Join(e.swap(p), e.observe(), e.observeQuotas()); err != nil {
		p.abandon()
		env.Store.Close()
		return nil, err
	}
	e.seen = e.look()
	e.seen.sources, e.seen.config = sources, config.sum
	return e, nil
}

func (o Options) withDefaults() Options {
	o.Telemetry = cmp.Or(o.Telemetry, NewTelemetry(nil, nil))
	o.Redactor = cmp.Or(o.Redactor, &Redactor{})
	if o.NewTransport == nil {
		o.NewTransport = func(*Network) http.RoundTripper { return http.DefaultTransport }
	}
	return o
}

// env makes the environment of pulls, without a store.
func (o Options) env(config *Config) *Env {
	return &Env{Logger: o.Logger, Telemetry: o.Telemetry, Transport: o.NewTransport(config.Network), Network: config.Network, Identity: o.Identity,
		Shared: &Shared{}, Redactor: o.Redactor, Limits: config.Limits.WithDefaults(), Internal: o.Internal, Recorder: o.Recorder, Observe: o.Observe}
}

// Close releases the state directory of an engine that does not run.
func (e *Engine) Close() error { return e.env.Store.Close() }

// Store is the engine's store, for status and tools.
func (e *Engine) Store() *Store {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.env.Store
}

func (e *Engine) library(config *Config) *Library {
	return &Library{Builtin: e.options.Builtin, Dir: config.ScriptsDir, Predeclared: e.options.Predeclared}
}

// Run pulls and delivers until ctx ends. Then it stops pulling at once (what was not committed is
// pulled again at the next start), delivers what it can within Limits.ShutdownDelivery, and closes
// outputs and store. What could not be delivered stays in the outbox.
func (e *Engine) Run(ctx context.Context) error {
	sending, stopSending := context.WithCancel(context.Background())
	defer stopSending()
	e.mu.Lock()
	e.tasks = tasks{pulling: ctx, sending: sending, cancel: map[any]context.CancelFunc{}, done: map[any]chan struct{}{}}
	for _, c := range e.collectors {
		e.tasks.startPulling(c)
	}
	for _, d := range e.deliveries {
		e.tasks.startSending(d)
	}
	e.mu.Unlock()
	stopAnswering := e.env.Store.serveControl(e.options.Logger, e.Status)

	var guard sync.WaitGroup
	guard.Go(func() { e.guardOutbox(ctx) })
	guard.Go(func() { e.tellStatistics(ctx) })
	e.watch(ctx)
	guard.Wait()

	e.reloading.Lock() // a reload that is under way ends first, and no other begins
	defer e.reloading.Unlock()
	log := e.options.Logger
	log.Info("stopping: pulls end, what is in the outbox is delivered", "grace", e.env.Limits.ShutdownDelivery.String())
	for _, c := range e.collectors {
		e.tasks.stop(c)
	}
	for _, d := range e.deliveries {
		close(d.finish)
	}
	timer := time.AfterFunc(e.env.Limits.ShutdownDelivery, stopSending)
	for _, d := range e.deliveries {
		e.tasks.wait(d)
	}
	timer.Stop()
	e.statistics(true)
	if left := e.env.Store.Backlog(""); left.Chunks > 0 {
		log.Warn("stopped with events in the outbox; the next start delivers them", "chunks", left.Chunks, "bytes", left.Bytes)
	}
	stopAnswering()
	return e.env.Store.Close()
}

// tasks are the running goroutines of collectors and deliveries, each of which can be stopped alone.
type tasks struct {
	pulling, sending context.Context
	cancel           map[any]context.CancelFunc
	done             map[any]chan struct{}
}

func (t *tasks) startPulling(c *collector) { t.start(t.pulling, c, c.run) }
func (t *tasks) startSending(d *delivery)  { t.start(t.sending, d, d.run) }

func (t *tasks) start(parent context.Context, key any, run func(context.Context)) {
	if parent == nil {
		return // Run starts everything
	}
	// Whoever cancels, the cause that a pull sees is that the engine ends it.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() { cancel(errStopping) })
	done := make(chan struct{})
	t.cancel[key] = func() { stop(); cancel(errStopping) }
	t.done[key] = done
	go func() {
		defer close(done)
		run(ctx)
	}()
}

// stop ends a task and waits for it.
func (t *tasks) stop(key any) {
	if cancel, ok := t.cancel[key]; ok {
		cancel()
		t.wait(key)
	}
}

func (t *tasks) wait(key any) {
	if done, ok := t.done[key]; ok {
		<-done
		t.cancel[key]()
		delete(t.cancel, key)
		delete(t.done, key)
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// A plan is a configuration with everything that it needs, made and checked, but not yet in use.
type plan struct {
	env        *Env
	config     *Config
	sources    *Sources
	collectors map[string]*collector // new or kept
	deliveries map[string]*delivery
	fresh      []Sink // made for this plan
	warnings   []string
}

func (p *plan) abandon() {
	for _, s := range p.fresh {
		s.Close()
	}
}

// plan makes what config needs. Collectors and outputs that did not change are kept as they are.
func (e *Engine) plan(env *Env, config *Config, sources *Sources) (*plan, error) {
	for _, s := range config.Secrets {
		env.Redactor.Add(s)
	}
	p := &plan{env: env, config: config, sources: sources, collectors: map[string]*collector{}, deliveries: map[string]*delivery{}}
	err := errors.Join(e.planCollectors(p), e.planDeliveries(p))
	if err != nil {
		p.abandon()
		return nil, err
	}
	return p, nil
}

func (e *Engine) planCollectors(p *plan) error {
	var problems []error
	untested := map[string]bool{}
	for _, cc := range p.config.Collectors {
		key := cc.Key()
		old := e.collectors[key]
		if old != nil && old.env == p.env && old.config.Fingerprint() == cc.Fingerprint() {
			p.collectors[key] = old
			continue
		}
		script, err := e.library(p.config).Load(p.sources, cc.Script, &Load{Settings: cc.Settings.Fresh(), Env: p.env, Collector: key, Place: cc.Place})
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if old == nil || script.Version != old.script.Load().Version {
			untested[cc.Script] = true
		}
		c := newCollector(p.env, cc, script)
		if old != nil {
			old.mu.Lock()
			c.status.Pulls, c.status.Events, c.status.Cut, c.status.SetAside = old.status.Pulls, old.status.Events, old.status.Cut, old.status.SetAside
			old.mu.Unlock()
		}
		p.collectors[key] = c
	}
	for _, script := range sortedKeys(untested) {
		if err := e.testBeforeUse(p.config, p.sources, script); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

func (e *Engine) planDeliveries(p *plan) error {
	var problems []error
	for _, o := range p.config.Outputs {
		old := e.deliveries[o.Name]
		if old != nil && old.output.Fingerprint() == o.Fingerprint() {
			p.deliveries[o.Name] = old
			continue
		}
		sink, err := e.options.NewSink(o)
		if err != nil {
			problems = append(problems, o.placed(err))
			continue
		}
		p.fresh = append(p.fresh, sink)
		if text := o.Config.warning(); text != "" {
			p.warnings = append(p.warnings, text)
		}
		p.deliveries[o.Name] = newDelivery(p.env, o, sink)
	}
	return errors.Join(problems...)
}

// swap puts a plan into use: what is not in it stops, what is new starts, the rest is not touched.
func (e *Engine) swap(p *plan) error {
	if err := p.env.Store.outputs(sortedKeys(p.deliveries)); err != nil {
		return err
	}
	for _, old := range e.collectors {
		if p.collectors[old.key] != old {
			e.tasks.stop(old)
		}
	}
	for name, old := range e.deliveries {
		if p.deliveries[name] != old {
			e.tasks.stop(old)
		}
	}
	for _, text := range p.warnings {
		e.options.Logger.Warn(text)
	}
	p.env.Store.setPolicy(e.policy(p.config, p.env.Limits))
	e.mu.Lock()
	defer e.mu.Unlock()
	for key, c := range p.collectors {
		if e.collectors[key] != c {
			e.tasks.startPulling(c)
		}
	}
	for name, d := range p.deliveries {
		if e.deliveries[name] != d {
			e.tasks.startSending(d)
		}
	}
	e.env, e.config, e.sources, e.collectors, e.deliveries, e.loaded = p.env, p.config, p.sources, p.collectors, p.deliveries, time.Now().UTC()
	e.options.Internal.use(p.config, p.deliveries)
	if e.options.OnConfig != nil {
		e.options.OnConfig(p.config)
	}
	return nil
}
