package scaffold

import (
	"encoding/json"
	"strings"
)

// takeData puts the data where it belongs: into the query, a JSON body or a form.
func (a *curlArgs) takeData(d *Draft) {
	text := strings.Join(a.data, "&")
	switch {
	case text == "":
		return
	case strings.HasPrefix(text, "@"):
		d.todo("the curl line sends a file: what is in it?")
		return
	case json.Valid([]byte(text)) && strings.HasPrefix(strings.TrimSpace(text), "{") && !a.get:
		d.Request.JSON = d.takeJSON(text)
		return
	}
	to := &d.Request.Form
	if a.get || d.Request.Method == "GET" {
		to = &d.Request.Params
	}
	for pair := range strings.SplitSeq(text, "&") {
		name, value, found := strings.Cut(pair, "=")
		if !found && to == &d.Request.Form {
			d.todo("the curl line sends a body that is neither JSON nor a form: what is it?")
			d.hide(text)
			d.Request.Form = nil
			return
		}
		d.takeParam(to, unescape(name), unescape(value))
	}
}

// takeJSON takes secrets out of a body.
func (d *Draft) takeJSON(text string) string {
	var doc map[string]any
	if json.Unmarshal([]byte(text), &doc) != nil {
		return ""
	}
	if d.scrubJSON(doc) {
		out, _ := json.Marshal(doc)
		d.todo("the body has secrets in it, which are taken out: how else can the API be signed in to? JSON cannot hold a setting that is a secret")
		return string(out)
	}
	return text
}

func (d *Draft) scrubJSON(v any) (found bool) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if text, ok := value.(string); ok && (secretName(name) || secretValue(text)) {
				d.hide(text)
				delete(v, name)
				found = true
				continue
			}
			found = d.scrubJSON(value) || found
		}
	case []any:
		for i, value := range v {
			if text, ok := value.(string); ok && secretValue(text) {
				d.hide(text)
				v[i], found = fake, true
				continue
			}
			found = d.scrubJSON(value) || found
		}
	}
	return found
}
