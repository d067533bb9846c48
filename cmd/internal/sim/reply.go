package sim

import (
	"bytes"
	"compress/gzip"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reply is an answer before it is sent.
type reply struct {
	status       int
	contentType  string
	retryAfter   string
	location     string
	authenticate string
	parts        [][]byte
	gzip         bool // may be compressed, when the client takes that
}

const (
	slowPause = 10 * time.Second
	hugeBytes = 256 << 20
)

// send writes the answer, or as much of it as the fault lets through.
func (a *reply) send(w http.ResponseWriter, r *http.Request, fault Fault) {
	switch fault {
	case ResetEarly, CloseEarly:
		hangUp(w, fault == ResetEarly)
		return
	case Hang:
		<-r.Context().Done()
		return
	case BOM, BadUTF8, TwiceKeys:
		a.parts = [][]byte{fault.spoil(bytes.Join(a.parts, nil))}
	case Cut: // before it is compressed: what arrives is whole, but for its end
		body := bytes.Join(a.parts, nil)
		a.parts = [][]byte{body[:len(body)/2]}
	case Huge:
		a.gzip = false
	}
	noteOf(r).Status = a.status
	h := w.Header()
	for name, value := range map[string]string{"Content-Type": a.contentType, "Retry-After": a.retryAfter, "Location": a.location, "WWW-Authenticate": a.authenticate} {
		if value != "" {
			h.Set(name, value)
		}
	}
	if fault == BadGzip || a.gzip && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		a.compress(fault == BadGzip)
		h.Set("Content-Encoding", "gzip")
	}
	a.write(w, r, fault)
}

// compress replaces the parts by one that is compressed, with a wrong byte in its middle if it is to be broken.
func (a *reply) compress(broken bool) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a good one
	}
	for _, part := range a.parts {
		_, _ = z.Write(part) // a buffer takes everything
	}
	_ = z.Close()
	body := b.Bytes()
	if broken {
		body[len(body)/2] ^= 0x55
		body[len(body)-6] ^= 0x55 // of the checksum
	}
	a.parts = [][]byte{body}
}

func (a *reply) write(w http.ResponseWriter, r *http.Request, fault Fault) {
	length := 0
	for _, part := range a.parts {
		length += len(part)
	}
	rest := length
	if slices.Contains([]Fault{Reset, Truncated, CutChunks}, fault) {
		rest = length / 2
	}
	if fault == Huge {
		length += hugeBytes
	}
	if fault != CutChunks {
		w.Header().Set("Content-Length", strconv.Itoa(length))
	}
	w.WriteHeader(a.status)
	for _, part := range a.parts {
		part = part[:min(rest, len(part))]
		rest -= len(part)
		if !writePart(w, r, part, fault) {
			return // the client left
		}
	}
	if fault == Huge {
		spaces := bytes.Repeat([]byte(" "), 1<<16)
		for range hugeBytes / len(spaces) {
			if _, err := w.Write(spaces); err != nil {
				return
			}
		}
	}
	if fault == Reset || fault == Truncated || fault == CutChunks {
		_ = http.NewResponseController(w).Flush()
		hangUp(w, fault == Reset)
	}
}

// writePart reports whether the client took the bytes.
func writePart(w http.ResponseWriter, r *http.Request, part []byte, fault Fault) bool {
	if fault != Slow {
		_, err := w.Write(part)
		return err == nil
	}
	for i := range part {
		if _, err := w.Write(part[i : i+1]); err != nil {
			return false
		}
		_ = http.NewResponseController(w).Flush()
		if pause(r.Context(), slowPause); r.Context().Err() != nil {
			return false
		}
	}
	return true
}

// hangUp ends the connection under the client.
func hangUp(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // the documented way to break off an answer
	}
	if reset {
		switch c := conn.(type) {
		case *net.TCPConn:
			_ = c.SetLinger(0) // only an orderly end would follow
		case *memoryConn:
			c.reset()
		}
	}
	_ = conn.Close()
}
