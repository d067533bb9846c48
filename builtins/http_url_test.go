package builtins

import (
	"net/url"
	"strings"
	"testing"

	"starling/engine"
)

func scopeFor(t testing.TB, base string) scope {
	t.Helper()
	u, err := baseURL(base)
	if err != nil {
		t.Fatal(err)
	}
	return scope{base: u}
}

func TestPathsAreAppendedToTheBase(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ base, path, want string }{
		{"https://h.example/a/b", "/MessageTrace", "https://h.example/a/b/MessageTrace"},
		{"https://h.example/a/b/", "MessageTrace", "https://h.example/a/b/MessageTrace"},
		{"https://h.example/a/b", "", "https://h.example/a/b"},
		{"https://h.example/a/b", "?x=1", "https://h.example/a/b?x=1"},
		{"https://h.example", "/v1/x?y=a b'c", "https://h.example/v1/x?y=a%20b'c"},
		{"https://h.example/v1", "/t/f(r='a@b')", "https://h.example/v1/t/f(r='a@b')"},
		{"https://h.example/v1", "/t/100%", "https://h.example/v1/t/100%25"},
		{"https://h.example/v1", "/t/a%2Fb", "https://h.example/v1/t/a%2Fb"},
		{"https://h.example/v1", "HTTPS://H.example:443/w", "https://H.example:443/w"},
		{"https://h.example/v1", "/go?to=https://other.example/", "https://h.example/v1/go?to=https://other.example/"},
		{"https://h.example/v1", "a:b/c", "https://h.example/v1/a:b/c"},
	} {
		got, err := scopeFor(t, c.base).join(c.path)
		if err != nil || got.String() != c.want {
			t.Errorf("%s and %q: got %v, %v, want %s", c.base, c.path, got, err, c.want)
		}
	}
}

func TestLinksAreResolvedAsTheServerWroteThem(t *testing.T) {
	t.Parallel()
	const from = "https://reports.example.com/ecp/reportingwebservice/reporting.svc/MessageTrace?$format=json"
	for link, want := range map[string]string{
		"../../reportingwebservice/reporting.svc/MessageTrace?$filter=StartDate eq datetime'2026-01-01T00:00:00Z'&$skiptoken=1999": "https://reports.example.com/ecp/reportingwebservice/reporting.svc/MessageTrace?$filter=StartDate%20eq%20datetime'2026-01-01T00:00:00Z'&$skiptoken=1999",
		"https://reports.example.com/x?$skiptoken=a%2Bb+c&q=%22":                                                                   "https://reports.example.com/x?$skiptoken=a%2Bb+c&q=%22",
		" MessageTrace?a=\"b\"":             "https://reports.example.com/ecp/reportingwebservice/reporting.svc/MessageTrace?a=%22b%22",
		"?page=2":                           "https://reports.example.com/ecp/reportingwebservice/reporting.svc/MessageTrace?page=2",
		"/v2?x=ü#frag":                      "https://reports.example.com/v2?x=%C3%BC",
		"https://REPORTS.example.com:443/x": "https://REPORTS.example.com:443/x",
		`\\evil.example\x`:                  "https://reports.example.com/ecp/reportingwebservice/reporting.svc/%5C%5Cevil.example%5Cx",
		"MessageTrace(0):next":              "https://reports.example.com/ecp/reportingwebservice/reporting.svc/MessageTrace(0):next",
	} {
		u, _ := url.Parse(from)
		got, err := scopeFor(t, "https://reports.example.com").resolve(u, link)
		if err != nil || got.String() != want {
			t.Errorf("%q: got %v, %v\nwant %s", link, got, err, want)
		}
	}
}

func TestLinksNeverLeaveTheOrigin(t *testing.T) {
	t.Parallel()
	s := scopeFor(t, "https://api.example.com/v1")
	for _, link := range []string{
		"https://evil.example/", "//evil.example/x", "http://api.example.com/v1", "https://api.example.com:8443/", "https://api.example.com.evil.example/",
		"https://api.example.com@evil.example/", "https://user:pw@api.example.com/", "https://api.example.com./", "ftp://api.example.com/", "javascript:alert(1)//x", "https:///x",
	} {
		if got, err := s.resolve(s.base, link); err == nil && origin(got) != "https://api.example.com:443" {
			t.Errorf("%q led to %s", link, got)
		} else if err == nil && !strings.HasPrefix(link, "javascript") {
			t.Errorf("%q is no error but %s", link, got)
		}
	}
	s.origins = []string{"https://files.example.com:443"}
	if got, err := s.resolve(s.base, "https://files.example.com/x"); err != nil {
		t.Errorf("a named host: got %v, %v", got, err)
	}
}

func FuzzLinksNeverLeaveTheOrigin(f *testing.F) {
	for _, link := range []string{"", "?a=b", "//evil.example", `/\evil.example`, "https://api.example.com@evil.example", "http://api.example.com", "%", "a:b", "#", "https://[::1]/"} {
		f.Add(link)
	}
	base, err := baseURL("https://api.example.com/v1")
	if err != nil {
		f.Fatal(err)
	}
	s := scope{base: base}
	f.Fuzz(func(t *testing.T, link string) {
		for _, resolve := range []func() (*url.URL, error){
			func() (*url.URL, error) { return s.resolve(base, link) },
			func() (*url.URL, error) { return s.join(link) },
		} {
			u, err := resolve()
			if err != nil {
				continue
			}
			// What counts is where a fresh reader of the text would go.
			again, err := url.Parse(u.String())
			if err != nil {
				t.Fatalf("%q became %q, which is no URL: %v", link, u, err)
			}
			if again.Scheme != "https" || !strings.EqualFold(again.Hostname(), "api.example.com") || again.User != nil || (again.Port() != "" && again.Port() != "443") {
				t.Fatalf("%q leads to %q", link, again)
			}
		}
	})
}

func TestShownURLsHideWhatOpensDoors(t *testing.T) {
	t.Parallel()
	var r engine.Redactor
	r.Add("known-secret")
	u, _ := url.Parse("https://user:pw@h.example/known-secret/x?code=a&sig=b&X-Api-Key=c&client_secret=d&access_token=e&%74oken=f&$skiptoken=shown&page=1&mine=g&flag")
	want := "https://h.example/****SANITIZED****/x?code=****SANITIZED****&sig=****SANITIZED****&X-Api-Key=****SANITIZED****&client_secret=****SANITIZED****&access_token=****SANITIZED****&%74oken=****SANITIZED****&$skiptoken=shown&page=1&mine=****SANITIZED****&flag"
	if got := shownURL(&r, u, []string{"mine"}); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
