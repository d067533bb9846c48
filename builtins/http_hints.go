package builtins

import (
	"bytes"
	"fmt"
	"net/http"

	"go.starlark.net/starlark"

	"starling/engine"
)

// hints are what a script knows about the failures of its API: what a person can do about an answer with
// a status, or with a text in its body. A text is the better sign.
type hints struct {
	statuses map[int]string
	texts    []textHint // in the order of the script
}

type textHint struct {
	text []byte // lower case
	hint string
}

// hintsOf reads a dict from statuses and texts to sentences.
func hintsOf(b *starlark.Builtin, d *starlark.Dict) (hints, error) {
	h := hints{statuses: map[int]string{}}
	if d == nil {
		return h, nil
	}
	for _, item := range d.Items() {
		hint, ok := starlark.AsString(item[1])
		text, isText := starlark.AsString(item[0])
		status, err := starlark.AsInt32(item[0])
		switch {
		case ok && isText && text != "":
			h.texts = append(h.texts, textHint{bytes.ToLower([]byte(text)), hint})
		case ok && err == nil && status >= 400 && status <= 599:
			h.statuses[status] = hint
		default:
			return h, fmt.Errorf("%s: hints: got %s: %s, want statuses from 400 to 599, or texts of answers, and a text for each", b.Name(), engine.Show(item[0]), engine.Show(item[1]))
		}
	}
	return h, nil
}

// find returns the hint for an answer, and whether it is about its text.
func (h hints) find(a *answer) (hint string, byText bool) {
	if len(h.texts) > 0 {
		body := bytes.ToLower(a.body[:min(len(a.body), excerptBytes)])
		for _, t := range h.texts {
			if bytes.Contains(body, t.text) {
				return t.hint, true
			}
		}
	}
	return h.statuses[a.status], false
}

// judge explains an answer that is no success, with what the script knows about the API.
func (c *client) judge(p *engine.Pull, r *request, a *answer) *failure {
	f := statusFailure(p, r, a)
	hint, byText := c.hints.find(a)
	if hint != "" {
		f.err.Hint = hint
		if a.status == http.StatusNotFound || a.status == http.StatusGone {
			f.err.Code = engine.CodeConfig // what is not there does not come back by asking often
		}
	}
	// Whoever says unauthorized and why is not asking for a new token.
	f.lasting = byText && a.status == http.StatusUnauthorized
	return f
}
