package sinks

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"starling/engine"
)

// Devo reads the date of a frame in this form, UTC, or takes the time of arrival when it finds the
// placeholder that its own clients send for "no date given".
const (
	dateLayout  = "2006-01-02 15:04:05.000"
	unknownDate = "Jan  1 00:00:00"
)

// header is what a frame says before its body.
type header struct {
	priority  int
	time      time.Time
	host, tag string
}

// appendFrame appends one frame, in the layout of Devo's official clients (RFC 3164 with a longer date):
//
//	<PRI>DATE SP HOST SP TAG ": " BODY LF
//
// preceded by its length in bytes and a space when counted (octet counting, RFC 6587, section 3.4.1).
// A body that ends in a line feed keeps that one. Nothing else is looked at: to send what others
// wrote, use framer.
func appendFrame(dst []byte, h header, body []byte, counted bool) []byte {
	start := len(dst)
	dst = append(dst, '<')
	dst = strconv.AppendInt(dst, int64(h.priority), 10)
	dst = append(dst, '>')
	dst = appendDate(dst, h.time)
	dst = append(dst, ' ')
	dst = append(dst, h.host...)
	dst = append(dst, ' ')
	dst = append(dst, h.tag...)
	dst = append(dst, ": "...)
	dst = append(dst, body...)
	if !bytes.HasSuffix(body, lineFeed) {
		dst = append(dst, '\n')
	}
	if counted {
		var digits [21]byte
		count := append(strconv.AppendInt(digits[:0], int64(len(dst)-start), 10), ' ')
		dst = slices.Insert(dst, start, count...)
	}
	return dst
}

var lineFeed = []byte{'\n'}

func appendDate(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, unknownDate...)
	}
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(dst, dateLayout)
	}
	hour, minute, second := t.Clock()
	dst = appendPair(appendPair(dst, year/100), year%100)
	dst = appendPair(append(dst, '-'), int(month))
	dst = appendPair(append(dst, '-'), day)
	dst = appendPair(append(dst, ' '), hour)
	dst = appendPair(append(dst, ':'), minute)
	dst = appendPair(append(dst, ':'), second)
	ms := t.Nanosecond() / 1e6
	return appendPair(append(dst, '.', byte('0'+ms/100)), ms%100)
}

func appendPair(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

// framer makes frames of events that anybody may have written: whatever is in them, one event gives
// one frame, and neither its body nor its header can look like the beginning of another.
type framer struct {
	host      string // for tables that name none
	counted   bool   // octet counting
	lineFeeds bool   // bodies keep theirs

	table   *engine.Table // the table of the last event,
	head    header        // and its header, cleaned
	scratch []byte
}

// append appends the frame of e. It allocates nothing once its buffers have grown.
func (f *framer) append(dst []byte, e *engine.Event) []byte {
	if e.Table != f.table {
		f.table, f.head = e.Table, f.header(e.Table)
	}
	f.head.time = e.Time
	body := bytes.TrimSuffix(e.Body, lineFeed)
	if !isClean(body, f.lineFeeds) {
		f.scratch = appendClean(f.scratch[:0], body, f.lineFeeds)
		body = f.scratch
	}
	return appendFrame(dst, f.head, body, f.counted)
}

func (f *framer) header(t *engine.Table) header {
	host := t.Host
	if host == "" {
		host = f.host
	}
	// The first colon ends the tag for most receivers; in a host it may be part of an address.
	return header{priority: t.Priority, host: cleanWord(host), tag: strings.ReplaceAll(cleanWord(t.Tag), ":", "_")}
}

// cleanWord makes s fit for a header: one word, printable, never empty.
func cleanWord(s string) string {
	if s == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// isClean reports whether body can stand in a frame as it is: no control characters but tabs (and
// line feeds, if allowed), and valid UTF-8.
func isClean(body []byte, lineFeeds bool) bool {
	refused := control(lineFeeds)
	for i := 0; ; {
		if i += plainPart(body[i:]); i == len(body) {
			return true
		}
		if body[i] < utf8.RuneSelf {
			if refused(body[i]) {
				return false
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(body[i:])
		if r == utf8.RuneError && n == 1 {
			return false
		}
		i += n
	}
}

// plainPart returns how much of b, from its start, is ASCII without control characters: of most bodies almost all. It looks
// at 32 bytes at once, three times as fast as at eight, and leaves the last seven out.
func plainPart(b []byte) (n int) {
	const highest = 0x8080808080808080
	little := binary.LittleEndian
	for ; n+32 <= len(b); n += 32 {
		p := (*[32]byte)(b[n:])
		if (special(little.Uint64(p[:]))|special(little.Uint64(p[8:]))|special(little.Uint64(p[16:]))|special(little.Uint64(p[24:])))&highest != 0 {
			break
		}
	}
	for ; n+8 <= len(b); n += 8 {
		if at := special(little.Uint64(b[n:])) & highest; at != 0 {
			return n + bits.TrailingZeros64(at)/8
		}
	}
	return n
}

// special looks at eight bytes: the first that is below a space, or not ASCII, is the first that gets its highest bit set.
func special(w uint64) uint64 { return w - 0x2020202020202020 | w }

func control(lineFeeds bool) func(byte) bool {
	if lineFeeds {
		return func(c byte) bool { return c < ' ' && c != '\t' && c != '\n' }
	}
	return func(c byte) bool { return c < ' ' && c != '\t' }
}

// appendClean appends body with every control character that isClean refuses as a space and every
// byte that is no UTF-8 as a question mark. Half a surrogate pair, three bytes when a lenient encoder
// wrote it, gives one question mark, as Devo's SDK sends it.
func appendClean(dst, body []byte, lineFeeds bool) []byte {
	refused := control(lineFeeds)
	for len(body) > 0 {
		r, n := utf8.DecodeRune(body)
		switch {
		case n == 1 && refused(body[0]):
			dst = append(dst, ' ')
		case r == utf8.RuneError && n == 1:
			dst = append(dst, '?')
			if isSurrogate(body) {
				n = 3
			}
		default:
			dst = append(dst, body[:n]...)
		}
		body = body[n:]
	}
	return dst
}

func isSurrogate(b []byte) bool {
	return len(b) >= 3 && b[0] == 0xED && b[1] >= 0xA0 && b[1] <= 0xBF && b[2] >= 0x80 && b[2] <= 0xBF
}
