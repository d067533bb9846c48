package scaffold

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// exampleBase is where the API is in tests of who did not say it.
const exampleBase = "https://api.example.com"

func (w *writer) test() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\"\"\"Tests of %s, with the answer in testdata/%s.json.\"\"\"\n\nsettings = {\n", w.Name, w.Name)
	for _, s := range w.settings {
		sample := s.sample
		if s.name == "base_url" {
			sample = cmp.Or(w.Request.Base, exampleBase)
		}
		fmt.Fprintf(&b, "    %s: %s,\n", quote(s.name), quote(sample))
	}
	_, now := w.clockFor(w.time)
	b.WriteString("}\n\ndef api(t):\n")
	fmt.Fprintf(&b, "    t.clock(%s)\n", quote(now.Format(time.RFC3339)))
	asked := 0
	if w.Request.Auth.Kind == "oauth" {
		path := "/token"
		if u, err := url.Parse(w.Request.Auth.TokenURL); err == nil && u.Path != "" {
			path = u.Path
		}
		fmt.Fprintf(&b, "    t.http(\"POST\", %s, json = {\"access_token\": \"x\", \"expires_in\": 3600})\n", quote(path))
		asked = 1
	}
	w.writeAnswers(&b)
	b.WriteString("\n# starling certify breaks this API in many ways, and looks at what the script makes of it.\ncertify = api\n\ndef test_sends_the_rows_of_the_sample(t):\n    api(t)\n")
	if w.ranged.start && w.ranged.end {
		fmt.Fprintf(&b, "    t.cursor(\"window\", %s)\n", quote(now.Add(-65*time.Minute).Format(time.RFC3339)))
	}
	b.WriteString("    got = t.pull()\n    t.equal(got.error, None)\n")
	count := w.Sample.Count
	fmt.Fprintf(&b, "    t.equal(len(got.events), %d)\n", count)
	if w.Request.Auth.Kind == "bearer" || w.Request.Auth.Kind == "key" {
		header, prefix := cmp.Or(w.Request.Auth.Header, "Authorization"), w.Request.Auth.Prefix
		if w.Request.Auth.Kind == "bearer" {
			header, prefix = "Authorization", "Bearer "
		}
		fmt.Fprintf(&b, "    t.equal(got.requests[%d].headers[%s], %s)\n", asked, quote(http.CanonicalHeaderKey(header)), quote(prefix+fake))
	}
	if count > 0 {
		fmt.Fprintf(&b, "    t.equal(got.events[0].tag, %s)\n", quote(w.Tag))
	}
	if at, ok := w.firstTime(); ok && count > 0 {
		fmt.Fprintf(&b, "    t.equal(got.events[0].time, %s)\n", quote(at.Format("2006-01-02T15:04:05.000Z")))
	}
	return b.String()
}

func (w *writer) firstTime() (time.Time, bool) {
	if w.time == nil || w.Sample.Count == 0 {
		return time.Time{}, false
	}
	return w.Sample.timeOf(0, w.time)
}

// writeAnswers writes the answers of the API: the sample, and a page without rows behind it where one is asked for.
func (w *writer) writeAnswers(b *strings.Builder) {
	method := cmp.Or(w.Request.Method, "GET")
	first := ""
	if w.paging.Kind == "link" && w.paging.Sure {
		first = `, headers = {"Link": '<?page=2>; rel="next"'}`
	}
	fmt.Fprintf(b, "    t.http(%s, %s, file = \"testdata/%s.json\"%s)\n", quote(method), quote(w.urlPart()), w.Name, first)
	if len(w.Request.Form) > 0 && method == "POST" && w.body == "" || !w.goesOn() {
		return
	}
	comment(b, "    ", "The page behind it has no rows.")
	last := "[]"
	for i := len(w.Sample.Rows) - 1; i >= 0; i-- {
		last = "{" + quote(w.Sample.Rows[i]) + ": " + last + "}"
	}
	fmt.Fprintf(b, "    t.http(%s, \"\", json = %s)\n", quote(method), last)
}

// urlPart is a part of the address that the first request must have: the path up to the first setting.
func (w *writer) urlPart() string {
	if len(w.Request.Path) == 0 {
		return "/events"
	}
	var parts []string
	for _, p := range w.Request.Path {
		if p.Setting != "" {
			break
		}
		parts = append(parts, p.Text)
	}
	return "/" + strings.Join(parts, "/")
}
