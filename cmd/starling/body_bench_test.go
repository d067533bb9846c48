//go:build unix

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"starling/builtins"
	"starling/cmd/internal/sim"
	"starling/engine"
)

const bodyRows = 2000 // of a page of the message trace

// serveBodies answers with a page, on three listeners: plain, over TLS, and over TLS without HTTP/2. The path says in which
// form. It is a process of its own, so that what it costs is not measured.
func serveBodies() {
	page := bodyPage()
	var zipped bytes.Buffer
	z, _ := gzip.NewWriterLevel(&zipped, gzip.DefaultCompression) // the level is a good one
	z.Write(page)
	z.Close()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := page
		if strings.Contains(r.URL.Path, "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			body = zipped.Bytes()
		}
		if !strings.Contains(r.URL.Path, "chunked") {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.Write(body)
			return
		}
		for len(body) > 0 {
			n := min(len(body), 8<<10) // as common servers write
			w.Write(body[:n])
			w.(http.Flusher).Flush()
			body = body[n:]
		}
	})
	quiet := log.New(io.Discard, "", 0)
	server := func(start func(*httptest.Server)) *httptest.Server {
		s := httptest.NewUnstartedServer(handler)
		s.Config.ErrorLog = quiet
		start(s)
		return s
	}
	plain := server((*httptest.Server).Start)
	second := server(func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() })
	first := server((*httptest.Server).StartTLS)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: first.Certificate().Raw})
	fmt.Printf("%s\n%s\n%s\n%q\n", plain.URL, second.URL, first.URL, ca)
	io.Copy(io.Discard, os.Stdin) // until the benchmark ends
}

// bodyPage is a page as the Reporting Web Service renders it.
func bodyPage() []byte {
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := sim.NewMicrosoft(sim.Options{RawUnicode: true, Rows: sim.Rows{From: from, To: from.Add(time.Hour), Count: bodyRows}})
	b := []byte(`{"value":[`)
	for row := range m.Rows(from, from.Add(time.Hour)) {
		b = append(append(b, m.Light(row, from, from, 0)...), ',')
	}
	return append(b[:len(b)-1], "]}"...)
}

// BenchmarkBody is what a page costs from the connection to the script, which does not look at it: a page of rows of 600 bytes,
// in each way that APIs answer. Compare ns-cpu/row; the rest of the time is the other side's.
//
//	go test -run '^$' -bench Body -benchtime 300x ./cmd/starling
func BenchmarkBody(b *testing.B) {
	server := exec.Command("bodies")
	in, err := server.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	defer server.Wait()
	defer in.Close()
	out, err := server.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	var line [4]string
	text := bufio.NewReader(out)
	for i := range line {
		if line[i], err = text.ReadString('\n'); err != nil {
			b.Fatal(err)
		}
		line[i] = strings.TrimSpace(line[i])
	}
	ca, err := strconv.Unquote(line[3])
	if err != nil {
		b.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ca))
	for i, name := range []string{"http", "h2", "https"} {
		for _, path := range []string{"length", "chunked", "gzip", "gzip-chunked"} {
			b.Run(name+"/"+path, func(b *testing.B) { benchmarkBody(b, roots, line[i], path) })
		}
	}
}

func benchmarkBody(b *testing.B, roots *x509.CertPool, base, path string) {
	network := &engine.Network{Private: []string{"127.0.0.1"}, Roots: roots}
	env := &engine.Env{Logger: slog.New(slog.DiscardHandler), Telemetry: engine.NewTelemetry(nil, nil), Transport: newTransport(network), Network: network,
		Shared: &engine.Shared{}, Redactor: &engine.Redactor{}, Limits: engine.Limits{}.WithDefaults()}
	load := &engine.Load{Env: env, Collector: "in/1/bodies", Settings: engine.NewSettings(nil)}
	source := fmt.Sprintf("api = http.client(%q)\ndef pull():\n    return api.get(%q).status\n", base, "/"+path)
	globals, err := starlark.ExecFileOptions(&syntax.FileOptions{}, load.NewThread("load"), "bodies.star", source, builtins.All())
	if err = cmp.Or(err, load.Problems()); err != nil {
		b.Fatal(err)
	}
	globals.Freeze()
	get := func() {
		p := engine.NewPull(context.Background(), env, "in/1/bodies")
		if v, err := starlark.Call(p.NewThread("pull"), globals["pull"], nil, nil); err != nil || v.String() != "200" {
			b.Fatal(v, err)
		}
	}
	live := make([]byte, 32<<20) // about what the program has, which decides how often garbage is collected
	defer runtime.KeepAlive(live)
	for range 150 { // connects, and makes the heap as large as it gets
		get()
	}
	b.ReportAllocs()
	b.ResetTimer()
	began := processorTime(b)
	for range b.N {
		get()
	}
	b.ReportMetric(float64(processorTime(b)-began)/float64(b.N)/bodyRows, "ns-cpu/row")
}

// processorTime is what this process has used so far, in user and system mode.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
