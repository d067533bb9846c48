package builtins

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// skewed answers with a Date that is ahead of this machine's time.
func skewed(ahead time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().UTC().Add(ahead).Format(http.TimeFormat))
		io.WriteString(w, "{}")
	}
}

const askWindows = `
api = http.client(base)
def pull():
    ends = []
    for w in checkpoint.windows("5h", delay = "10m", first = "3h", keeps = "4h"):
        api.get("/")
        ends.append(w.end)
        checkpoint.commit(w)
    return [len(ends), "%s" % ends[-1] if ends else "", checkpoint.get("window"), "%s" % api.now()]
`

// This machine is an hour ahead. The first window is asked for before anything is known, and reaches into
// what has not happened yet; what is committed must not.
func TestWindowsFollowTheClockOfTheAPI(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newBubbleTest(t, nil)
		n.serve(skewed(-time.Hour))
		s := n.load(t, askWindows)
		began := time.Now().UTC()
		v, err := s.pull(t.Context())
		first := began.Add(-10 * time.Minute).Format(time.RFC3339)
		due := began.Add(-70 * time.Minute).Format(time.RFC3339)
		wantValue(t, v, err, fmt.Sprintf("[1, %q, %q, %q]", first, due, began.Add(-time.Hour).Format(time.RFC3339)))
		time.Sleep(2 * time.Minute)
		v, err = s.pull(t.Context())
		due = time.Now().UTC().Add(-70 * time.Minute).Format(time.RFC3339)
		wantValue(t, v, err, fmt.Sprintf("[1, %q, %q, %q]", due, due, time.Now().UTC().Add(-time.Hour).Format(time.RFC3339)))
		if log := n.log.String(); strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, "api_is_ahead_by=-1h0m0s") {
			t.Errorf("want one warning that the clocks differ, got %s", log)
		}
	})
}

func TestASmallSkewAndOldDatesAreNoNews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newBubbleTest(t, nil)
		for _, h := range []http.HandlerFunc{skewed(-30 * time.Second), skewed(20 * time.Second), func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Age", "7200")
			skewed(-2*time.Hour)(w, r)
		}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", "yesterday")
			io.WriteString(w, "{}")
		}} {
			n.serve(h)
			v, err := n.pullOnce(t, `base`, "api.get('/')\nreturn '%s' % api.now()")
			wantValue(t, v, err, fmt.Sprintf("%q", time.Now().UTC().Format(time.RFC3339)))
		}
	})
}
