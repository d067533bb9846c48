package sinks

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// RELP, the Reliable Event Logging Protocol. Each side sends frames
//
//	TRANSACTION SP COMMAND SP LENGTH [SP DATA] LF
//
// with LENGTH that of DATA in bytes. Every command of ours has a number of its own, which the answer
// repeats. Transactions are counted from 1 and begin anew after lastTransaction; 0 is for what the
// receiver says unasked.
const (
	lastTransaction = 999_999_999
	maxCommand      = 32
	maxAnswer       = 64 << 10 // bytes of an answer's data
)

// relpFrame is one frame from the receiver.
type relpFrame struct {
	transaction int
	command     string
	data        []byte
}

func appendRelp(dst []byte, transaction int, command, data string) []byte {
	dst = fmt.Appendf(dst, "%d %s %d", transaction, command, len(data))
	if data != "" {
		dst = append(append(dst, ' '), data...)
	}
	return append(dst, '\n')
}

// appendRelpEvent appends the frame of an event that frame, with its line feed, was made of. The line
// feed ends the frame of RELP too, so it is not counted.
func appendRelpEvent(dst []byte, transaction int, frame []byte) []byte {
	dst = strconv.AppendInt(dst, int64(transaction), 10)
	dst = append(dst, " syslog "...)
	dst = strconv.AppendInt(dst, int64(len(frame)-1), 10)
	dst = append(dst, ' ')
	return append(dst, frame...)
}

var errNotRelp = errors.New("the receiver does not speak RELP")

// readRelp reads one frame. It holds at most maxAnswer bytes, whatever the other side says.
func readRelp(r *bufio.Reader) (f relpFrame, err error) {
	if f.transaction, err = readNumber(r, lastTransaction); err != nil {
		return f, err
	}
	if err = expect(r, ' '); err != nil {
		return f, err
	}
	if f.command, err = readCommand(r); err != nil {
		return f, err
	}
	length, err := readNumber(r, maxAnswer)
	if err != nil {
		return f, err
	}
	if length > 0 {
		if err = expect(r, ' '); err != nil {
			return f, err
		}
		f.data = make([]byte, length)
		if _, err = io.ReadFull(r, f.data); err != nil {
			return f, cutOff(err)
		}
	} else if next, err := r.Peek(1); err == nil && next[0] == ' ' {
		_, _ = r.Discard(1) // some write the space even before no data
	}
	return f, expect(r, '\n')
}

// readNumber reads a decimal number up to max, and leaves what follows it.
func readNumber(r *bufio.Reader, max int) (n int, err error) {
	for digits := 0; ; digits++ {
		c, err := r.ReadByte()
		switch {
		case err != nil && digits > 0:
			return 0, cutOff(err)
		case err != nil:
			return 0, err
		case c < '0' || c > '9':
			if digits == 0 {
				return 0, fmt.Errorf("%w: it sent %q where a number belongs", errNotRelp, c)
			}
			return n, r.UnreadByte()
		}
		if n = n*10 + int(c-'0'); n > max || digits > 9 {
			return 0, fmt.Errorf("%w: it sent a number over %d", errNotRelp, max)
		}
	}
}

// readCommand reads a word and the space behind it.
func readCommand(r *bufio.Reader) (string, error) {
	var word []byte
	for {
		c, err := r.ReadByte()
		switch {
		case err != nil:
			return "", cutOff(err)
		case c == ' ' && len(word) > 0:
			return string(word), nil
		case (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') || len(word) == maxCommand:
			return "", fmt.Errorf("%w: it sent %q within a command", errNotRelp, c)
		}
		word = append(word, c)
	}
}

func expect(r *bufio.Reader, want byte) error {
	c, err := r.ReadByte()
	if err != nil {
		return cutOff(err)
	}
	if c != want {
		return fmt.Errorf("%w: it sent %q where %q belongs", errNotRelp, c, want)
	}
	return nil
}

// cutOff tells an end within a frame from one between frames.
func cutOff(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// status splits the data of an answer, "200 OK" and perhaps a line feed and more.
func (f *relpFrame) status() (code int, text string, rest []byte, err error) {
	line, rest, _ := bytes.Cut(f.data, lineFeed)
	digits, words, _ := bytes.Cut(line, []byte(" "))
	code, err = strconv.Atoi(string(digits))
	if f.command != "rsp" || err != nil || code < 100 || code > 999 {
		return 0, "", nil, fmt.Errorf("%w: it answered with %q %.100q", errNotRelp, f.command, line)
	}
	return code, fmt.Sprintf("%.200q", words), rest, nil
}
