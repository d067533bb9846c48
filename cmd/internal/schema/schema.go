// Package schema writes the JSON schema of the configuration file, for editors. It is made of the keys that
// the engine reads and of the settings that scripts declare. It takes whatever starling check takes; what no
// schema can tell, such as whether a file is there, it leaves to check.
package schema

import (
	"maps"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strings"

	"starling/cmd/internal/docs"
)

// An Object is a part of a schema.
type Object = map[string]any

// placeholder is how a text holds ${NAME}, which may become any value.
const placeholder = `\$\{`

// Configuration returns the schema. scripts are the settings of each script, by its name; outputs the keys of each type of outputs.
func Configuration(scripts map[string][]docs.Setting, outputs map[string][]string) Object {
	top := closed(Object{
		"globals":  globals(),
		"starling": starling(),
		"outputs":  Object{"type": "object", "minProperties": 1, "additionalProperties": output(outputs)},
		"inputs":   Object{"type": "object", "minProperties": 1, "additionalProperties": Object{"anyOf": []any{disabled(), input(scripts)}}},
	}, "globals", "outputs", "inputs")
	top["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	top["title"] = "Configuration of Starling"
	return top
}

func closed(properties Object, required ...string) Object {
	o := Object{"type": "object", "properties": properties, "additionalProperties": false}
	if required != nil {
		o["required"] = required
	}
	return o
}

// open is an object that takes other keys as well.
func open(properties Object, required ...string) Object {
	o := closed(properties, required...)
	delete(o, "additionalProperties")
	return o
}

// optional lets a section, or a value, be there and empty.
func optional(o Object) Object {
	return Object{"anyOf": []any{o, Object{"type": "null"}, Object{"type": "string", "pattern": placeholder}}}
}

func text() Object { return Object{"type": []any{"string", "null"}} }

func boolean() Object { return optional(Object{"type": "boolean"}) }

func whole(low, high int64) Object {
	return optional(Object{"type": "integer", "minimum": low, "maximum": high})
}

func number(low, high float64) Object {
	return optional(Object{"type": "number", "minimum": low, "maximum": high})
}

// choice is one of some texts.
func choice(texts ...string) Object {
	return optional(Object{"enum": texts})
}

// seconds is a number of seconds, or a text such as 1m30s.
func seconds() Object {
	return optional(Object{"anyOf": []any{Object{"type": "number", "minimum": 0}, Object{"type": "string", "pattern": `^[0-9]`}}})
}

// size is a number of bytes, or a text such as 16MiB.
func size() Object {
	return optional(Object{"anyOf": []any{Object{"type": "integer", "minimum": 0}, Object{"type": "string", "pattern": `^[0-9]+ ?[KMGT]?i?B?$`}}})
}

func texts() Object {
	return optional(Object{"type": "array", "items": Object{"type": "string"}})
}

func globals() Object {
	return open(Object{
		"name":              Object{"type": "string", "minLength": 1},
		"id":                Object{"type": []any{"string", "number", "boolean"}},
		"debug":             boolean(),
		"debug_status":      boolean(),
		"enable_debug_logs": boolean(),
		"persistence": optional(closed(Object{
			"type":   choice("filesystem", "memory"),
			"config": optional(closed(Object{"directory_name": text()})),
		})),
		"devo_sender_threshold_for_using_gzip_in_transport_layer": number(-1, 1.1),
		"devo_sender_compression_level":                           whole(1, 9),
		"devo_sender_compression_buffer_in_bytes":                 whole(1, 10485760),
		"sender_stats_period_in_sec":                              whole(60, 1800),
		"queue_max_size_in_mb":                                    whole(1, 5120),
		"queue_max_size_in_messages":                              whole(1, 100000),
		"queue_wrap_max_size_in_messages":                         whole(1, 500),
		"queue_max_elapsed_time_in_sec":                           whole(1, 600),
		"queue_generate_metrics":                                  boolean(),
		"generate_collector_details":                              boolean(),
	}, "name", "id")
}

func starling() Object {
	return optional(closed(Object{
		"scripts":         text(),
		"secrets_folder":  text(),
		"listen":          text(),
		"internal_events": boolean(),
		"status":          optional(closed(Object{"token": text(), "certificate": text(), "key": text(), "client_ca": text(), "pprof": boolean()})),
		"log": optional(closed(Object{"level": choice("debug", "info", "warn", "error"), "format": choice("text", "json", "devo"),
			"devo_form": choice("new", "old")})),
		"network":    optional(closed(Object{"allow_hosts": texts(), "private": texts(), "proxy": text(), "ca": text()})),
		"recordings": optional(closed(Object{"folder": text(), "keep": whole(1, 100_000), "size": size(), "personal": texts()})),
		"limits": optional(closed(Object{
			"pull_timeout": seconds(), "steps": whole(1000, math.MaxInt64), "load_steps": whole(1000, math.MaxInt64),
			"script_memory": size(), "response_bytes": size(), "event_bytes": size(), "aside_bytes": size(), "staged_bytes": size(),
			"outbox_bytes": size(), "disk_reserve": size(), "http_timeout": seconds(), "outbox_age": seconds(),
			"test_timeout": seconds(), "shutdown_delivery": seconds(), "outbox_alarm": number(0.01, 1), "log_lines_per_pull": whole(1, 1e9),
			"oversized": choice("cut", "set_aside", "fail"), "outbox_full": choice("wait", "drop_oldest"),
		})),
	}))
}

// output has the keys of its type below config. A type that is ${NAME} leaves them open: what it becomes is known when it is read.
func output(keys map[string][]string) Object {
	kinds := slices.Sorted(maps.Keys(keys))
	o := closed(Object{
		"type":        Object{"anyOf": []any{Object{"enum": kinds}, Object{"type": "string", "pattern": placeholder}}},
		"config":      optional(Object{"type": "object"}),
		"oversized":   choice("cut", "set_aside", "fail"),
		"outbox_full": choice("wait", "drop_oldest"),
	}, "type")
	var each []any
	for _, kind := range kinds {
		each = append(each, Object{"if": open(Object{"type": Object{"const": kind}}, "type"), "then": open(Object{"config": optional(closed(free(keys[kind])))})})
	}
	o["allOf"] = each
	return o
}

// free are keys whose values are left to check.
func free(keys []string) Object {
	o := Object{}
	for _, key := range keys {
		o[key] = Object{} // not true, which editors do not complete
	}
	return o
}

// own are the keys of an input and of a service that are not a script's.
func own() Object {
	const year = 365 * 24 * 60 * 60
	return Object{
		"enabled":                       boolean(),
		"environment":                   text(),
		"request_period_in_seconds":     optional(Object{"type": "number", "minimum": 1, "maximum": year}),
		"use_time_slots_for_retrievals": boolean(),
		"retries":                       Object{},
		"obfuscation_data":              false, // check refuses it
		"requests_limits": optional(Object{"type": "array", "items": closed(Object{
			"period":             Object{"type": "string", "pattern": `^[1-9][0-9]*[smhdwMy]$|` + placeholder},
			"number_of_requests": optional(Object{"type": "integer", "minimum": -1, "maximum": 100000, "not": Object{"const": 0}}),
		}, "period", "number_of_requests")}),
		"autoconfig": optional(closed(Object{"enabled": boolean(), "refresh_interval_in_seconds": whole(1, year), "creation_timeout_in_second": whole(1, year)})),
	}
}

// disabled is an input that does not run: nobody looks at the rest of it.
func disabled() Object {
	return Object{"type": "object", "properties": Object{"enabled": Object{"const": false}}, "required": []string{"enabled"}}
}

func input(scripts map[string][]docs.Setting) Object {
	shared := Object{}
	known := Object{}
	for name, settings := range scripts {
		for key, s := range properties(settings) {
			shared[key] = either(shared[key], s.(Object))
		}
		known[name] = service(settings)
	}
	p := own()
	for key, s := range shared { // settings may stand at the input too
		if _, taken := p[key]; !taken {
			p[key] = s
		}
	}
	p["id"] = Object{"anyOf": []any{Object{"type": "number"}, Object{"type": "string", "pattern": `^[^/\s]{1,100}$`}}}
	p["credentials"] = optional(open(shared))
	p["services"] = Object{"type": "object", "minProperties": 1, "properties": known,
		"additionalProperties": optional(open(serviceKeys()))}
	return open(p, "id", "services")
}

func serviceKeys() Object {
	p := own()
	p["script"] = Object{"type": "string", "minLength": 1, "pattern": `^[^/.]([^/]|/[^/.])*$|` + placeholder}
	return p
}

// service takes the settings of its script, unless another script is named.
func service(settings []docs.Setting) Object {
	p := serviceKeys()
	for key, s := range properties(settings) {
		if _, taken := p[key]; !taken {
			p[key] = s
		}
	}
	return optional(Object{"if": Object{"type": "object", "anyOf": []any{Object{"required": []string{"script"}}, disabled()}},
		"then": open(serviceKeys()), "else": closed(p)})
}

// either joins what two scripts say of one key.
func either(a any, b Object) Object {
	if a == nil {
		return b
	}
	return Object{"anyOf": []any{a, b}}
}

// properties returns a schema for each key.
func properties(settings []docs.Setting) Object {
	p := Object{}
	for _, s := range settings {
		for _, key := range append([]string{s.Name}, s.Aliases...) {
			p[key] = property(s)
		}
	}
	return p
}

// property says what a setting may be. A rule that is none, which fails the script, is left out: an editor would refuse the whole schema.
func property(s docs.Setting) Object {
	rules := Object{}
	take := func(from, to string, is func(any) bool) {
		if v, ok := s.Rules[from]; ok && is(v) {
			rules[to] = v
		}
	}
	choices, _ := s.Rules["choices"].([]any)
	switch s.Kind {
	case "int", "float":
		rules["type"] = map[string]string{"int": "integer", "float": "number"}[s.Kind]
		take("min", "minimum", isNumber)
		take("max", "maximum", isNumber)
	case "bool":
		rules["type"] = "boolean"
	case "list":
		rules["type"] = "array"
		rules["items"] = Object{"type": []any{"string", "number"}}
		take("min_length", "minItems", isLength)
		take("max_length", "maxItems", isLength)
		if choices != nil {
			rules["items"] = Object{"enum": choices}
		}
	case "seconds":
		rules["type"] = []any{"number", "string"}
	case "date":
		rules = Object{"type": "string", "pattern": `^[0-9]{4}-[0-9]{2}-[0-9]{2}$`}
	default:
		rules["type"] = []any{"string", "number"} // a text may be written as a number
		take("min_length", "minLength", isLength)
		take("max_length", "maxLength", isLength)
		if choices != nil {
			rules = Object{"enum": choices}
		}
		if pattern, ok := s.Rules["pattern"].(string); ok && !strings.Contains(pattern, "(?") && isPattern(pattern) {
			rules["pattern"] = "^(" + pattern + ")$"
		}
	}
	o := optional(rules)
	o["description"] = strings.Join(strings.Fields(s.Doc), " ")
	if def, ok := s.Rules["default"]; ok {
		o["default"] = def
	}
	return o
}

func isNumber(v any) bool {
	switch v := v.(type) {
	case float64:
		return !math.IsInf(v, 0)
	case int64, *big.Int:
		return true
	}
	return false
}

func isLength(v any) bool {
	n, ok := v.(int64)
	return ok && n >= 0
}

func isPattern(text string) bool {
	_, err := regexp.Compile("^(" + text + ")$")
	return err == nil
}
