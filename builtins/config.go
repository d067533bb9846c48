package builtins

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"starling/engine"
)

// newConfig makes the module config, through which a script declares what the operator can set. It
// works at a script's top level only, so that a wrong setting is found before the first pull.
//
//	config.string(name, *, default, min_length, max_length, pattern, choices, doc, aliases, errors)
//	config.secret(name, *, default, min_length, max_length, doc, aliases, errors)
//	config.int(name, *, default, min, max, doc, aliases, errors)
//	config.float(name, *, default, min, max, doc, aliases, errors)
//	config.bool(name, *, default, doc, aliases, errors)
//	config.seconds(name, *, default, min, max, doc, aliases, errors)
//	config.url(name, *, default, path, doc, aliases, errors)
//	config.list(name, *, default, min_length, max_length, choices, doc, aliases, errors)
//	config.date(name, *, default, doc, aliases, errors)
//	config.file(name, *, default, doc, aliases, errors)
//	config.refuse(name, reason, error)
//
// Without a default the operator must set it; default = None makes it optional and gives None. A
// default must keep the rules that the operator's value must keep. aliases are other names under
// which the operator may set it, one at a time. A key that is present but empty counts as not set.
//
// secret gives a value that never shows itself and that only builtins which need one accept. seconds
// takes a number of seconds or a text such as "5m" and gives a duration. url wants https, except for
// loopback addresses; a bare host gets https:// in front, a URL without a path gets path at its end,
// and a slash at the end is dropped. list is a list of texts. date is a text YYYY-MM-DD.
//
// file is the name of a file that exists, below certs or beside it, and gives a value that only builtins
// which read one accept.
//
// refuse is for what one setting alone cannot tell, such as two that exclude each other: the load goes
// on, and then fails with the place of the setting and the reason.
func newConfig() *starlarkstruct.Module {
	return module("config", map[string]builtinFunc{
		"string":  configString,
		"secret":  configSecret,
		"int":     configInt,
		"float":   configFloat,
		"bool":    configBool,
		"seconds": configSeconds,
		"url":     configURL,
		"list":    configList,
		"date":    configDate,
		"file":    configFile,
		"refuse":  configRefuse,
	})
}

// A setting is one call of config.*: what the script declares, and what the operator set.
type setting struct {
	thread  *starlark.Thread
	load    *engine.Load
	name    string
	doc     string
	def     starlark.Value // nil without a default
	aliases *starlark.List
	errors  errorIDs
}

// unpack reads the arguments of a config function: those common to all, and pairs like those of
// starlark.UnpackArgs.
func (s *setting) unpack(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple, pairs ...any) error {
	var ids *starlark.Dict
	pairs = append([]any{"name", &s.name, "default?", &s.def, "doc?", &s.doc, "aliases?", &s.aliases, "errors?", &ids}, pairs...)
	err := unpack(b, args, kwargs, 1, pairs...)
	if err != nil {
		return err
	}
	if s.errors, err = errorIDsOf(ids, isMissing, isWrongType, isWrong); err != nil {
		return fmt.Errorf("%s: %w", b.Name(), err)
	}
	if s.name == "" {
		return fmt.Errorf("%s: the name is empty", b.Name())
	}
	load, err := engine.LoadOf(thread)
	if err != nil {
		return fmt.Errorf("%s: %w", b.Name(), err)
	}
	s.thread, s.load = thread, load
	return nil
}

// A checker turns a value of the configuration file, or a default, into what the script gets. Its
// error says what it got and what it wants.
type checker func(v any) (starlark.Value, error)

// take declares the setting and returns its checked value. What the operator got wrong is noted, and the
// script goes on with something of the right type, so that all of it is found at once; the load fails.
func (s *setting) take(kind string, check checker) (starlark.Value, error) {
	v, err := s.value(kind, check)
	if e, ok := errors.AsType[*engine.Error](err); ok {
		s.load.Problem(s.thread, e)
		return standIn(kind), nil
	}
	return v, err
}

func standIn(kind string) starlark.Value {
	switch kind {
	case "int":
		return starlark.MakeInt(1)
	case "float":
		return starlark.Float(1)
	case "bool":
		return starlark.False
	case "secret":
		return engine.NewSecret("stand-in")
	case "url":
		return starlark.String("https://localhost")
	case "list":
		return starlark.NewList(nil)
	case "seconds":
		return Duration(time.Second)
	case "date":
		return starlark.String("2000-01-01")
	case "file":
		return starlark.None
	}
	return starlark.String("stand-in")
}

func (s *setting) value(kind string, check checker) (starlark.Value, error) {
	s.declare(kind)
	set, found, err := s.lookup()
	if err != nil {
		return nil, err
	}
	def, err := s.checkedDefault(check)
	if err != nil {
		return nil, err
	}
	if !found && def == nil {
		return nil, s.missing(set, kind)
	}
	if !found {
		return def, nil
	}
	v, err := check(set.Go())
	if err != nil {
		return nil, &engine.Error{Code: engine.CodeConfig, Err: set.Errorf("%s", s.errors.about(s.name, mistake(kind, set.Go()), err.Error()))}
	}
	return v, nil
}

// mistake says what kind of mistake a value is, of which it is known that it is one.
func mistake(kind string, v any) string {
	is := kindOf(v)
	switch kind {
	case "int", "float", "seconds":
		if is == "a number" {
			return isWrong
		}
	case "string", "secret", "url", "date":
		if is == "a text" && v != "" {
			return isWrong
		}
	}
	return isWrongType
}

// declare notes the setting for the documentation, once: a file loaded by two others runs once, but
// two files may read the same setting.
func (s *setting) declare(kind string) {
	d := engine.Declaration{Name: s.name, Type: kind, Doc: s.doc}
	if s.def != nil {
		d.Default = engine.Show(s.def)
	}
	for _, known := range s.load.Declared {
		if known == d {
			return
		}
	}
	s.load.Declared = append(s.load.Declared, d)
}

// lookup returns what the operator set, under the name or an alias of it.
func (s *setting) lookup() (value engine.Value, found bool, err error) {
	aliases, err := stringsOf("aliases", s.aliases)
	if err != nil {
		return value, false, fmt.Errorf("%s: %w", s.name, err)
	}
	value, found = s.load.Settings.Lookup(s.name)
	as := s.name
	for _, name := range aliases {
		v, ok := s.load.Settings.Lookup(name)
		switch {
		case ok && found:
			return v, false, &engine.Error{Code: engine.CodeConfig, Err: v.Errorf("%s is set as well and means the same: keep one of them", as)}
		case ok:
			value, found, as = v, true, name
		}
	}
	return value, found, nil
}

// checkedDefault returns the default as the script gets it, nil if there is none.
func (s *setting) checkedDefault(check checker) (starlark.Value, error) {
	if s.def == nil || s.def == starlark.None {
		return s.def, nil
	}
	plain, err := plainValue(s.def)
	if err == nil {
		var v starlark.Value
		if v, err = check(plain); err == nil {
			return v, nil
		}
	}
	return nil, fmt.Errorf("%s: default: %w", s.name, err)
}

// missing is the error about a setting that the operator must set; absent knows the place for it.
func (s *setting) missing(absent engine.Value, kind string) error {
	text := "is missing"
	if s.doc != "" {
		text += ": " + s.doc
	}
	if s.errors.words[isMissing] != nil {
		text = s.errors.about(s.name, isMissing, s.doc)
	}
	return &engine.Error{Code: engine.CodeConfig, Err: absent.Errorf("%s", text),
		Hint: fmt.Sprintf("set %s, a %s, in the service, the input or its credentials", s.name, kind)}
}

func configFile(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var s setting
	if err := s.unpack(thread, b, args, kwargs); err != nil {
		return nil, err
	}
	if s.def != nil && s.def != starlark.None {
		return nil, fmt.Errorf("%s: a file is the operator's: leave default out, or make it None", s.name)
	}
	return s.take("file", func(v any) (starlark.Value, error) {
		name, ok := v.(string)
		if !ok || strings.ContainsAny(name, "\n\x00") { // not the value: it can be the content of a secret file
			return nil, errors.New("want the name of a file, not its content")
		}
		return s.load.Settings.File(name)
	})
}

func configRefuse(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name, reason, id string
	if err := unpack(b, args, kwargs, 2, "name", &name, "reason", &reason, "error?", &id); err != nil {
		return nil, err
	}
	if id != "" {
		known, err := engine.FindErrorID(id)
		if err != nil {
			return nil, fmt.Errorf("%s: error: %w", b.Name(), err)
		}
		reason = known.About(name).Reason(reason)
	}
	load, err := engine.LoadOf(thread)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	set, _ := load.Settings.Lookup(name)
	load.Problem(thread, set.Errorf("%s", load.Env.Redactor.Redact(reason)))
	return starlark.None, nil
}

// plainValue turns a default into what the configuration file would give; durations stay as they are.
func plainValue(v starlark.Value) (any, error) {
	switch v := v.(type) {
	case starlark.String:
		return string(v), nil
	case starlark.Bool:
		return bool(v), nil
	case starlark.Float:
		return float64(v), nil
	case starlark.Int:
		if i, ok := v.Int64(); ok {
			return i, nil
		}
	case Duration:
		return v, nil
	case starlark.Sequence:
		list := []any{}
		for item := range starlark.Elements(v) {
			plain, err := plainValue(item)
			if err != nil {
				return nil, err
			}
			list = append(list, plain)
		}
		return list, nil
	}
	return nil, fmt.Errorf("got %s, which cannot be in a configuration file", v.Type())
}

// got describes a value of the configuration file for a person.
func got(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("got %q", v)
	case bool, int64, float64, Duration:
		return fmt.Sprintf("got %v", v)
	}
	return "got " + kindOf(v)
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case string:
		return "a text"
	case bool:
		return "true or false"
	case int64, float64:
		return "a number"
	case []any:
		return "a list"
	case map[string]any:
		return "a mapping"
	}
	return fmt.Sprintf("%T", v)
}

// wantRange describes a range for a person; an end that none says is left out.
func wantRange(min, max, unit string) string {
	unit = strings.TrimRight(" "+unit, " ")
	switch {
	case min != "" && max != "":
		return "want " + min + " to " + max + unit
	case min != "":
		return "want at least " + min + unit
	}
	return "want at most " + max + unit
}
