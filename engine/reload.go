package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"os"
	"sync"
	"time"
)

// reloadLog keeps the latest outcome of every subject that can be reloaded.
type reloadLog struct {
	mu     sync.Mutex
	latest map[string]ReloadStatus
}

func (l *reloadLog) list() []ReloadStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := []ReloadStatus{}
	for _, key := range sortedKeys(l.latest) {
		all = append(all, l.latest[key])
	}
	return all
}

// failing reports whether the latest reload of a subject failed.
func (l *reloadLog) failing(kind, name string) bool { return l.text(kind, name) != "" }

// text returns why the latest reload of a subject failed, or "".
func (l *reloadLog) text(kind, name string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest[kind+" "+name].Error
}

func (l *reloadLog) set(r ReloadStatus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.latest == nil {
		l.latest = map[string]ReloadStatus{}
	}
	l.latest[r.Kind+" "+r.Name] = r
}

// Reload has the engine read scripts, configuration and certificates again, also if they look the same.
func (e *Engine) Reload() {
	select {
	case e.force <- struct{}{}:
	default:
	}
}

// outcome records a reload everywhere: log, metric, status.
func (e *Engine) outcome(kind, name, version string, err error) {
	r := ReloadStatus{Kind: kind, Name: name, When: time.Now().UTC(), Version: version}
	log, result := e.options.Logger.With(string(KeyKind), kind, "name", name), "ok"
	if err != nil {
		result = "error"
		r.Error = e.refusal(err)
		log.Error("reload refused; the old one stays in use", "error", r.Error)
	} else if version != "" {
		log.Info("reloaded", string(KeyVersion), version)
	} else {
		log.Info("reloaded")
	}
	e.reloads.set(r)
	e.options.Telemetry.Reloads.Add(e.tasks.sending, 1, attrs(KeyKind.String(kind), KeyOutcome.String(result)))
}

// observed is what the files that the engine follows looked like at one moment.
type observed struct {
	sources *Sources
	config  [sha256.Size]byte
	sinks   map[string][sha256.Size]byte // by output
	others  map[string][sha256.Size]byte // what scripts have read, by collector
	err     error                        // the scripts folder could not be read
}

func (o observed) equal(p observed) bool {
	if o.config != p.config || !maps.Equal(o.sinks, p.sinks) || !maps.Equal(o.others, p.others) || (o.err == nil) != (p.err == nil) {
		return false
	}
	return o.err != nil || o.sources.Hash == p.sources.Hash
}

// look reads every file that the engine follows.
func (e *Engine) look() observed {
	e.mu.Lock()
	config, deliveries, collectors := e.config, e.deliveries, e.collectors
	e.mu.Unlock()
	o := observed{config: hashFiles(config.Files), sinks: map[string][sha256.Size]byte{}, others: map[string][sha256.Size]byte{}}
	o.sources, o.err = e.library(config).Read()
	for name, d := range deliveries {
		if r, ok := d.sink.(Reloader); ok {
			o.sinks[name] = hashFiles(r.Files())
		}
	}
	for key, c := range collectors {
		if files := c.script.Load().files; len(files) > 0 {
			o.others[key] = hashFiles(files)
		}
	}
	return o
}

func hashFiles(names []string) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			text = []byte(err.Error())
		}
		writeFramed(h, name)
		writeFramed(h, string(text))
	}
	h.Sum(sum[:0])
	return sum
}

// reload brings into use what changed between two looks; force means everything.
func (e *Engine) reload(was, is observed, force bool) {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	sourcesChanged := force || is.err != nil || was.err != nil || was.sources.Hash != is.sources.Hash
	// A configuration that was refused may be right now that the scripts are different.
	if force || was.config != is.config || (sourcesChanged && e.reloads.failing("config", e.config.File)) {
		e.reloadConfig(is.sources, false)
	}
	if sourcesChanged {
		e.reloadScripts(is.sources, is.err)
	}
	if force { // whoever asks may have mended what a collector waits for
		for _, c := range e.collectors {
			c.wakeUp()
		}
	}
	for name, hash := range is.sinks {
		if old, ok := was.sinks[name]; force || (ok && old != hash) {
			e.reloadSink(name)
		}
	}
	for key, hash := range is.others {
		if old, ok := was.others[key]; force || (ok && old != hash) {
			e.reloadFollowed(key)
		}
	}
}

// reloadConfig replaces the configuration, or leaves everything as it is and says why; if it is tried
// again, only a new reason.
func (e *Engine) reloadConfig(sources *Sources, again bool) {
	file := e.config.File
	config, err := e.config.Again()
	if err == nil {
		err = e.tryConfig(config, sources)
	}
	if err != nil && again && e.reloads.text("config", file) == e.refusal(err) {
		return // it has been told
	}
	e.outcome("config", file, "", err)
}

// refusal is how an error of a reload is told.
func (e *Engine) refusal(err error) string { return e.options.Redactor.Redact(describe(err)) }

// retryConfig tries a configuration again that was refused: it may name a file that is there by now.
func (e *Engine) retryConfig(sources *Sources) {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	if e.reloads.failing("config", e.config.File) {
		e.reloadConfig(sources, true)
	}
}

func (e *Engine) tryConfig(config *Config, sources *Sources) error {
	if config.ScriptsDir != e.config.ScriptsDir || sources == nil {
		var err error
		if sources, err = e.library(config).Read(); err != nil {
			return err
		}
	}
	if config.StateDir != e.config.StateDir {
		return &Error{Code: CodeConfig, Op: config.File, Err: errors.New("the state directory cannot change while starling runs"),
			Hint: "restart starling, or put back " + e.config.StateDir}
	}
	env := e.env
	if limits := config.Limits.WithDefaults(); limits != env.Limits || !config.Network.equal(env.Network) {
		changed := *env
		changed.Limits = limits
		if !config.Network.equal(env.Network) {
			changed.Network, changed.Transport = config.Network, e.options.NewTransport(config.Network)
		}
		env = &changed
	}
	p, err := e.plan(env, config, sources)
	if err != nil {
		return err
	}
	if config.Listen != e.config.Listen {
		e.options.Logger.Warn("starling.listen takes effect at the next start", "listen", config.Listen)
	}
	for _, w := range config.Warnings {
		e.options.Logger.Warn(w)
	}
	return e.swap(p)
}

// reloadScripts gives every collector whose script changed the new version, script by script: one
// that is wrong holds back only the collectors that use it.
func (e *Engine) reloadScripts(sources *Sources, err error) {
	if err != nil {
		e.outcome("script", e.config.ScriptsDir, "", err)
		return
	}
	if e.reloads.failing("script", e.config.ScriptsDir) {
		e.outcome("script", e.config.ScriptsDir, "", nil)
	}
	users := map[string][]*collector{}
	for _, c := range e.collectors {
		users[c.config.Script] = append(users[c.config.Script], c)
	}
	for _, name := range sortedKeys(users) {
		e.reloadScript(sources, name, users[name])
	}
	e.mu.Lock()
	e.sources = sources
	e.mu.Unlock()
}

func (e *Engine) reloadScript(sources *Sources, name string, users []*collector) {
	scripts := make([]*Script, len(users))
	changed := false
	for i, c := range users {
		script, err := e.library(e.config).Load(sources, name, &Load{Settings: c.config.Settings.Fresh(), Env: e.env, Collector: c.key, Place: c.config.Place})
		if err != nil {
			e.outcome("script", name, "", err)
			return
		}
		scripts[i] = script
		changed = changed || script.Version != c.script.Load().Version
	}
	if changed {
		if err := e.testBeforeUse(e.config, sources, name); err != nil {
			e.outcome("script", name, "", err)
			return
		}
		for i, c := range users {
			c.use(scripts[i])
		}
	}
	if changed || e.reloads.failing("script", name) {
		e.outcome("script", name, scripts[0].Version, nil)
	}
}

// testBeforeUse runs the script's tests, if it has any. The built-in ones have passed before.
func (e *Engine) testBeforeUse(config *Config, sources *Sources, name string) error {
	test := testFile(name)
	if _, ok := sources.Text(test); !ok || sources.Builtin(test) {
		return nil
	}
	ctx := e.tasks.pulling
	if ctx == nil { // the engine does not run yet
		ctx = context.Background()
	}
	return e.library(config).Test(ctx, sources, test, config.Limits.WithDefaults()).Err()
}

func (e *Engine) reloadSink(name string) {
	d := e.deliveries[name]
	if d == nil {
		return // the configuration took it out
	}
	if r, ok := d.sink.(Reloader); ok {
		e.outcome("certificate", name, "", r.Reload())
	}
}
