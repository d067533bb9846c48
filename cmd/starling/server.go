package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"syscall"

	"starling/engine"
)

// listen opens the address of the status server.
func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &engine.Error{Op: "listen on " + address, Err: errors.New("another program uses this address"),
			Hint: "stop that program, or set starling.listen to another address, or to off"}
	}
	if err != nil {
		return nil, &engine.Error{Op: "listen on " + address, Err: err, Hint: "correct starling.listen, or set it to off"}
	}
	return l, nil
}

const listing = `starling

/healthz   200 while it runs
/readyz    200 when every collector and output works, else 503 and what is wrong
/status    all that it does, as JSON
/metrics   for Prometheus

/debug/pprof/   where the time and the memory go, if starling.status.pprof is true
`

// statusHandler serves what probes and people ask. Once ctx ends it is alive but not ready.
func statusHandler(ctx context.Context, status func() engine.Status, metrics http.Handler, secrets *engine.Redactor) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { text(w, listing) })
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { text(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		wrong := status().Ready()
		if ctx.Err() != nil {
			wrong = append(wrong, "starling is stopping")
		}
		code := http.StatusOK
		if len(wrong) > 0 {
			code = http.StatusServiceUnavailable
		}
		answer(w, secrets, code, readiness{len(wrong) == 0, wrong})
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, secrets, http.StatusOK, status()) })
	mux.Handle("GET /metrics", metrics)
	// Without cmdline; and Go's programs need no symbol.
	mux.HandleFunc("GET /debug/pprof/{$}", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/{name}", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

type readiness struct {
	Ready    bool     `json:"ready"`
	Problems []string `json:"problems"`
}

func text(w http.ResponseWriter, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, s)
}

func answer(w http.ResponseWriter, r *engine.Redactor, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	printJSON(redacting{w, r}, v)
}
