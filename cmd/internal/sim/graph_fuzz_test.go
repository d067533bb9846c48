package sim

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
)

// Whatever a client sends as a query, it gets JSON with an answer or a reason, or no body at all.
func FuzzGraphQuery(f *testing.F) {
	f.Add("receivedDateTime ge 2026-11-20T09:00:00Z and receivedDateTime le 2026-11-20T10:00:00.1234567+01:00", "5000", "")
	f.Add("(status eq 'a' or not (status in ('b','c'))) and contains(subject,'o''neil')", "0", "")
	f.Add("((((", "-1", "AAAA")
	f.Add("receivedDateTime in ('x')", "", "%%")
	f.Fuzz(func(t *testing.T, filter, top, token string) {
		m := NewMicrosoft(Options{Now: virtual, Rows: Rows{From: now.Add(-time.Hour), To: now, Count: 50}})
		o := m.Options()
		text, _ := m.newToken(&o, graphResource, now)
		values := url.Values{"$filter": {filter}, "$top": {top}, "$skiptoken": {token}}
		request := httptest.NewRequest("GET", "/v1.0/admin/exchange/tracing/messageTraces?"+values.Encode(), nil)
		request.Header.Set("Authorization", "Bearer "+text)
		answer := httptest.NewRecorder()
		m.ServeHTTP(answer, request)
		if body := answer.Body.Bytes(); answer.Code != 200 && answer.Code != 400 && answer.Code != 404 || len(body) > 0 && !json.Valid(body) || answer.Code != 404 && len(body) == 0 {
			t.Fatalf("%q: got %d %q", values, answer.Code, body)
		}
	})
}

// No client assertion that was not signed by the application is taken.
func FuzzAssertion(f *testing.F) {
	f.Add("a.b.c")
	f.Add("e30.e30.e30")
	f.Add("eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0.")
	f.Fuzz(func(t *testing.T, text string) {
		if p, ok := readAssertion(text); ok && (p.signedBy(&Options{}) || p.signed == "") {
			t.Fatalf("%q is taken", text)
		}
	})
}
