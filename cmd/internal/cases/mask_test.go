package cases

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"starling/engine"
)

// TestSecretsAreFoundWhereverTheyStand has a secret of its own at each place, which nothing but the place says.
func TestSecretsAreFoundWhereverTheyStand(t *testing.T) {
	t.Parallel()
	secrets := map[string]string{}
	s := func(name string) string {
		secrets[name] = "Zq" + strings.ReplaceAll(name, " ", "") + "7/+&\"x"
		return secrets[name]
	}
	said := func(name string) string {
		text := s(name)
		quoted, _ := json.Marshal(text)
		return strings.Join([]string{text, url.QueryEscape(text), url.PathEscape(text), html.EscapeString(text), string(quoted), html.EscapeString(string(quoted)),
			base64.StdEncoding.EncodeToString([]byte(text)), base64.StdEncoding.EncodeToString([]byte("x" + text)), base64.URLEncoding.EncodeToString([]byte("xy" + text))}, " ")
	}
	field := func(key, name string) string {
		text, _ := json.Marshal(map[string]string{key: s(name)})
		return string(text)
	}
	e := &engine.Exchange{Method: "POST", URL: "https://api.example.com/x?sig=" + url.QueryEscape(s("query")) + "&page=2", Status: 200, Length: -1,
		Header: http.Header{"Authorization": {"Bearer " + s("bearer")}, "X-Api-Key": {s("header")}, "Cookie": {"a=" + "Zqcookie7xyz"}},
		Body:   []byte("client_assertion=" + url.QueryEscape(s("form")) + "&grant_type=client_credentials"),
		Answer: http.Header{"Set-Cookie": {"sid=Zqsession7xyz; Path=/"}, "Location": {"https://files.example.com/a?X-Amz-Signature=" + "Zqsigned7xyz"}},
		Data: []byte(strings.Join([]string{field("access_token", "json"), field("refresh_token", "refresh"), "<client_secret>Zqxml7xyz</client_secret>",
			`{"url":"https://files.example.com/a?b=1\u0026sig=Zqlink7xyz%3D"}`, said("setting"), said("known"), secrets["query"], secrets["bearer"], secrets["form"]}, "\n")),
	}
	basic := &engine.Exchange{Method: "GET", URL: "https://api.example.com/", Header: http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+s("basic")))}},
		Status: 401, Length: -1, Data: []byte("wrong: " + secrets["basic"])}
	m := newMasker(nil)
	tape := &engine.Tape{Exchanges: []*engine.Exchange{e, basic}, Settings: map[string]any{"client_secret": secrets["setting"], "url": "https://x/?t=" + secrets["known"]}, Secret: []string{"client_secret"},
		Before: engine.Before{Cursors: map[string]json.RawMessage{"link": json.RawMessage(`"https://x/?sig=Zqcursor7xyz"`)}}}
	m.find(tape, []string{secrets["known"]})
	c := &Case{Tape: m.maskTape(tape)}
	text := string(c.Bytes())
	if at := strings.Index(text, "Zq"); at >= 0 {
		t.Errorf("something is not masked: …%s…\n%s", text[max(0, at-80):min(len(text), at+80)], text)
	}
	for name, secret := range secrets {
		for i := range 3 {
			whole := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", i) + secret))
			if strings.Contains(text, whole[[]int{0, 2, 3}[i]:len(whole)-4]) {
				t.Errorf("%s is there in base64", name)
			}
		}
	}
	if !strings.Contains(text, "grant_type=client_credentials") || !strings.Contains(text, "page=2") {
		t.Errorf("what is no secret is masked:\n%s", text)
	}
	mask := c.Tape.Settings["client_secret"].(string)
	if !strings.Contains(string(c.Tape.Exchanges[0].Data), mask) {
		t.Errorf("the same secret has two masks: no %s in\n%s", mask, c.Tape.Exchanges[0].Data)
	}
}

func TestPersonalFieldsAreMasked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"strings", `{"Sender":"ann@example.org","other":"x"}`, `{"Sender":"masked-1@masked.invalid","other":"x"}`},
		{"the same again", `[{"Sender":"bo"},{"sender":"bo"},{"Sender":"ci"}]`, `[{"Sender":"masked-1"},{"sender":"masked-1"},{"Sender":"masked-2"}]`},
		{"whatever is in them", `{"To":[{"name":"ann","n":5}],"n":5}`, `{"To":[{"name":"masked-1","n":9000001}],"n":5}`},
		{"escapes", `{"Sender":"a\"b\u00e9"}`, `{"Sender":"masked-1"}`},
		{"nothing", `{"Sender":null,"To":true,"x":1}`, `{"Sender":null,"To":true,"x":1}`},
		{"broken off in one", `{"Sender":"ann`, `{"Sender":"`},
		{"broken off elsewhere", `{"x":"ann`, `{"x":"ann`},
		{"numbers", `{"Sender": 12, "x": 12}`, `{"Sender": 9000001, "x": 12}`},
		{"XML", `<a><d:Sender m:type="x">ann</d:Sender><x>ann</x></a>`, `<a><d:Sender m:type="x">masked-1</d:Sender><x>ann</x></a>`},
	} {
		if got := newMasker([]string{"Sender", "to"}).fields(c.text); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	m := newMasker([]string{"Sender"})
	tape := m.maskTape(&engine.Tape{Exchanges: []*engine.Exchange{
		{URL: "https://x/users/ann%40example.org", Data: []byte(`{"text":"from ann@example.org"}`), Length: 31, Status: 200},
		{Data: []byte(`{"Sender":"ann@example.org"}`), Length: -1, Status: 200}}})
	e := tape.Exchanges[0]
	if want := `{"text":"from masked-1@masked.invalid"}`; string(e.Data) != want || e.Length != int64(len(want)) || e.URL != "https://x/users/masked-1@masked.invalid" {
		t.Errorf("got %s of %d bytes from %s", e.Data, e.Length, e.URL)
	}
}

func TestSettingsStayWhatTheyAre(t *testing.T) {
	t.Parallel()
	settings := map[string]any{"account": int64(1<<53 + 1), "share": 0.25, "list": []any{int64(1<<62 + 1), "x"}, "on": true}
	got := newMasker(nil).maskTape(&engine.Tape{Settings: settings}).Settings
	if !reflect.DeepEqual(got, settings) {
		t.Errorf("got %v, want %v", got, settings)
	}
}
