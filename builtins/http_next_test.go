package builtins

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestNextLinkIsFoundInHeaders(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		headers []string
		want    string
	}{
		{nil, ""},
		{[]string{`<https://h/x?page=2>; rel="next"`}, "https://h/x?page=2"},
		{[]string{`<https://h/1>; rel="prev", <https://h/3>; rel="next", <https://h/9>; rel="last"`}, "https://h/3"},
		{[]string{`<a>; rel=prev`, `<b>;rel=next`}, "b"},
		{[]string{`<a>; title="x; rel=\"next\", <b>"; rel="last first", <c>; REL="start NEXT"`}, "c"},
		{[]string{`<a,b;c>; rel=next`}, "a,b;c"},
		{[]string{`<a>; rel=last; rel=next`}, ""},
		{[]string{`<a>; rel=next; anchor="#x", <b>; rel=next`}, "b"},
		{[]string{`<a>; rel="nextish"`}, ""},
		{[]string{`a; rel=next`, `<b>; rel=next`}, "b"},
		{[]string{`<a; rel=next`}, ""},
		{[]string{`<a> ; rel = "next" ; x`}, "a"},
		{[]string{`<>; rel=next`}, ""},
		{[]string{`, ,<a>; rel=next`}, "a"},
		{[]string{`<a> rel=next`}, ""},
	} {
		if got := linkOf(http.Header{"Link": c.headers}, "next"); got != c.want {
			t.Errorf("%q: got %q, want %q", c.headers, got, c.want)
		}
	}
}

func FuzzNextLink(f *testing.F) {
	for _, text := range []string{`<https://h/x>; rel="next"`, `<a>; rel=prev, <b>; title="\""; rel=next`, `<`, `<>;`, `<a>;=,`, `<a>;rel="\`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		link := linkOf(http.Header{"Link": {text}}, "next")
		if link != "" && !strings.Contains(text, "<") {
			t.Errorf("%q gave %q", text, link)
		}
		if link != strings.TrimSpace(link) || !strings.Contains(text, link) {
			t.Errorf("%q gave %q, which is not in it", text, link)
		}
		// What was read is read again the same.
		if link != "" && linkOf(http.Header{"Link": {"<" + link + `>; rel="next"`}}, "next") != link {
			t.Errorf("%q is not read back", link)
		}
	})
}

func TestAScriptReadsLinks(t *testing.T) {
	t.Parallel()
	n := newNetTest(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Link", `</v1/logs?limit=2>; rel="self"`)
		w.Header().Add("Link", `</v1/logs?after=1>; rel="next"`)
	})
	v, err := n.pullOnce(t, `base`, `
r = api.get("/v1/logs")
return [r.link(), r.link("self"), r.link("prev")]`)
	wantValue(t, v, err, fmt.Sprintf(`["%[1]s/v1/logs?after=1", "%[1]s/v1/logs?limit=2", None]`, n.base))
}
