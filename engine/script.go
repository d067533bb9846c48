package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// loadTimeout bounds the wall time of a script's top level.
const loadTimeout = 10 * time.Second

// A Script is a script initialised for one collector: frozen, safe to run at any time, never changed.
type Script struct {
	// Name is the file, such as "office365_exchange_message_service.star".
	Name string
	// Version is a short hash of the script and everything it loads.
	Version string
	// Doc is the script's docstring.
	Doc string
	// Declared are the settings that it reads.
	Declared []Declaration

	pull     *starlark.Function
	globals  starlark.StringDict
	sources  *Sources
	settings *Settings
	files    []string  // what it has read, besides the sources
	ends     time.Time // when the first of these expires; zero if none does
}

// A Declaration is a setting that a script reads, for documentation.
type Declaration struct{ Name, Type, Default, Doc string }

// dialect is Starlark without what would let a script run without end, or hide what it does.
var dialect = &syntax.FileOptions{Set: true}

// Dialect returns the options of all scripts, for tools that read them without running them.
func Dialect() *syntax.FileOptions { return dialect }

// Load makes a script from a snapshot: it compiles it and all that it loads and runs the top levels,
// which read the collector's settings. Any mistake, a setting that no script declares included, is an
// error with its place; nothing is half made.
func (l *Library) Load(sources *Sources, name string, load *Load) (*Script, error) {
	s, found := l.load(sources, name, load)
	if len(found) == 1 {
		return nil, found[0].Err
	}
	return s, joinMistakes(found)
}

func (l *Library) load(sources *Sources, name string, load *Load) (*Script, []Mistake) {
	ld := &loader{library: l, sources: sources, load: load, modules: map[string]*module{}}
	file, err := sources.resolve(name)
	if err != nil {
		hint := "put the file into the scripts folder, or name another one with script: in the service"
		if near := Nearest(name, sources.Scripts()); near != "" {
			hint = fmt.Sprintf("did you mean %q? Else %s", strings.TrimSuffix(near, ".star"), hint)
		}
		return nil, []Mistake{{Script: name, Err: &Error{Code: CodeConfig, Op: load.Place,
			Err: fmt.Errorf("no script %s, neither in the scripts folder nor built in", name), Hint: hint}}}
	}
	m := ld.module(file)
	if load.problems != nil {
		var found []Mistake
		// What else went wrong may come of these. A key that nothing declares is often the cause.
		if m.err == nil {
			if err := load.Settings.Unknown(); err != nil {
				found = append(found, Mistake{Err: err})
			}
		}
		found = append(found, load.problems...)
		for i := range found {
			found[i].Script = file
		}
		return nil, found
	}
	if m.err != nil {
		return nil, []Mistake{mistakeOf(file, m.err)}
	}
	pull, ok := m.globals["pull"].(*starlark.Function)
	if !ok || pull.NumParams() != 0 {
		return nil, []Mistake{mistakeOf(file, newFileError(sources.files[file].display, errNoPull.Error(), errNoPull))}
	}
	if err := load.Settings.Unknown(); err != nil {
		return nil, []Mistake{{Script: file, Err: &Error{Code: CodeConfig, Err: err}}}
	}
	s := &Script{Name: name, Version: sources.version(ld.files), Doc: m.doc, Declared: load.Declared,
		pull: pull, globals: m.globals, sources: sources, settings: load.Settings, files: load.followed, ends: load.ends}
	return s, nil
}

// loader loads the modules of one script for one collector.
type loader struct {
	library *Library
	sources *Sources
	load    *Load
	modules map[string]*module // nil while a module is being loaded
	chain   []string
	files   []string
}

type module struct {
	globals starlark.StringDict
	doc     string
	err     error
}

// module returns a module, loading it if it is new. A failure is kept, so that everyone who loads the
// file gets it.
func (ld *loader) module(file string) *module {
	if m, ok := ld.modules[file]; ok {
		if m == nil {
			cycle := strings.Join(append(ld.chain, file), " -> ")
			return &module{err: fmt.Errorf("load cycle: %s", cycle)}
		}
		return m
	}
	ld.modules[file] = nil
	ld.chain = append(ld.chain, file)
	ld.files = append(ld.files, file)
	m := ld.exec(file)
	ld.chain = ld.chain[:len(ld.chain)-1]
	ld.modules[file] = m
	return m
}

func (ld *loader) exec(file string) *module {
	src := ld.sources.files[file]
	f, prog, err := ld.library.program(src)
	if err != nil {
		return &module{err: newScriptError(err, ld.sources.byDisplay)}
	}
	thread := ld.load.NewThread(file)
	thread.Print = func(t *starlark.Thread, msg string) { printed(t, ld.load.Env, msg) }
	thread.Load = func(_ *starlark.Thread, name string) (starlark.StringDict, error) {
		file, err := ld.sources.resolve(name)
		if err != nil {
			return nil, err
		}
		m := ld.module(file)
		return m.globals, m.err
	}
	ctx := ld.load.Ctx
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeoutCause(ctx, loadTimeout,
		fmt.Errorf("the top level ran longer than %v: move work into pull()", loadTimeout))
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	globals, err := watched(ctx, end, ld.load.Env, thread, ld.load.Env.Limits.LoadSteps, func() (starlark.StringDict, error) {
		return prog.Init(thread, ld.library.names())
	})
	if err == nil {
		err = checkFreeze(globals, src.display)
	}
	if err != nil {
		// An error inside a loaded file is told there; the load statement above it says nothing new.
		if inner, ok := errors.AsType[*ScriptError](err); ok {
			return &module{err: inner}
		}
		return &module{err: newScriptError(err, ld.sources.byDisplay)}
	}
	globals.Freeze()
	return &module{globals: globals, doc: docstring(f)}
}

func docstring(f *syntax.File) string {
	if len(f.Stmts) == 0 {
		return ""
	}
	if e, ok := f.Stmts[0].(*syntax.ExprStmt); ok {
		if lit, ok := e.X.(*syntax.Literal); ok && lit.Token == syntax.STRING {
			return strings.TrimSpace(lit.Value.(string))
		}
	}
	return ""
}

// guard runs f on thread within its limits. A panic of the interpreter or of a builtin becomes an
// error: a script must not be able to take the process down.
func guard[T any](ctx context.Context, thread *starlark.Thread, steps uint64, f func() (T, error)) (result T, err error) {
	thread.SetMaxExecutionSteps(thread.ExecutionSteps() + steps)
	cancel := func() { thread.Cancel(context.Cause(ctx).Error()) }
	if ctx.Err() != nil { // AfterFunc would cancel too, but in a goroutine of its own, after the script if the machine is busy
		cancel()
	}
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic in the interpreter: %v", r)
		}
	}()
	result, err = f()
	return result, iteratorError(thread, err)
}

func printed(thread *starlark.Thread, env *Env, msg string) {
	log := env.Logger
	if p, err := PullOf(thread); err == nil {
		if !p.AllowLog() {
			return
		}
		log = p.log
	} else if l, err := LoadOf(thread); err == nil && !l.AllowLog() {
		return
	}
	log.Info(cut(env.Redactor.Redact(msg), maxMessage), "at", thread.CallFrame(1).Pos.String())
}

// Run executes the script's pull function in p and commits what is left. The error is nil also when
// the pull handed over to another version at a commit; handover says so.
func (s *Script) Run(p *Pull) (handover bool, err error) {
	ctx := p.ctx
	handover, err = s.call(p)
	p.beside.Wait() // after a panic something may still end
	p.ctx = ctx     // that of the call has ended, however the call did
	for _, f := range p.ends {
		f(err)
	}
	return handover, err
}

func (s *Script) call(p *Pull) (handover bool, err error) {
	thread := p.NewThread(s.Name)
	thread.Print = func(t *starlark.Thread, msg string) { printed(t, p.env, msg) }
	if p.lane != nil {
		p.lane.halt = thread.Cancel
	}
	ctx, end := context.WithCancelCause(p.ctx)
	defer end(nil)
	p.ctx = ctx
	_, err = watched(ctx, end, p.env, thread, p.env.Limits.Steps, func() (starlark.Value, error) {
		return starlark.Call(thread, s.pull, nil, nil)
	})
	p.Stats.Steps = thread.ExecutionSteps()
	switch {
	case errors.Is(err, errHandover):
		return true, nil
	case err != nil && p.ctx.Err() != nil && errors.Is(context.Cause(p.ctx), errStopping):
		return false, &Error{Code: CodeCanceled, Err: errStopping}
	case err != nil:
		return false, newScriptError(err, s.sources.byDisplay)
	}
	if err = p.commit(); err != nil && errors.Is(context.Cause(p.ctx), errStopping) {
		return false, &Error{Code: CodeCanceled, Err: errStopping}
	}
	return false, err
}

// errStopping is the cause of the contexts of pulls that the engine ends.
var errStopping = errors.New("the engine stops")
