package builtins

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"

	"starling/engine"
)

const (
	// freeBytes of a body may come out of however few. Beyond, maxRatio bytes for each that came is more
	// than any list of rows gives; a body made to fill the memory gives a thousand.
	freeBytes = 1 << 20
	maxRatio  = 200
)

// An unzipper reads what is compressed, and ends with an error if far more comes out than went in.
type unzipper struct {
	zip *gzip.Reader
	in  *countingReader
	out int64
}

func (z *unzipper) Read(p []byte) (int, error) {
	n, err := z.zip.Read(p)
	z.out += int64(n)
	if z.out > freeBytes && z.out/maxRatio > z.in.n {
		return 0, &engine.Error{Code: engine.CodeTooLarge, Err: fmt.Errorf("%d compressed bytes became more than %d: no honest answer does that", z.in.n, z.out)}
	}
	return n, err
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// readBody reads a body to its end, decompressed, up to max bytes.
func readBody(resp *http.Response, max int64) ([]byte, error) {
	wire := &countingReader{r: resp.Body}
	var body io.Reader = wire
	size := resp.ContentLength
	switch encoding := resp.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		zip, err := gzip.NewReader(wire)
		if err == io.EOF {
			return nil, nil // an empty body is sent as it is
		}
		if err != nil {
			return nil, fmt.Errorf("compressed body: %w", err)
		}
		body, size = &unzipper{zip: zip, in: wire}, 4*size
	default:
		return nil, fmt.Errorf("the body is encoded as %q, but gzip was asked for", clip(encoding, 40))
	}
	var buf bytes.Buffer
	if size > 0 {
		buf.Grow(int(min(size, max)) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(body, max+1))
	if e, ok := errors.AsType[*engine.Error](err); ok {
		return nil, e
	}
	if n > max {
		return nil, &engine.Error{Code: engine.CodeTooLarge, Err: fmt.Errorf("the answer is longer than %d bytes", max),
			Hint: "raise starling.limits.response_bytes, or ask for smaller pages in the script"}
	}
	if err != nil {
		return nil, fmt.Errorf("body broke off after %d bytes: %w", n, err)
	}
	if resp.ContentLength >= 0 && wire.n != resp.ContentLength { // whatever the transport checks itself
		return nil, fmt.Errorf("body broke off: got %d bytes, want the %d of Content-Length", wire.n, resp.ContentLength)
	}
	return buf.Bytes(), nil
}
