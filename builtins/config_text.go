package builtins

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.starlark.net/starlark"

	"starling/engine"
)

// textRule is what a text, or each text of a list, must keep.
type textRule struct {
	min, max int // characters, or items of a list; max 0 is no bound
	pattern  *regexp.Regexp
	choices  []string
}

func configString(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var s setting
	var rule textRule
	var pattern string
	var choices *starlark.List
	err := s.unpack(thread, b, args, kwargs, "min_length?", &rule.min, "max_length?", &rule.max, "pattern?", &pattern, "choices?", &choices)
	if err != nil {
		return nil, err
	}
	if rule.choices, err = stringsOf("choices", choices); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	if pattern != "" {
		if rule.pattern, err = regexp.Compile(`\A(?:` + pattern + `)\z`); err != nil {
			return nil, fmt.Errorf("%s: pattern %q: %w", s.name, pattern, err)
		}
	}
	return s.take("string", func(v any) (starlark.Value, error) {
		text, err := textOf(v)
		if err != nil {
			return nil, err
		}
		if err := checkLength(utf8.RuneCountInString(text), rule.min, rule.max, "characters"); err != nil {
			return nil, err
		}
		if rule.pattern != nil && !rule.pattern.MatchString(text) {
			return nil, fmt.Errorf("got %q, want a text that matches %s", text, pattern)
		}
		return starlark.String(text), rule.checkChoice(text)
	})
}

func configSecret(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var s setting
	var rule textRule
	if err := s.unpack(thread, b, args, kwargs, "min_length?", &rule.min, "max_length?", &rule.max); err != nil {
		return nil, err
	}
	if s.def != nil && s.def != starlark.None {
		return nil, fmt.Errorf("%s: a secret in a script is no secret: leave default out, or make it None", s.name)
	}
	return s.take("secret", func(v any) (starlark.Value, error) {
		text, ok := v.(string)
		if !ok { // never the value: it is a secret, whatever its type
			return nil, fmt.Errorf("got %s, want a text: write it in quotes", kindOf(v))
		}
		if text == "" {
			return nil, errors.New("is empty")
		}
		if err := checkLength(utf8.RuneCountInString(text), rule.min, rule.max, "characters"); err != nil {
			return nil, err
		}
		s.load.Env.Redactor.Add(text)
		return engine.NewSecret(text), nil
	})
}

func configList(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var s setting
	var rule textRule
	var choices *starlark.List
	err := s.unpack(thread, b, args, kwargs, "min_length?", &rule.min, "max_length?", &rule.max, "choices?", &choices)
	if err != nil {
		return nil, err
	}
	if rule.choices, err = stringsOf("choices", choices); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	return s.take("list", func(v any) (starlark.Value, error) {
		items, ok := v.([]any)
		if !ok {
			return nil, fmt.Errorf("%s, want a list: write [%v]", got(v), v)
		}
		if err := checkLength(len(items), rule.min, rule.max, "items"); err != nil {
			return nil, err
		}
		list := make([]starlark.Value, len(items))
		for i, item := range items {
			text, err := textOf(item)
			if err == nil {
				err = rule.checkChoice(text)
			}
			if err != nil {
				return nil, fmt.Errorf("item %d: %w", i+1, err)
			}
			list[i] = starlark.String(text)
		}
		return starlark.NewList(list), nil
	})
}

func configDate(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var s setting
	if err := s.unpack(thread, b, args, kwargs); err != nil {
		return nil, err
	}
	return s.take("date", func(v any) (starlark.Value, error) {
		text, ok := v.(string)
		if _, err := time.Parse(time.DateOnly, text); err != nil || !ok {
			return nil, fmt.Errorf(`%s, want a date "YYYY-MM-DD"`, got(v))
		}
		return starlark.String(text), nil
	})
}

func configURL(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var s setting
	var path string
	if err := s.unpack(thread, b, args, kwargs, "path??", &path); err != nil {
		return nil, err
	}
	return s.take("url", func(v any) (starlark.Value, error) {
		text, err := textOf(v)
		if err != nil {
			return nil, err
		}
		u, err := baseURL(text)
		if err != nil {
			return nil, err
		}
		base := strings.TrimRight(u.String(), "/")
		if strings.Trim(u.Path, "/") == "" && path != "" {
			base += "/" + strings.Trim(path, "/")
		}
		return starlark.String(base), nil
	})
}

// baseURL reads the address of an API: https, or http to this machine, and nothing that a path could
// not be appended to. A host alone is https. Errors do not repeat a password in it.
func baseURL(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		// Not the error itself, which repeats the text.
		return nil, errors.New("not a URL: want one such as https://api.example.com/v1")
	}
	switch {
	case u.Host == "" || u.Hostname() == "":
		return nil, fmt.Errorf("got %q, want a URL with a host, such as https://api.example.com/v1", u.Redacted())
	case u.User != nil:
		return nil, errors.New("there is a user name in the URL: leave it out, credentials have settings of their own")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("there is a query or a fragment in the URL: leave out everything from ? or # on")
	case u.Scheme == "https", u.Scheme == "http" && engine.IsLocalHost(u.Hostname()):
		return u, nil
	}
	return nil, fmt.Errorf("got %q, want https: other schemes would send credentials readable (http is accepted for loopback addresses)", u.Redacted())
}

func textOf(v any) (string, error) {
	text, ok := v.(string)
	if !ok {
		switch v.(type) {
		case int64, float64, bool:
			return "", fmt.Errorf("%s, want a text: write it in quotes", got(v))
		}
		return "", fmt.Errorf("%s, want a text", got(v))
	}
	return text, nil
}

func (r textRule) checkChoice(text string) error {
	if len(r.choices) == 0 || slices.Contains(r.choices, text) {
		return nil
	}
	return fmt.Errorf("got %q, want one of %s", text, strings.Join(r.choices, ", "))
}

func checkLength(n, min, max int, unit string) error {
	if n >= min && (max == 0 || n <= max) {
		return nil
	}
	bound := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	return fmt.Errorf("got %d %s, %s", n, unit, wantRange(bound(min), bound(max), ""))
}

// stringsOf reads a list of strings that a script hands to a builtin.
func stringsOf(name string, list *starlark.List) ([]string, error) {
	if list == nil {
		return nil, nil
	}
	var texts []string
	for v := range list.Elements() {
		text, ok := starlark.AsString(v)
		if !ok {
			return nil, fmt.Errorf("%s: got %s, want strings", name, v.Type())
		}
		texts = append(texts, text)
	}
	return texts, nil
}
