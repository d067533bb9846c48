package scaffold

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// takeBody makes an example of the body of a POST.
func (doc *document) takeBody(d *Draft, op map[string]any) {
	if d.Request.Method != "POST" {
		return
	}
	content := doc.object(doc.object(op["requestBody"])["content"])
	media := doc.jsonIn(content)
	if media == nil {
		return
	}
	v, _ := doc.exampleOf(media, "body", 0)
	if text, err := json.Marshal(v); err == nil && len(text) > 0 && text[0] == '{' {
		d.Request.JSON = d.takeJSON(string(text))
		d.todo("what does the body have to say? It is made of the document's example or schema")
	}
}

// takeAnswer makes a sample of the answer that the document describes.
func (doc *document) takeAnswer(d *Draft, op map[string]any) {
	responses := doc.object(op["responses"])
	var response map[string]any
	for _, code := range append(sortedKeys(responses), "default") {
		if r := doc.object(responses[code]); r != nil && (strings.HasPrefix(code, "2") || code == "default") {
			response = r
			break
		}
	}
	for name := range doc.object(response["headers"]) {
		if strings.EqualFold(name, "Link") {
			d.Request.Paging = Paging{Kind: "link", Why: "the document says that answers have a header Link", Sure: true}
		}
	}
	media := doc.jsonIn(doc.object(response["content"]))
	if media == nil && (response["schema"] != nil || response["examples"] != nil) { // Swagger 2
		media = map[string]any{"schema": response["schema"]}
		if example, ok := doc.object(response["examples"])["application/json"]; ok {
			media["example"] = example
		}
	}
	if media == nil {
		return
	}
	v, given := doc.exampleOf(media, d.Request.Base, 0)
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return
	}
	s, err := ParseSample(text)
	if err != nil {
		d.todo("the answer that the document describes is of no use here: %v; begin again with --sample", err)
		return
	}
	s.Invent = !given
	d.Sample = s
}

// jsonIn is the JSON of a content.
func (doc *document) jsonIn(content map[string]any) map[string]any {
	for _, kind := range sortedKeys(content) {
		if strings.Contains(kind, "json") {
			return doc.object(content[kind])
		}
	}
	return nil
}

// exampleOf is the example of a media type, or one made of its schema; given says which.
func (doc *document) exampleOf(media map[string]any, base string, depth int) (v any, given bool) {
	if example, ok := media["example"]; ok {
		return example, true
	}
	examples := doc.object(media["examples"])
	for _, name := range sortedKeys(examples) {
		if example, ok := doc.object(examples[name])["value"]; ok {
			return example, true
		}
	}
	return doc.fromSchema(media["schema"], "", base, depth), false
}

// maxDepth is how deep examples are made.
const maxDepth = 6

// fromSchema makes an example of a schema.
func (doc *document) fromSchema(v any, name, base string, depth int) any {
	schema := doc.object(v)
	if schema == nil || depth > maxDepth {
		return nil
	}
	for _, key := range []string{"example", "default", "const"} {
		if example, ok := schema[key]; ok && example != nil {
			return example
		}
	}
	for _, key := range []string{"examples", "enum"} {
		if list := listIn(schema, key); len(list) > 0 {
			return list[0]
		}
	}
	for _, key := range []string{"oneOf", "anyOf"} {
		if list := listIn(schema, key); len(list) > 0 {
			return doc.fromSchema(list[0], name, base, depth+1)
		}
	}
	kind := textIn(schema, "type")
	if list := listIn(schema, "type"); len(list) > 0 { // OpenAPI 3.1
		kind = textOf(list[0])
	}
	switch {
	case kind == "array" || kind == "" && schema["items"] != nil:
		if item := doc.fromSchema(schema["items"], name, base, depth+1); item != nil {
			return []any{item}
		}
		return []any{}
	case kind == "object" || kind == "" && (schema["properties"] != nil || schema["allOf"] != nil):
		object := map[string]any{}
		doc.fill(object, schema, base, depth)
		return object
	case kind == "boolean":
		return false
	case kind == "integer" || kind == "number":
		if timeName(name) >= 13 {
			return json.Number("1777636740")
		}
		return json.Number("1")
	}
	return textExample(schema, name, base)
}

// fill sets the properties of a schema and of all that it is made of.
func (doc *document) fill(object, schema map[string]any, base string, depth int) {
	for _, part := range listIn(schema, "allOf") {
		if inner := doc.object(part); inner != nil && depth < maxDepth {
			doc.fill(object, inner, base, depth+1)
		}
	}
	properties := doc.object(schema["properties"])
	for _, name := range sortedKeys(properties) {
		object[name] = doc.fromSchema(properties[name], name, base, depth+1)
	}
}

func textExample(schema map[string]any, name, base string) string {
	format := textIn(schema, "format")
	lower := strings.ToLower(name)
	switch {
	case nextName(name, nil) && (format == "uri" || strings.Contains(lower, "link") || strings.Contains(lower, "url") || strings.Contains(lower, "href")):
		return first(base, exampleBase) + "/next-page"
	case format == "date-time" || format == "" && timeName(name) >= 13:
		return "2026-05-01T11:59:00Z"
	case format == "date":
		return "2026-05-01"
	case format == "uuid":
		return "00000000-0000-4000-8000-000000000001"
	case format == "email":
		return "somebody@example.com"
	case format == "ipv4" || lower == "ip":
		return "192.0.2.1"
	case format == "uri":
		return "https://example.com/"
	}
	return "text"
}

func textIn(object map[string]any, key string) string { return textOf(object[key]) }

func textOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool, int, int64, uint64, json.Number:
		return fmt.Sprint(v)
	}
	return ""
}

func listIn(object map[string]any, key string) []any {
	list, _ := object[key].([]any)
	return list
}

func sortedKeys(object map[string]any) []string {
	var keys []string
	for key := range object {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// sentence is the first sentence of a description, on one line, if it is short.
func sentence(text string) string {
	text, _, _ = strings.Cut(strings.Join(strings.Fields(text), " "), ". ")
	text = strings.TrimRight(text, ".")
	if text == "" || len(text) > 160 {
		return ""
	}
	return text + "."
}
