package builtins

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"

	"starling/engine"
)

const (
	// freeBytes of a body may come out of however few. Beyond, maxRatio bytes for each that came is more
	// than any list of rows gives; a body made to fill the memory gives a thousand.
	freeBytes = 1 << 20
	maxRatio  = 200
	// leastRoom is what a body of unknown length begins with at least.
	leastRoom = 8 << 10
	// keptRoom is how much room for what comes compressed is kept for the next body.
	keptRoom = 1 << 20
)

// bodies reads the bodies of answers to their ends, decompressed. What it returns belongs to the caller for good;
// nothing else is kept of one body for the next but the room for what is compressed. Use it from any goroutine.
type bodies struct{ unzippers sync.Pool }

// An unzipper decompresses one body after the other.
type unzipper struct {
	zipped []byte
	in     bytes.Reader
	zip    gzip.Reader
}

func bodiesOf(p *engine.Pull) *bodies {
	return p.Env().Shared.Get("http.bodies", func() any { return new(bodies) }).(*bodies)
}

// A lastSize is how long the last body was that did not say so itself; pages of one API are about equally long. Nil knows
// of none. Use it from any goroutine.
type lastSize struct{ bytes atomic.Int64 }

func (s *lastSize) note(n int) {
	if s != nil {
		s.bytes.Store(int64(n))
	}
}

// room is how much room to begin with.
func (s *lastSize) room() int64 {
	if s == nil {
		return leastRoom
	}
	return max(leastRoom, s.bytes.Load()/8*9)
}

// errTooLong says that there is more than was allowed.
var errTooLong = errors.New("too long")

// read reads a body of up to limit bytes. Last is of the bodies before it.
func (b *bodies) read(resp *http.Response, limit int64, last *lastSize) ([]byte, error) {
	var body []byte
	var err error
	switch encoding := resp.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		body, err = readPlain(resp, limit, last)
	case "gzip", "x-gzip":
		body, err = b.readZipped(resp, limit)
	default:
		return nil, fmt.Errorf("the body is encoded as %q, but gzip was asked for", clip(encoding, 40))
	}
	if errors.Is(err, errTooLong) {
		return nil, &engine.Error{Code: engine.CodeTooLarge, Err: fmt.Errorf("the answer is longer than %d bytes", limit),
			Hint: "raise starling.limits.response_bytes, or ask for smaller pages in the script"}
	}
	return body, err
}

func readPlain(resp *http.Response, limit int64, last *lastSize) ([]byte, error) {
	room := resp.ContentLength
	if room < 0 {
		room = last.room()
	}
	body, err := readWire(resp, make([]byte, 0, roomFor(room, limit)), limit)
	if err != nil {
		return nil, err
	}
	if resp.ContentLength < 0 {
		last.note(len(body))
	}
	if len(body) < cap(body)/2 {
		body = slices.Clone(body)
	}
	return body, nil
}

// readZipped has the whole body before it decompresses it: then its end says how much room it needs.
func (b *bodies) readZipped(resp *http.Response, limit int64) ([]byte, error) {
	u, _ := b.unzippers.Get().(*unzipper)
	if u == nil {
		u = new(unzipper)
	}
	defer func() {
		if cap(u.zipped) <= keptRoom {
			b.unzippers.Put(u)
		}
	}()
	var err error
	if u.zipped, err = readWire(resp, slices.Grow(u.zipped[:0], roomFor(resp.ContentLength, limit)), limit); err != nil {
		return nil, err
	}
	if len(u.zipped) == 0 {
		return nil, nil // an empty body is sent as it is
	}
	return u.unzip(limit)
}

func (u *unzipper) unzip(limit int64) ([]byte, error) {
	u.in.Reset(u.zipped)
	if err := u.zip.Reset(&u.in); err != nil {
		return nil, fmt.Errorf("compressed body: %w", err)
	}
	honest := max(freeBytes, maxRatio*int64(len(u.zipped)))
	room := int64(binary.LittleEndian.Uint32(u.zipped[len(u.zipped)-4:])) // right unless there are several members
	body, err := readInto(&u.zip, make([]byte, 0, roomFor(min(room, honest), limit)), min(limit, honest))
	switch {
	case err == errTooLong && honest < limit:
		return nil, &engine.Error{Code: engine.CodeTooLarge, Err: fmt.Errorf("%d compressed bytes became more than %d: no honest answer does that", len(u.zipped), honest)}
	case err == errTooLong:
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("body broke off after %d bytes: %w", len(body), err)
	}
	return body, nil
}

// readWire reads what comes over the network, into room.
func readWire(resp *http.Response, room []byte, limit int64) ([]byte, error) {
	body, err := readInto(resp.Body, room, limit)
	switch {
	case err == errTooLong:
		return body, err
	case err != nil:
		return body, fmt.Errorf("body broke off after %d bytes: %w", len(body), err)
	case resp.ContentLength >= 0 && int64(len(body)) != resp.ContentLength: // whatever the transport checks itself
		return body, fmt.Errorf("body broke off: got %d bytes, want the %d of Content-Length", len(body), resp.ContentLength)
	}
	return body, nil
}

// roomFor is how much room to begin with for a body that has so many bytes; one more shows its end.
func roomFor(size, limit int64) int { return int(min(size, limit)) + 1 }

// readInto reads up to limit bytes into room, which grows when it must.
func readInto(r io.Reader, room []byte, limit int64) ([]byte, error) {
	for {
		if len(room) == cap(room) {
			room = slices.Grow(room, int(min(leastRoom+int64(len(room)), limit+1-int64(len(room)))))
		}
		n, err := r.Read(room[len(room):cap(room)])
		room = room[:len(room)+n]
		switch {
		case int64(len(room)) > limit:
			return room, errTooLong
		case err == io.EOF:
			return room, nil
		case err != nil:
			return room, err
		}
	}
}
