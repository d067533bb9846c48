package builtins

import (
	"fmt"

	"go.starlark.net/starlark"
)

// recordMethods are those of a dict that a record has too, and without.
var recordMethods = map[string]builtinFunc{
	"get":     recordGet,
	"items":   recordItems,
	"keys":    recordKeys,
	"pop":     recordPop,
	"update":  recordUpdate,
	"values":  recordValues,
	"without": recordWithout,
}

func recordGet(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	var otherwise starlark.Value = starlark.None
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name, "default?", &otherwise); err != nil {
		return nil, err
	}
	if v := b.Receiver().(*Record).lookup(name); v != nil {
		return v, nil
	}
	return otherwise, nil
}

func recordItems(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	return recordParts(b, args, kwargs, func(item starlark.Tuple) starlark.Value { return item })
}

func recordKeys(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	return recordParts(b, args, kwargs, func(item starlark.Tuple) starlark.Value { return item[0] })
}

func recordValues(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	return recordParts(b, args, kwargs, func(item starlark.Tuple) starlark.Value { return item[1] })
}

func recordParts(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple, part func(starlark.Tuple) starlark.Value) (starlark.Value, error) {
	if err := starlark.UnpackArgs(b.Name(), args, kwargs); err != nil {
		return nil, err
	}
	items := b.Receiver().(*Record).Items()
	parts := make([]starlark.Value, len(items))
	for i, item := range items {
		parts[i] = part(item)
	}
	return starlark.NewList(parts), nil
}

func recordPop(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	var otherwise starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name, "default?", &otherwise); err != nil {
		return nil, err
	}
	v, err := b.Receiver().(*Record).remove(name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("pop: %w", err)
	case v != nil:
		return v, nil
	case otherwise != nil:
		return otherwise, nil
	default:
		return nil, fmt.Errorf("pop: the record has no field %q", name)
	}
}

func recordUpdate(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var other starlark.IterableMapping
	if err := starlark.UnpackPositionalArgs(b.Name(), args, nil, 0, &other); err != nil {
		return nil, err
	}
	r := b.Receiver().(*Record)
	if other != nil {
		for _, item := range other.Items() {
			if err := r.SetKey(item[0], item[1]); err != nil {
				return nil, fmt.Errorf("update: %w", err)
			}
		}
	}
	for _, pair := range kwargs {
		if err := r.SetKey(pair[0], pair[1]); err != nil {
			return nil, fmt.Errorf("update: %w", err)
		}
	}
	return starlark.None, nil
}

func recordWithout(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(kwargs) > 0 {
		return nil, fmt.Errorf("without: takes names of fields, not keywords")
	}
	names := make([]string, len(args))
	for i, arg := range args {
		name, ok := starlark.AsString(arg)
		if !ok {
			return nil, fmt.Errorf("without: a field name is a string, got %s", arg.Type())
		}
		names[i] = name
	}
	return b.Receiver().(*Record).without(names), nil
}
