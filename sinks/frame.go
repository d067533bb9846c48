package sinks

import (
	"bytes"
	"encoding/binary"
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
	hour, minute, second := t.Clock()
	if year < 0 || year > 9999 {
		return t.AppendFormat(dst, dateLayout)
	}
	dst = append(dst, "0000-00-00 00:00:00.000"...)
	date := dst[len(dst)-len(dateLayout):]
	putDigits(date[0:4], year)
	putDigits(date[5:7], int(month))
	putDigits(date[8:10], day)
	putDigits(date[11:13], hour)
	putDigits(date[14:16], minute)
	putDigits(date[17:19], second)
	putDigits(date[20:23], t.Nanosecond()/1e6)
	return dst
}

// putDigits fills b with the last digits of n.
func putDigits(b []byte, n int) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = '0' + byte(n%10)
		n /= 10
	}
}

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
	return isPlain(body) || !hasControl(body, lineFeeds) && utf8.Valid(body)
}

// isPlain reports whether body is printable ASCII, as most are: that takes one pass.
func isPlain(b []byte) bool {
	const each, top = 0x0101010101010101, 0x8080808080808080
	for ; len(b) >= 32; b = b[32:] {
		u, v := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
		w, x := binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])
		// A byte below 0x20 borrows when 0x20 is taken from it, and one beyond ASCII has its top bit set.
		if seen := u | (u - each*' ') | v | (v - each*' ') | w | (w - each*' ') | x | (x - each*' '); seen&top != 0 {
			return false
		}
	}
	for _, c := range b {
		if c < ' ' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func hasControl(b []byte, lineFeeds bool) bool {
	const each, top = 0x0101010101010101, 0x8080808080808080
	for ; len(b) >= 8; b = b[8:] {
		// A byte below 0x20 borrows into its own top bit when 0x20 is taken from it.
		w := binary.LittleEndian.Uint64(b)
		if (w-each*' ')&^w&top != 0 && slices.ContainsFunc(b[:8], control(lineFeeds)) {
			return true
		}
	}
	return slices.ContainsFunc(b, control(lineFeeds))
}

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
