package builtins

import (
	"fmt"
	"regexp"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"starling/engine"
)

// newRe makes the module re: regular expressions in the syntax of RE2
// (https://github.com/google/re2/wiki/Syntax), which match in time that grows with the text only.
//
//	re.compile(pattern)                 a pattern with the methods below; do it at the top level
//	re.escape(text)                     a pattern that matches text itself
//
//	p.match(text)                       whether text begins with a match
//	p.search(text)                      whether there is a match anywhere
//	p.find(text)                        the first match, or None
//	p.find_all(text)                    all matches that do not overlap
//	p.groups(text)                      the groups of the first match, as a tuple, or None
//	p.named(text)                       its named groups, as a dict, or None
//	p.replace(text, replacement)        every match replaced; $1 and ${name} stand for groups, $$ for $
//	p.split(text)                       the parts between the matches
//
// Each method is also a function of the module that takes the pattern first and compiles it every time.
func newRe() *starlarkstruct.Module {
	members := map[string]builtinFunc{"compile": reCompile, "escape": reEscape}
	for _, name := range reMethodNames() {
		members[name] = func(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			if len(args) == 0 {
				return nil, fmt.Errorf("%s: missing the pattern, which comes first", b.Name())
			}
			p, err := patternArg(args[0])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", b.Name(), err)
			}
			return reMethod(name)(thread, b.BindReceiver(p), args[1:], kwargs)
		}
	}
	return module("re", members)
}

// A Pattern is a compiled regular expression in a script.
type Pattern struct{ re *regexp.Regexp }

var _ starlark.HasAttrs = (*Pattern)(nil)

func (p *Pattern) String() string        { return fmt.Sprintf("re.compile(%q)", p.re) }
func (p *Pattern) Type() string          { return "re.pattern" }
func (p *Pattern) Freeze()               {}
func (p *Pattern) Truth() starlark.Bool  { return true }
func (p *Pattern) Hash() (uint32, error) { return starlark.String(p.re.String()).Hash() }

func reMethodNames() []string {
	return []string{"find", "find_all", "groups", "match", "named", "replace", "search", "split"}
}

// AttrNames lists the methods.
func (p *Pattern) AttrNames() []string { return reMethodNames() }

// Attr gives the methods.
func (p *Pattern) Attr(name string) (starlark.Value, error) {
	if m := reMethod(name); m != nil {
		return starlark.NewBuiltin("re."+name, m).BindReceiver(p), nil
	}
	return nil, nil
}

func reMethod(name string) builtinFunc {
	switch name {
	case "match":
		return onText(reMatch)
	case "search":
		return onText(reSearch)
	case "find":
		return onText(reFind)
	case "find_all":
		return onText(reFindAll)
	case "groups":
		return onText(reGroups)
	case "named":
		return onText(reNamed)
	case "split":
		return onText(reSplit)
	case "replace":
		return reReplace
	}
	return nil
}

func reCompile(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var pattern starlark.Value
	if err := unpack(b, args, kwargs, 1, "pattern", &pattern); err != nil {
		return nil, err
	}
	p, err := patternArg(pattern)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return p, nil
}

func reEscape(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text string
	if err := unpack(b, args, kwargs, 1, "text", &text); err != nil {
		return nil, err
	}
	return starlark.String(regexp.QuoteMeta(text)), nil
}

// maxPattern is the longest pattern, in bytes. What repetitions may add to it, regexp bounds itself.
const maxPattern = 4 << 10

func patternArg(v starlark.Value) (*Pattern, error) {
	if p, ok := v.(*Pattern); ok {
		return p, nil
	}
	text, ok := starlark.AsString(v)
	if !ok {
		return nil, fmt.Errorf("got %s, want a pattern: a string or a value of re.compile", v.Type())
	}
	if len(text) > maxPattern {
		return nil, fmt.Errorf("the pattern has %d bytes, the limit is %d", len(text), maxPattern)
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	return &Pattern{re}, nil
}

// onText makes a method of what works on one text.
func onText(f func(re *regexp.Regexp, text string) starlark.Value) builtinFunc {
	return func(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var text string
		if err := unpack(b, args, kwargs, 1, "text", &text); err != nil {
			return nil, err
		}
		if _, err := textLimit(thread, text); err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name(), err)
		}
		return f(b.Receiver().(*Pattern).re, text), nil
	}
}

// textLimit returns how long a text may be, and an error if this one is longer: as long as an event,
// because regexp takes a hundred times as long for a byte as the rest of the program does.
func textLimit(thread *starlark.Thread, text string) (int, error) {
	limits := engine.Limits{}.WithDefaults()
	if p, err := engine.PullOf(thread); err == nil {
		limits = p.Env().Limits
	}
	if max := limits.EventBytes; len(text) > max {
		return max, fmt.Errorf("the text has %d bytes, the limit is %d: cut it, or raise starling.limits.event_bytes", len(text), max)
	}
	return limits.EventBytes, nil
}

func reMatch(re *regexp.Regexp, text string) starlark.Value {
	at := re.FindStringIndex(text) // the leftmost match, so one at the beginning if there is any
	return starlark.Bool(at != nil && at[0] == 0)
}

func reSearch(re *regexp.Regexp, text string) starlark.Value {
	return starlark.Bool(re.MatchString(text))
}

func reFind(re *regexp.Regexp, text string) starlark.Value {
	return part(text, re.FindStringIndex(text), 0)
}

// part returns group i of a match as Starlark gives it, None for a group that took no part.
func part(text string, at []int, i int) starlark.Value {
	if at == nil || at[2*i] < 0 {
		return starlark.None
	}
	return starlark.String(text[at[2*i]:at[2*i+1]])
}

func reFindAll(re *regexp.Regexp, text string) starlark.Value {
	return texts(re.FindAllString(text, -1))
}
func reSplit(re *regexp.Regexp, text string) starlark.Value { return texts(re.Split(text, -1)) }

func texts(parts []string) starlark.Value {
	values := make([]starlark.Value, len(parts))
	for i, p := range parts {
		values[i] = starlark.String(p)
	}
	return starlark.NewList(values)
}

func reGroups(re *regexp.Regexp, text string) starlark.Value {
	at := re.FindStringSubmatchIndex(text)
	if at == nil {
		return starlark.None
	}
	groups := make(starlark.Tuple, re.NumSubexp())
	for i := range groups {
		groups[i] = part(text, at, i+1)
	}
	return groups
}

func reNamed(re *regexp.Regexp, text string) starlark.Value {
	at := re.FindStringSubmatchIndex(text)
	if at == nil {
		return starlark.None
	}
	groups := starlark.NewDict(re.NumSubexp())
	for i, name := range re.SubexpNames() {
		if name != "" {
			groups.SetKey(starlark.String(name), part(text, at, i)) // a new dict takes every string
		}
	}
	return groups
}

func reReplace(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text, replacement string
	if err := unpack(b, args, kwargs, 2, "text", &text, "replacement", &replacement); err != nil {
		return nil, err
	}
	limit, err := textLimit(thread, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	result, err := replaced(b.Receiver().(*Pattern).re, text, replacement, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return starlark.String(result), nil
}

// replaced is Regexp.ReplaceAllString for results that are not longer than limit.
func replaced(re *regexp.Regexp, text, replacement string, limit int) ([]byte, error) {
	var dst []byte
	done := 0
	for _, at := range re.FindAllStringSubmatchIndex(text, -1) {
		dst = append(dst, text[done:at[0]]...)
		dst = re.ExpandString(dst, replacement, text, at)
		done = at[1]
		if len(dst) > limit {
			return nil, fmt.Errorf("the result has more than %d bytes: raise starling.limits.event_bytes", limit)
		}
	}
	return append(dst, text[done:]...), nil
}
