package engine

import (
	"context"
	"maps"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// A Session evaluates what a person types, one statement after the other, with what a script of the
// configuration has: its settings, limits, network rules and quotas. A statement that names config, oauth
// or http.client runs as the top level of a script does, any other as in a pull, so that none both gets an
// answer and chooses by it which host to ask. Nothing is delivered, and what is committed is forgotten at
// the session's end.
type Session struct {
	env     *Env
	load    *Load
	pull    *Pull
	loading *starlark.Thread
	pulling *starlark.Thread
	globals starlark.StringDict
	text    []byte // what was typed last, for errors
}

// OpenSession makes a session. With a service it begins with all that the service's script has made at its
// top level, and with its state; with "" with the builtins alone.
func OpenSession(ctx context.Context, config *Config, service string, o Options) (*Session, error) {
	e, env, sources, err := prepare(config, o)
	if err != nil {
		return nil, err
	}
	library := e.library(config)
	s := &Session{env: env, globals: maps.Clone(library.names())}
	s.load = &Load{Settings: NewSettings(nil), Env: env, Collector: "session"}
	if service != "" {
		if err := s.loadService(config, service, library, sources); err != nil {
			return nil, err
		}
	}
	if env.Store, err = onceStore(config, s.load.Collector, Once{Fresh: service == ""}, env.Limits.OutboxBytes); err != nil {
		return nil, err
	}
	s.pull = NewPull(ctx, env, s.load.Collector)
	s.loading, s.pulling = s.load.NewThread("session"), s.pull.NewThread("session")
	ld := &loader{library: library, sources: sources, load: s.load, modules: map[string]*module{}}
	for _, thread := range []*starlark.Thread{s.loading, s.pulling} {
		thread.Print = func(t *starlark.Thread, msg string) { printed(t, env, msg) }
		thread.Load = func(_ *starlark.Thread, name string) (starlark.StringDict, error) {
			file, err := sources.resolve(name)
			if err != nil {
				return nil, err
			}
			m := ld.module(file)
			return m.globals, m.err
		}
	}
	return s, nil
}

func (s *Session) loadService(config *Config, service string, library *Library, sources *Sources) error {
	cc, err := findService(config, service)
	if err != nil {
		return err
	}
	script, err := library.Load(sources, cc.Script, &Load{Settings: cc.Settings.Fresh(), Env: s.env, Collector: cc.Key(), Place: cc.Place})
	if err != nil {
		return err
	}
	s.load = &Load{Settings: cc.Settings.Fresh(), Env: s.env, Collector: cc.Key(), Place: cc.Place}
	maps.Copy(s.globals, script.globals)
	return nil
}

// Set gives a name a value, such as a builtin of the interpreter itself.
func (s *Session) Set(name string, v starlark.Value) { s.globals[name] = v }

// Names returns all names that there are, and what they hold.
func (s *Session) Names() starlark.StringDict { return s.globals }

// Parse reads one statement, line by line.
func (s *Session) Parse(line func() ([]byte, error)) (*syntax.File, error) {
	s.text = nil
	options := *dialect
	options.LoadBindsGlobally, options.GlobalReassign = true, true
	f, err := options.ParseCompoundStmt("input", func() ([]byte, error) {
		text, err := line()
		s.text = append(s.text, text...)
		return text, err
	})
	if err == nil {
		err = rewriteFile(f, nil)
	}
	return f, s.described(err)
}

// Run runs a statement, for as long as a pull may take and ctx lasts. Of an expression it returns the value as a
// text, "" for None.
func (s *Session) Run(ctx context.Context, f *syntax.File) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.env.Limits.PullTimeout)
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	s.pull.ctx = ctx
	thread := s.pulling
	if declares(f) {
		thread = s.loading
	}
	thread.Uncancel()
	text, err := watched(ctx, end, s.env, thread, s.env.Limits.Steps, func() (string, error) { return s.run(thread, f) })
	if err == nil {
		err = s.load.Problems()
	}
	s.load.problems = nil
	return text, s.described(err)
}

// declares reports whether a statement belongs to the top level of a script.
func declares(f *syntax.File) bool {
	found := false
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Ident:
			found = found || n.Name == "config" || n.Name == "oauth"
		case *syntax.DotExpr:
			module, ok := n.X.(*syntax.Ident)
			found = found || ok && module.Name == "http" && n.Name.Name == "client"
		case *syntax.LoadStmt:
			found = true
		}
		return !found
	})
	return found
}

func (s *Session) run(thread *starlark.Thread, f *syntax.File) (string, error) {
	e := soleExpr(f)
	if e == nil {
		return "", starlark.ExecREPLChunk(f, thread, s.globals)
	}
	v, err := starlark.EvalExprOptions(f.Options, thread, e, s.globals)
	if err != nil || v == starlark.None {
		return "", err
	}
	s.globals["_"] = v
	shown, err := starlark.Call(thread, s.repr(), starlark.Tuple{v}, nil)
	if err != nil {
		return "", err
	}
	return cut(s.env.Redactor.Redact(string(shown.(starlark.String))), maxMessage), nil
}

// repr is the one that scripts have, with its bounds.
func (s *Session) repr() starlark.Value {
	if v, ok := boundedNames()["repr"]; ok {
		return v
	}
	return starlark.Universe["repr"]
}

func soleExpr(f *syntax.File) syntax.Expr {
	if len(f.Stmts) == 1 {
		if s, ok := f.Stmts[0].(*syntax.ExprStmt); ok {
			return s.X
		}
	}
	return nil
}

// described says what went wrong as for a script.
func (s *Session) described(err error) error {
	if err == nil {
		return nil
	}
	return newScriptError(err, func(file string) []byte {
		if file == "input" {
			return s.text
		}
		return nil
	})
}

// Stats counts what the session did so far.
func (s *Session) Stats() PullStats { return s.pull.Stats }

// Close ends what goes on beside, and forgets everything.
func (s *Session) Close() error {
	s.pull.beside.Wait()
	for _, f := range s.pull.ends {
		f(nil)
	}
	return s.env.Store.Close()
}
