package builtins

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestResetIsATimeOrAWait(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return fmt.Sprint(now.Add(d).Unix()) }
	for _, c := range []struct {
		name   string
		status int
		header map[string]string
		want   time.Duration
	}{
		{"a time", 429, map[string]string{"X-Reset": at(time.Minute)}, time.Minute},
		{"a time of the answer's clock", 429, map[string]string{"X-Reset": at(time.Minute), "Date": "Mon, 23 Nov 2026 12:00:20 GMT"}, 40 * time.Second},
		{"a time that has passed", 429, map[string]string{"X-Reset": at(-time.Hour)}, time.Second},
		{"a wait", 429, map[string]string{"X-Reset": "30"}, 30 * time.Second},
		{"Retry-After comes first", 429, map[string]string{"X-Reset": "30", "Retry-After": "7"}, 7 * time.Second},
		{"far away", 429, map[string]string{"X-Reset": "9999999999999"}, 24 * time.Hour},
		{"nothing", 429, nil, 0},
		{"nonsense", 429, map[string]string{"X-Reset": "soon"}, 0},
		{"below zero", 429, map[string]string{"X-Reset": "-5"}, 0},
		{"used up", 403, map[string]string{"X-Reset": "30", "X-Left": "0"}, 30 * time.Second},
		{"not used up", 403, map[string]string{"X-Reset": "30", "X-Left": "1"}, 0},
		{"does not say", 403, map[string]string{"X-Reset": "30"}, 0},
	} {
		h := http.Header{}
		for name, value := range c.header {
			h.Set(name, value)
		}
		r := &retryPolicy{reset: "X-Reset", remaining: "X-Left"}
		if got := r.after(&answer{status: c.status, header: h}, now); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// TestAQuotaThatIsUsedUpIsWaitedFor has an API that says 403 when its quota is used up, and 403 as well when a permission is missing.
func TestAQuotaThatIsUsedUpIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		n := newBubbleTest(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/secret":
				w.Header().Set("X-Left", "10")
				w.WriteHeader(http.StatusForbidden)
			case time.Since(began) < 5*time.Minute:
				w.Header().Set("X-Left", "0")
				w.Header().Set("X-Reset", fmt.Sprint(began.Add(5*time.Minute).Unix()))
				w.WriteHeader(http.StatusForbidden)
			default:
				fmt.Fprint(w, `{"a": 1}`)
			}
		})
		client := `base, retry = http.retry(reset = "X-Reset", remaining = "X-Left")`
		v, err := n.pullOnce(t, client, `return api.get("/")["a"]`)
		wantValue(t, v, err, "1")
		if len(n.requests()) > 3 {
			t.Errorf("asked %d times, want it to wait", len(n.requests()))
		}
		if _, err := n.pullOnce(t, `base, retry = http.retry(reset = "X-Reset", remaining = "X-Left")`, `api.get("/secret")`); err == nil || !strings.Contains(err.Error(), "lack a permission") {
			t.Errorf("got %v", err)
		}
	})
}
