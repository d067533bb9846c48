package cases

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"starling/engine"
)

// maskTape returns a copy of t without secrets and personal values.
func (m *masker) maskTape(t *engine.Tape) *engine.Tape {
	c := *t
	c.Exchanges = nil
	for _, e := range t.Exchanges {
		c.Exchanges = append(c.Exchanges, plain(e))
	}
	for _, e := range c.Exchanges { // all of them are known before one is masked
		e.Body = []byte(m.fields(string(e.Body)))
		setData(e, m.fields(string(e.Data)))
	}
	c.Settings = m.settings(t)
	c.Before.Cursors = map[string]json.RawMessage{}
	for name, cursor := range t.Before.Cursors {
		c.Before.Cursors[name] = json.RawMessage(m.fields(string(cursor)))
	}
	for name, cursor := range c.Before.Cursors {
		c.Before.Cursors[name] = json.RawMessage(m.text(string(cursor)))
	}
	c.Given = map[string]json.RawMessage{}
	for name, data := range t.Given {
		c.Given[name] = json.RawMessage(m.text(string(data)))
	}
	for _, e := range c.Exchanges {
		e.URL, e.Body = m.text(e.URL), []byte(m.text(string(e.Body)))
		e.Header, e.Answer = m.header(e.Header), m.header(e.Answer)
		setData(e, m.text(string(e.Data)))
		if e.Fault != nil {
			f := *e.Fault
			f.Text, f.Hint = m.text(f.Text), m.text(f.Hint)
			e.Fault = &f
		}
	}
	if t.End != nil {
		end := *t.End
		end.Cause = m.text(end.Cause)
		c.End = &end
	}
	if t.Err != nil {
		c.Err = &engine.Error{Code: engine.CodeOf(t.Err, engine.CodeScript), Err: errors.New(m.text(t.Err.Error()))}
	}
	return &c
}

// plain is a copy of an exchange, with a body that is not compressed if it can be had.
func plain(e *engine.Exchange) *engine.Exchange {
	c := *e
	encoding := e.Answer.Get("Content-Encoding")
	if e.Fault != nil || encoding != "gzip" && encoding != "x-gzip" || len(e.Data) == 0 {
		return &c
	}
	r, err := gzip.NewReader(bytes.NewReader(e.Data))
	if err != nil {
		return &c
	}
	const bomb = 200 // an answer that grows by more is refused by what reads it
	text, err := io.ReadAll(io.LimitReader(r, int64(max(1<<20, bomb*len(e.Data)))+1))
	if err != nil || len(text) > max(1<<20, bomb*len(e.Data)) {
		return &c
	}
	c.Answer = e.Answer.Clone()
	c.Answer.Del("Content-Encoding")
	setData(&c, string(text))
	return &c
}

// setData gives e another body, which lacks as much of its length as the one before.
func setData(e *engine.Exchange, text string) {
	data := []byte(text)
	if e.Length >= 0 {
		e.Length += int64(len(data) - len(e.Data))
	}
	if e.Answer.Get("Content-Length") != "" {
		e.Answer = e.Answer.Clone()
		e.Answer.Set("Content-Length", strconv.FormatInt(e.Length, 10))
	}
	e.Data = data
}

func (m *masker) header(h http.Header) http.Header {
	if h == nil {
		return nil
	}
	c := http.Header{}
	for name, values := range h {
		for _, v := range values {
			c.Add(name, m.text(v))
		}
	}
	return c
}

// settings masks secrets whatever their length, and what else is known.
func (m *masker) settings(t *engine.Tape) map[string]any {
	c := map[string]any{}
	secret := map[string]bool{}
	for _, name := range t.Secret {
		secret[name] = true
	}
	for name, v := range t.Settings {
		if text, ok := v.(string); ok {
			switch {
			case secret[name]:
				v = m.secret(text)
			case m.personal[name]:
				v = m.value(text)
			default:
				v = m.text(text)
			}
			c[name] = v
			continue
		}
		data, err := json.Marshal(v)
		if err != nil {
			continue
		}
		if secret[name] {
			data, err = json.Marshal(m.secret(string(data)))
		}
		var masked any
		d := json.NewDecoder(strings.NewReader(m.text(m.fields(string(data)))))
		d.UseNumber()
		if err == nil && d.Decode(&masked) == nil {
			c[name] = engine.PlainNumbers(masked)
		}
	}
	return c
}
