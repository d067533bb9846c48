package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"

	"starling/builtins"
	"starling/cmd/internal/lsp"
	"starling/cmd/internal/source"
	"starling/engine"
	"starling/scripts"
)

// lspCheck returns the check of the language server: flag is the configuration that the command line names. Every check reads
// configuration and folder again, so that it is never of something that was.
func (p *program) lspCheck(flag string) lsp.Check {
	return func(ctx context.Context, config string, open map[string][]byte) (map[string][]lsp.Mistake, []string) {
		c := &openCheck{program: *p, ctx: ctx, open: open, found: map[string][]lsp.Mistake{}}
		for at, files := range c.places(cmp.Or(config, flag)) {
			c.checkPlace(at, files)
		}
		for _, found := range c.found {
			slices.SortFunc(found, func(a, b lsp.Mistake) int { return cmp.Or(a.Line-b.Line, cmp.Compare(a.Text, b.Text)) })
		}
		slices.Sort(c.remarks)
		return c.found, c.remarks
	}
}

// An openCheck is one check of the scripts that are open.
type openCheck struct {
	program // with the secrets of the configuration that is read last
	ctx     context.Context
	open    map[string][]byte // texts by file
	found   map[string][]lsp.Mistake
	remarks []string
}

// An openPlace is what open files have in common: a configuration, or else a folder of scripts.
type openPlace struct {
	config engine.ConfigFiles
	dir    string
}

// places sorts the open files by where they belong.
func (c *openCheck) places(config string) map[openPlace][]string {
	places := map[openPlace][]string{}
	for file, text := range c.open {
		var at openPlace
		switch above := c.configAbove(file); {
		case config != "":
			at.config = c.configFiles(config)
		case above != "":
			at.config.Config = above
		default:
			at.dir, _ = source.Root(file, text, scripts.FS())
		}
		places[at] = append(places[at], file)
	}
	return places
}

// maxAbove is how many folders above a script are looked into: lib is in scripts, and scripts beside the configuration.
const maxAbove = 4

// configAbove returns the configuration in the nearest folder above a file that has one where the other commands look for it, or else
// the one that they find from the working directory.
func (c *openCheck) configAbove(file string) string {
	name := cmp.Or(c.getenv("CONFIG_FILE"), "config.yaml")
	if filepath.IsAbs(name) {
		return name
	}
	dir := filepath.Dir(file)
	for range maxAbove {
		for _, config := range []string{filepath.Join(dir, "config", name), filepath.Join(dir, name)} {
			if exists(config) {
				return config
			}
		}
		dir = filepath.Dir(dir)
	}
	if config := c.configFile(""); exists(config) {
		return config
	}
	return ""
}

// checkPlace checks files that belong together: with the configuration, if it can be read and they are in its folder, or else only with
// the settings of their tests.
func (c *openCheck) checkPlace(at openPlace, files []string) {
	c.redactor = nil
	var config *engine.Config
	if at.dir == "" {
		var err error
		if config, err = at.config.Load(); err != nil {
			config = nil
			c.remark(at.config.Name()+" is wrong, so scripts are loaded with the settings of their tests only", err)
		}
	}
	with, without := map[string]string{}, map[string]map[string]string{} // by folder
	for _, file := range files {
		if config != nil {
			if name, ok := nameIn(config.ScriptsDir, file); ok {
				with[name] = file
				continue
			}
		}
		root, name := source.Root(file, c.open[file], scripts.FS())
		if without[root] == nil {
			without[root] = map[string]string{}
		}
		without[root][name] = file
	}
	if len(with) > 0 {
		c.load(config, config.ScriptsDir, with)
	}
	for root, names := range without {
		c.load(nil, root, names)
	}
}

// nameIn returns what a file is called in a folder, if it is in it. Both may be named by way of links.
func nameIn(dir, file string) (string, bool) {
	from, errFrom := filepath.EvalSymlinks(dir)
	to, errTo := filepath.EvalSymlinks(filepath.Dir(file))
	if dir == "" || errFrom != nil || errTo != nil {
		return "", false
	}
	rel, err := filepath.Rel(from, filepath.Join(to, filepath.Base(file)))
	return filepath.ToSlash(rel), err == nil && filepath.IsLocal(rel)
}

func (c *openCheck) remark(what string, err error) {
	c.remarks = append(c.remarks, what+":\n"+strings.Join(c.texts(err), "\n"))
}

// load loads the scripts of a folder with the open texts in place of its own, and notes what is wrong. names are the open files by what
// they are called there.
func (c *openCheck) load(config *engine.Config, dir string, names map[string]string) {
	texts, tests := map[string][]byte{}, map[string]bool{} // tests by the script, without its ending
	for name, file := range names {
		texts[name] = c.open[file]
		tests[strings.TrimSuffix(strings.TrimSuffix(name, ".star"), "_test")] = true
	}
	if config == nil && !c.tested(dir, names, tests) {
		return
	}
	l := &engine.Library{Builtin: scripts.FS(), Dir: dir, Predeclared: builtins.All()}
	sources, err := l.ReadWith(texts)
	if err != nil {
		c.remark("scripts are not loaded", err)
		return
	}
	limits, covered := engine.Limits{}.WithDefaults(), map[string]bool{}
	if config != nil {
		limits, c.redactor = config.Limits.WithDefaults(), &engine.Redactor{}
		for _, cc := range config.Collectors {
			covered[cc.Script] = true
		}
		c.note(engine.Mistakes(c.ctx, config, c.engineOptions(slog.New(slog.DiscardHandler)), sources), sources, names)
	}
	for script := range tests {
		test := script + "_test.star"
		if _, ok := sources.Text(test); ok && c.ctx.Err() == nil {
			c.note(l.TestMistakes(c.ctx, sources, test, limits, !covered[script+".star"]), sources, names)
		}
	}
}

// tested reports whether one of scripts has a file of tests, so that nobody reads a folder for nothing.
func (c *openCheck) tested(dir string, names map[string]string, scripts map[string]bool) bool {
	for script := range scripts {
		if names[script+"_test.star"] != "" || exists(filepath.Join(dir, script+"_test.star")) {
			return true
		}
	}
	return false
}

// note notes each mistake at the innermost line of every open file that it comes of, or else where the script that was loaded loads what
// it comes of. What does not compile is told without loading it.
func (c *openCheck) note(found []engine.Mistake, sources *engine.Sources, names map[string]string) {
	for _, m := range found {
		placed := false
		for name, file := range names {
			_, display := sources.Display(name)
			if line := lineIn(m.At, display); line > 0 {
				placed = true
				if !ofCompiling(m.Err) {
					c.add(file, line, m, display)
				}
			}
		}
		if file, ok := names[m.Script]; ok && !placed {
			_, display := sources.Display(m.Script)
			c.add(file, loadLine(c.open[file], m, sources), m, display)
		}
	}
}

// lineIn returns the innermost line of a file, 0 if there is none.
func lineIn(at []syntax.Position, display string) int {
	for _, pos := range slices.Backward(at) {
		if pos.Filename() == display {
			return int(pos.Line)
		}
	}
	return 0
}

func ofCompiling(err error) bool {
	_, names := errors.AsType[resolve.ErrorList](err)
	_, parse := errors.AsType[syntax.Error](err)
	return names || parse
}

// loadLine returns the line of the load statement that names the file of a mistake, or 1.
func loadLine(text []byte, m engine.Mistake, sources *engine.Sources) int {
	f, err := engine.ParseScript(m.Script, text)
	if err != nil || len(m.At) == 0 {
		return 1
	}
	for _, stmt := range f.Stmts {
		load, ok := stmt.(*syntax.LoadStmt)
		if !ok {
			continue
		}
		if _, display := sources.Display(path.Clean(load.ModuleName())); lineIn(m.At, display) > 0 {
			return int(load.Load.Line)
		}
	}
	return 1
}

// add notes a mistake at a line, once: several collectors may have it. Where it happened elsewhere, the text says so.
func (c *openCheck) add(file string, line int, m engine.Mistake, display string) {
	text := strings.Join(c.texts(m.Err), "\n")
	if e, ok := errors.AsType[*engine.ScriptError](m.Err); ok {
		text = c.shown(e.Msg)
		if last := m.At; len(last) > 0 && last[len(last)-1].Filename() != display {
			text += " (" + last[len(last)-1].String() + ")"
		}
	}
	if found := (lsp.Mistake{Line: line, Text: text}); text != "" && !slices.Contains(c.found[file], found) {
		c.found[file] = append(c.found[file], found)
	}
}
