package exampleapi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func ask(t *testing.T, query, token string) (int, answer) {
	t.Helper()
	now := func() time.Time { return time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC) }
	r := httptest.NewRequest("GET", "/v1/alerts?"+query, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	Handler(now).ServeHTTP(w, r)
	var a answer
	if w.Code == http.StatusOK {
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
	}
	return w.Code, a
}

func TestPagesHaveEveryAlertOnce(t *testing.T) {
	query, seen := "from=2026-05-01T11:00:00Z&to=2026-05-01T11:10:00Z&limit=25", map[string]bool{}
	next := ""
	for range 3 {
		_, a := ask(t, query+"&cursor="+next, Token)
		for _, row := range a.Items {
			if seen[row.ID] {
				t.Errorf("%s comes twice", row.ID)
			}
			seen[row.ID] = true
		}
		next = a.Meta.Next
	}
	if len(seen) != 60 || next != "" {
		t.Errorf("got %d alerts of ten minutes, next %q; want 60 and no further page", len(seen), next)
	}
}

func TestTheNewestAppearLate(t *testing.T) {
	_, a := ask(t, "from=2026-05-01T11:59:00Z&to=2026-05-01T12:00:00Z", Token)
	if len(a.Items) != 4 {
		t.Errorf("got %d alerts of the last minute, want 4 of 6", len(a.Items))
	}
}

func TestRefusals(t *testing.T) {
	for query, want := range map[string]int{"limit=0": 400, "from=monday": 400, "cursor=x": 400, "": 200} {
		if got, _ := ask(t, query, Token); got != want {
			t.Errorf("%q: got %d, want %d", query, got, want)
		}
	}
	if got, _ := ask(t, "", "another"); got != 401 {
		t.Errorf("another token: got %d, want 401", got)
	}
}
