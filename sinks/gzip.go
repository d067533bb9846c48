package sinks

import (
	"bytes"
	"time"

	"github.com/klauspost/compress/gzip"

	"starling/engine"
)

// zipper makes gzip members of frames, as Devo's clients send them: frames are gathered, and when they
// are more than size bytes, or the epoch ends, become one member, complete in itself. On the wire nothing
// else says so: members and frames may follow each other, and a receiver tells them apart by their first
// bytes. The zero value is one that never does.
type zipper struct {
	threshold float64
	level     int
	size      int

	load   float64 // when the epoch began
	on     bool    // for this epoch
	frames []byte
	out    *gzip.Writer
}

// newZipper reads the keys of Devo's collectors.
func newZipper(c *engine.Section) zipper {
	return zipper{
		threshold: c.Float("threshold_for_using_gzip_in_transport_layer", 1.1, -1, 1.1),
		level:     int(c.Int("compression_level", 6, 1, 9)),
		size:      int(c.Int("compression_buffer_in_bytes", 51200, 1, 10485760)),
	}
}

// begin decides about an epoch.
func (z *zipper) begin() {
	z.on = z.size > 0 && (z.threshold < 0 || z.threshold <= 1 && z.load >= z.threshold)
}

// osUnix stands in the header of members, as in those of Devo's clients.
const osUnix = 3

// flush appends a member of what is gathered to dst. Of nothing it makes none.
func (z *zipper) flush(dst []byte) []byte {
	if len(z.frames) == 0 {
		return dst
	}
	member := bytes.NewBuffer(dst)
	if z.out == nil {
		z.out, _ = gzip.NewWriterLevel(member, z.level) // the level is one of those that there are
	} else {
		z.out.Reset(member)
	}
	z.out.OS, z.out.ModTime = osUnix, time.Unix(0, 0)
	_, _ = z.out.Write(z.frames) // memory takes everything
	_ = z.out.Close()
	z.frames = z.frames[:0]
	return member.Bytes()
}
