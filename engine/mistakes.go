package engine

import (
	"context"
	"errors"
	"path"
	"path/filepath"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// A Mistake is one thing that is wrong when a script is loaded.
type Mistake struct {
	// Script is the file that was loaded.
	Script string
	// At are the calls in scripts that led to it, the outermost first; none for what only the configuration
	// has a place for.
	At []syntax.Position
	// Err says what is wrong.
	Err error
}

// Mistakes loads the script of every collector from sources, as Check does, and returns what is wrong one
// by one, each with the lines of scripts that it comes of. It ends early when ctx does.
func Mistakes(ctx context.Context, config *Config, o Options, sources *Sources) []Mistake {
	o = o.withDefaults()
	env := o.env(config)
	for _, s := range config.Secrets {
		env.Redactor.Add(s)
	}
	l := (&Engine{options: o}).library(config)
	var found []Mistake
	for _, cc := range config.Collectors {
		if ctx.Err() != nil {
			break
		}
		_, more := l.load(sources, cc.Script, &Load{Ctx: ctx, Settings: cc.Settings.Fresh(), Env: env, Collector: cc.Key(), Place: cc.Place})
		found = append(found, more...)
	}
	return found
}

// TestMistakes runs the top level of a file of tests and, if it has settings and script is true, loads the
// script that it tests with them. It returns what is wrong, and ends early when ctx does.
func (l *Library) TestMistakes(ctx context.Context, sources *Sources, file string, limits Limits, script bool) []Mistake {
	globals, err := l.testGlobals(ctx, sources, file, limits)
	if err != nil {
		return []Mistake{mistakeOf(file, err)}
	}
	if _, ok := globals["settings"].(*starlark.Dict); !ok || !script {
		return nil
	}
	t, err := l.newTest(ctx, nil, sources, file, globals, "load", limits)
	if err != nil {
		return []Mistake{mistakeOf(file, err)}
	}
	settings := NewSettings(t.settings)
	settings.file, settings.open = file+": settings", sources.file
	_, found := l.load(sources, t.script, &Load{Ctx: ctx, Settings: settings, Env: t.env, Collector: t.key})
	return found
}

func mistakeOf(script string, err error) Mistake {
	m := Mistake{Script: script, Err: err}
	if e, ok := errors.AsType[*ScriptError](err); ok {
		m.At = e.At
	}
	return m
}

// ReadWith takes a snapshot in which files of the folder have other texts than on disk, or are there though
// the disk has none; texts are by their names in the library.
func (l *Library) ReadWith(texts map[string][]byte) (*Sources, error) {
	s, err := l.Read()
	if err != nil {
		return nil, err
	}
	for name, text := range texts {
		if name = path.Clean(name); isScriptFile(name) && len(text) <= MaxScriptFile {
			s.files[name] = source{text: text, display: l.Dir + string(filepath.Separator) + name}
		}
	}
	s.seal()
	return s, nil
}
