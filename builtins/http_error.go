package builtins

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"unicode"

	"go.opentelemetry.io/otel/metric"

	"starling/engine"
)

func collectorAttr(p *engine.Pull) metric.MeasurementOption {
	return metric.WithAttributes(engine.KeyCollector.String(p.Collector()))
}

// sendFailure is a request without an answer. Most of these pass; a limit that was met, a refused
// redirect and a certificate that is not trusted do not.
func sendFailure(op string, err error) *failure {
	if e, ok := errors.AsType[*engine.Error](err); ok {
		return &failure{err: &engine.Error{Code: e.Code, Op: op, Err: e.Err, Hint: e.Hint}}
	}
	f := &failure{again: true, err: &engine.Error{Code: engine.CodeUpstream, Op: op, Err: err}}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		f.again = false
	}
	f.err.Hint = unreached(err)
	return f
}

// unreached says what to do when a host was not reached, where that is known.
func unreached(err error) string {
	expired, isExpired := errors.AsType[x509.CertificateInvalidError](err)
	_, isUntrusted := errors.AsType[*tls.CertificateVerificationError](err)
	dns, isDNS := errors.AsType[*net.DNSError](err)
	switch {
	case isExpired && expired.Reason == x509.Expired:
		return "the server's certificate has expired, which is for whoever runs it to mend, or the clock of this machine is wrong"
	case isUntrusted:
		return "the server's certificate is not trusted: a proxy that opens TLS may stand in between, or the system's certificates are too old"
	case isDNS && dns.IsNotFound:
		return "check the host in the address, and the name servers of this machine"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: check the address and its port, and whether the API is up"
	}
	return ""
}

// statusFailure explains an answer that is no success.
func statusFailure(p *engine.Pull, r *request, a *answer) *failure {
	e := &engine.Error{Code: codeOf(a.status), Op: r.op(p) + ": " + a.statusText(), Err: excerptError(p, a)}
	f := &failure{err: e}
	switch {
	case a.status == http.StatusUnauthorized:
		e.Hint = "check the credentials, and for which API they are valid"
	case a.status == http.StatusForbidden:
		e.Hint = "the credentials are known, but lack a permission or a role for this"
	}
	return f
}

func codeOf(status int) engine.Code {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return engine.CodeAuth
	case http.StatusTooManyRequests:
		return engine.CodeThrottled
	}
	return engine.CodeUpstream
}

// unreadable explains a success whose body is not what is wanted, JSON or XML, such as the page of a proxy.
func unreadable(p *engine.Pull, r *request, a *answer, want string, err error) error {
	kind := clip(p.Env().Redactor.Redact(a.header.Get("Content-Type")), 80)
	if kind == "" {
		kind = "no content type"
	}
	text := fmt.Sprintf("want %s, got %s, %d bytes", want, kind, len(a.body))
	if first := excerpt(p.Env().Redactor, a.body); first != "" {
		text += ": " + first
	}
	if is := want == "XML" || strings.Contains(kind, "json"); is && err != nil {
		text += " (" + p.Env().Redactor.Redact(err.Error()) + ")"
	}
	e := &engine.Error{Code: engine.CodeUpstream, Op: r.op(p) + ": " + a.statusText(), Err: errors.New(text)}
	if strings.Contains(kind, "html") {
		e.Hint = "this is a web page, mostly of a proxy or of a sign-in that stands in between, or of a service that has moved: check starling.network.proxy and the address"
	}
	return e
}

// excerptError is what the other side says went wrong, and the id under which it can be asked about it.
func excerptError(p *engine.Pull, a *answer) error {
	text := excerpt(p.Env().Redactor, a.body)
	for _, name := range []string{"Request-Id", "X-Ms-Request-Id", "X-Request-Id"} {
		if id := clip(a.header.Get(name), 80); id != "" {
			text = strings.TrimSpace(text + " [" + strings.ToLower(name) + " " + id + "]")
			break
		}
	}
	if text == "" {
		return nil
	}
	return errors.New(text)
}

// excerptBytes is how much of a body is searched for a message.
const excerptBytes = 64 << 10

// excerpt returns the message in the body of an error, or its first words, on one line. Secrets are
// taken out before it is cut, because half a secret would not be found.
func excerpt(r *engine.Redactor, body []byte) string {
	text := string(body[:min(len(body), excerptBytes)])
	var doc any
	if len(body) <= excerptBytes && json.Unmarshal(body, &doc) == nil {
		if message := messageIn(doc, 0); message != "" {
			text = message
		}
	} else if m := titleTag.FindStringSubmatch(text); m != nil {
		text = html.UnescapeString(m[1])
	}
	return clip(r.Redact(text), 300)
}

// titleTag finds the title of an HTML page, or the message of Microsoft's XML faults.
var titleTag = regexp.MustCompile(`(?is)<(?:title|message)\b[^>]*>\s*(.+?)\s*</(?:title|message)>`)

// messageIn looks for a message where APIs are known to put it: OData's odata.error.message.value and
// error.message, OAuth's error_description, and plain message, detail or title.
func messageIn(v any, depth int) string {
	if depth > 4 {
		return ""
	}
	switch v := v.(type) {
	case string:
		return v
	case []any:
		if len(v) > 0 {
			return messageIn(v[0], depth+1)
		}
	case map[string]any:
		for _, key := range []string{"error_description", "odata.error", "error", "errors", "message", "Message", "value", "detail", "title", "code"} {
			if text := messageIn(v[key], depth+1); text != "" {
				return withCode(v, key, text)
			}
		}
	}
	return ""
}

// withCode puts a short error code, which can be searched for, in front of its message.
func withCode(v map[string]any, key, text string) string {
	for _, name := range []string{"error", "code"} {
		code, ok := v[name].(string)
		if ok && name != key && code != "" && len(code) <= 60 && !strings.Contains(text, code) {
			return code + ": " + text
		}
	}
	return text
}

// clip returns text on one line, without control characters, and not longer than max bytes.
func clip(text string, max int) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "\uFFFD"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	if len(text) <= max {
		return text
	}
	return strings.ToValidUTF8(text[:max], "") + "…"
}
