package scaffold

import (
	"errors"
	"net/url"
	"strings"

	"starling/engine"
)

// takeURL reads the address: placeholders and values that look like ids or secrets become settings.
func (d *Draft) takeURL(text string) error {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	text, _, _ = strings.Cut(text, "#")
	address, query, _ := strings.Cut(text, "?")
	scheme, rest, _ := strings.Cut(address, "://")
	host, path, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		d.takeUser(host[:i])
		host = host[i+1:]
	}
	if scheme != "https" && scheme != "http" || host == "" {
		return errors.New("the URL of the curl line is none of http or https")
	}
	if u, err := url.Parse("https://" + host); err != nil || strings.ContainsAny(host, "{}$<> ") || u.Hostname() == "" {
		d.todo("what is the address of the API? The curl line has a placeholder in it")
	} else {
		d.Request.Base = "https://" + host
		if scheme == "http" && engine.IsLocalHost(u.Hostname()) {
			d.Request.Base = "http://" + host
		}
	}
	for _, part := range strings.Split(path, "/") {
		d.takePart(part)
	}
	for pair := range strings.SplitSeq(query, "&") {
		if pair != "" {
			name, value, _ := strings.Cut(pair, "=")
			d.takeParam(&d.Request.Params, unescape(name), unescape(value))
		}
	}
	return nil
}

func unescape(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}

func (d *Draft) takePart(part string) {
	plain, err := url.PathUnescape(part)
	if err != nil {
		plain = part
	}
	p := Part{Text: part}
	before := ""
	if n := len(d.Request.Path); n > 0 {
		before = strings.TrimSuffix(d.Request.Path[n-1].Text, "s")
	}
	switch name := placeholderName(plain); {
	case name != "":
		p = Part{Setting: identifier(name), Sample: "example"}
	case uuidForm.MatchString(plain):
		p = Part{Setting: identifier(before + "_id"), Sample: "00000000-0000-0000-0000-000000000000"}
	case secretValue(plain):
		d.hide(plain)
		p = Part{Setting: identifier(before + "_id"), Sample: "example"}
	}
	d.Request.Path = append(d.Request.Path, p)
}

// takeParam adds a parameter. A secret is noted and not kept.
func (d *Draft) takeParam(to *[]Param, name, value string) {
	p := Param{Name: name, Value: value}
	switch at := placeholderName(value); {
	case secretName(name) || secretValue(value) && !strings.Contains(strings.ToLower(name), "cursor") && !pagingName(name):
		if at == "" {
			d.hide(value)
		}
		p.Value, p.Setting, p.Secret = "", identifier(name), true
	case at != "":
		p.Value, p.Setting = "", identifier(at)
	}
	*to = append(*to, p)
}
