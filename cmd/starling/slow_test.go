package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"starling/sinks/sinktest"
)

// steps is an API that goes on to its next row only when it is told to. Its first answer is more than
// the kernels of both ends of a connection hold.
type steps struct{ row atomic.Int64 }

const manyRows, rowBytes = 1000, 24_000

func (s *steps) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	row := s.row.Load()
	if row > 0 {
		fmt.Fprintf(w, `{"value":[{"name":"row %d"}]}`, row)
		return
	}
	io.WriteString(w, `{"value":[{"name":"row 0"}`)
	for i := range manyRows {
		fmt.Fprintf(w, `,{"name":"many %d","text":"%s"}`, i, strings.Repeat("x", rowBytes))
	}
	io.WriteString(w, "]}")
}

// Of three receivers one reads a byte a second and one reads nothing. The API brings a row only when the
// third receiver has the one before: if another output held it up, or the pulls, there would be few.
func TestSlowReceiversHoldUpNobodyElse(t *testing.T) {
	t.Parallel()
	api := &steps{}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	var outputs []string
	receivers := map[string]*sinktest.Receiver{}
	for _, name := range []string{"mute", "quick", "trickle"} {
		r := sinktest.NewReceiver(t, nil, false)
		host, port := r.Address()
		outputs = append(outputs, fmt.Sprintf("%s: {type: syslog, config: {address: %s, port: %d, confirmation: fin, confirm_timeout: 30}}", name, host, port))
		receivers[name] = r
	}
	receivers["mute"].Break(sinktest.Fault{Mute: true})
	receivers["trickle"].Break(sinktest.Fault{Pause: time.Second, Trickle: true})
	quick := receivers["quick"]
	p := startRun(t, helloDir(t, "127.0.0.1:0", strings.Join(outputs, "\n  "), server.URL))

	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%.20000s", p.log.String())
		}
	})

	during, failed, longest := 0, 0, time.Duration(0) // rows while neither had failed
	for failed < 2 {
		row := api.row.Load()
		began := time.Now()
		until(t, fmt.Sprintf("row %d has arrived", row), func() bool {
			return slices.Contains(quick.Bodies(), fmt.Sprintf(`{"name":"row %d"}`, row)) && len(quick.Frames()) > manyRows
		})
		if row > 0 {
			longest = max(longest, time.Since(began))
		}
		api.row.Add(1)
		s := p.status()
		failed = 0
		for _, sink := range s.Sinks {
			switch {
			case sink.Sink == "quick" && (sink.State != "ok" || sink.Failures > 0):
				t.Fatalf("the output that works: %+v", sink)
			case sink.Sink != "quick" && sink.Backlog.Chunks == 0:
				t.Fatalf("nothing waits for the output that is slow: %+v", sink)
			case sink.State == "retrying" && strings.Contains(sink.LastError, "output "+sink.Sink):
				failed++
			}
		}
		if failed == 0 {
			during++
		}
	}
	until(t, "the status counts the pulls", func() bool { return p.status().Collectors[0].Pulls >= api.row.Load() })
	if during < 3 {
		t.Errorf("%d rows arrived while the slow outputs were in their first epoch, which takes 30 s at least", during)
	}
	t.Logf("%d rows arrived one after the other, %d of them during the first epoch of the slow outputs; the longest took %v", api.row.Load(), during, longest)
	for name, r := range receivers {
		if name != "quick" {
			r.Mend()
		}
	}
	for _, r := range receivers {
		until(t, "the slow ones have it all", func() bool { return distinct(rows(r)) == manyRows+1+int(api.row.Load()) })
	}
	p.signal(syscall.SIGTERM)
	if code := p.exitCode(2 * time.Minute); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// rows returns the events of a receiver without those that Starling sends about itself.
func rows(r *sinktest.Receiver) (bodies []string) {
	for _, body := range r.Bodies() {
		if strings.HasPrefix(body, `{"name":`) {
			bodies = append(bodies, body)
		}
	}
	return bodies
}

func distinct(texts []string) int {
	seen := map[string]bool{}
	for _, text := range texts {
		seen[text] = true
	}
	return len(seen)
}
