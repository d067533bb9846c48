package scaffold

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxDocument is how large an OpenAPI document may be.
const maxDocument = 64 << 20

// A document is one of OpenAPI 3 or Swagger 2.
type document struct{ root map[string]any }

// ParseOpenAPI reads an operation of a document, YAML or JSON. The operation is its operationId, or a method and a path.
func ParseOpenAPI(text []byte, operation string) (*Draft, error) {
	doc, err := readDocument(text)
	if err != nil {
		return nil, err
	}
	item, op, path, method, err := doc.find(operation)
	if err != nil {
		return nil, err
	}
	d := &Draft{}
	r := &d.Request
	r.Method, r.Base = strings.ToUpper(method), doc.base(d)
	r.Summary = first(textIn(op, "summary"), textIn(op, "description"))
	var params []any
	params = append(params, listIn(item, "parameters")...)
	params = append(params, listIn(op, "parameters")...)
	doc.takeParams(d, params)
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if name := placeholderName(part); name != "" {
			r.Path = append(r.Path, Part{Setting: identifier(name), Sample: "example"})
		} else {
			r.Path = append(r.Path, Part{Text: part})
		}
	}
	doc.takeAuth(d, op)
	doc.takeBody(d, op)
	doc.takeAnswer(d, op)
	if r.Method != "GET" && r.Method != "POST" {
		return nil, fmt.Errorf("the operation is a %s, and scripts send GET and POST: choose the one that lists events", r.Method)
	}
	return d, nil
}

func readDocument(text []byte) (*document, error) {
	if len(text) > maxDocument {
		return nil, fmt.Errorf("the document has %d bytes, which is too much", len(text))
	}
	var v any
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		if err := json.Unmarshal(text, &v); err != nil {
			return nil, fmt.Errorf("the document is no JSON: %w", err)
		}
	} else if err := yaml.Unmarshal(text, &v); err != nil {
		return nil, fmt.Errorf("the document is no YAML: %w", err)
	}
	root, ok := plain(v).(map[string]any)
	if !ok || root["paths"] == nil {
		return nil, errors.New("the document has no paths: is it OpenAPI?")
	}
	return &document{root}, nil
}

// plain makes JSON's values of those that YAML has besides.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = plain(value)
		}
	case map[any]any:
		m := map[string]any{}
		for key, value := range v {
			m[fmt.Sprint(key)] = plain(value)
		}
		return m
	case []any:
		for i, value := range v {
			v[i] = plain(value)
		}
	case time.Time:
		return v.Format(time.RFC3339Nano)
	}
	return v
}

var methods = []string{"get", "post", "put", "patch", "delete", "head", "options"}

// find returns the operation, with the item that it is in.
func (doc *document) find(wanted string) (item, op map[string]any, path, method string, err error) {
	paths := doc.object(doc.root["paths"])
	var ids []string
	for _, p := range sortedKeys(paths) {
		item := doc.object(paths[p])
		for _, m := range methods {
			op := doc.object(item[m])
			if op == nil {
				continue
			}
			id := textIn(op, "operationId")
			if id == wanted && id != "" || strings.EqualFold(m+" "+p, wanted) {
				return item, op, p, m, nil
			}
			if m == "get" {
				ids = append(ids, first(id, "GET "+p))
			}
		}
	}
	if wanted == "" {
		err = errors.New("--operation is missing")
	} else {
		err = fmt.Errorf("the document has no operation %q", wanted)
	}
	if len(ids) > 0 {
		err = fmt.Errorf("%w: give its operationId, or a method and a path; those that read are %s", err, shortList(near(ids, wanted)))
	}
	return nil, nil, "", "", err
}

// near puts the names in front that have a part of what is wanted.
func near(names []string, wanted string) []string {
	wanted = strings.ToLower(wanted)
	like := func(name string) int {
		name = strings.ToLower(name)
		if wanted != "" && (strings.Contains(name, wanted) || strings.Contains(wanted, name)) {
			return 0
		}
		for _, word := range []string{"log", "audit", "event", "alert", "activit", "sign"} {
			if strings.Contains(name, word) {
				return 1
			}
		}
		return 2
	}
	slices.SortStableFunc(names, func(a, b string) int { return like(a) - like(b) })
	return names
}

func shortList(names []string) string {
	if len(names) > 10 {
		return strings.Join(names[:10], ", ") + fmt.Sprintf(" and %d more", len(names)-10)
	}
	return strings.Join(names, ", ")
}

// base is the first address that the document names.
func (doc *document) base(d *Draft) string {
	if host := textIn(doc.root, "host"); host != "" { // Swagger 2
		return "https://" + host + strings.TrimRight(textIn(doc.root, "basePath"), "/")
	}
	servers := listIn(doc.root, "servers")
	if len(servers) == 0 {
		return ""
	}
	server := doc.object(servers[0])
	address := strings.TrimRight(textIn(server, "url"), "/")
	for name, v := range doc.object(server["variables"]) {
		if value := textIn(doc.object(v), "default"); value != "" && !strings.ContainsAny(value, "{}<> ") && placeholderName(value) == "" && !strings.Contains(strings.ToLower(value), "your") {
			address = strings.ReplaceAll(address, "{"+name+"}", value)
		}
	}
	if !strings.HasPrefix(address, "https://") || strings.ContainsAny(address, "{}<> ") {
		return ""
	}
	if strings.Contains(address, "example.com") {
		d.todo("what is the address of the API? The document has %s", address)
	}
	return address
}

// object follows references, and returns nil for what is no object.
func (doc *document) object(v any) map[string]any {
	for range 20 {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		ref, ok := object["$ref"].(string)
		if !ok {
			return object
		}
		if v, ok = doc.at(ref); !ok {
			return nil
		}
	}
	return nil
}

// at is what a reference within the document leads to.
func (doc *document) at(ref string) (any, bool) {
	path, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil, false
	}
	var v any = doc.root
	for part := range strings.SplitSeq(path, "/") {
		object, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(unescape(part))]; !ok {
			return nil, false
		}
	}
	return v, true
}

// takeParams takes the parameters: those that are required, that ask for a time range, and that say how long a page is. The others are
// noted.
func (doc *document) takeParams(d *Draft, params []any) {
	for _, v := range params {
		p := doc.object(v)
		name := textIn(p, "name")
		schema := doc.object(p["schema"])
		if schema == nil {
			schema = p // Swagger 2
		}
		required, _ := p["required"].(bool)
		lower, plainName := strings.ToLower(name), notName.ReplaceAllString(strings.ToLower(name), "")
		value := textOf(schema["default"])
		param := Param{Name: name, Value: value, Doc: sentence(textIn(p, "description"))}
		isRange := slices.Contains(startNames, plainName) || slices.Contains(endNames, plainName)
		switch in := textIn(p, "in"); {
		case in == "header" && required && !slices.Contains(dull, lower) && lower != "authorization":
			param.Value, param.Setting, param.Secret = "", identifier(name), secretName(name)
			d.Request.Headers = append(d.Request.Headers, param)
		case in != "query":
		case slices.Contains(sizeNames, lower):
			param.Value = first(textOf(schema["maximum"]), value, "100")
			param.Value, _, _ = strings.Cut(param.Value, ".")
			d.Request.Params = append(d.Request.Params, param)
		case isRange && !pagingName(name) && (textIn(schema, "format") != "" || textIn(schema, "type") != "boolean"):
			param.Value = rangeValue(schema)
			d.Request.Params = append(d.Request.Params, param)
		case required && value != "":
			d.Request.Params = append(d.Request.Params, param)
		case required && len(listIn(schema, "enum")) > 0:
			param.Value = textOf(listIn(schema, "enum")[0])
			d.Request.Params = append(d.Request.Params, param)
		case required:
			param.Setting, param.Secret = identifier(name), secretName(name)
			d.Request.Params = append(d.Request.Params, param)
		default:
			d.Request.Further = append(d.Request.Further, name)
		}
	}
}

// rangeValue is a time as a parameter has it, so that it is known which form it wants.
func rangeValue(schema map[string]any) string {
	example := textOf(schema["example"])
	switch {
	case epochForm.MatchString(example) || dateForm.MatchString(example):
		return example
	case textIn(schema, "type") == "integer":
		return "1767322800"
	case textIn(schema, "format") == "date":
		return "2026-01-02"
	}
	return "2026-01-02T03:00:00Z"
}
