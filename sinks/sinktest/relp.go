package sinktest

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// relpSession is the receiver's side of one connection that speaks RELP.
type relpSession struct {
	*Receiver
	conn   net.Conn
	opened bool
	events int
	ended  bool // in good order
}

// take keeps and answers the complete frames of b, and returns the rest.
func (s *relpSession) take(b []byte) []byte {
	var answers bytes.Buffer
	for !s.ended {
		transaction, command, data, rest, ok := cutRelp(b)
		if !ok {
			break
		}
		b = rest
		answer := s.answer(command, string(data))
		f := s.current()
		if f.Silent {
			continue
		}
		fmt.Fprintf(&answers, "%s rsp %d %s\n", transaction, len(answer), answer)
		if f.ServerClose > 0 && s.events >= f.ServerClose {
			answers.WriteString("0 serverclose 0\n")
			s.ended = true
		}
	}
	_, _ = s.conn.Write(answers.Bytes())
	if s.ended {
		s.conn.Close()
	}
	return b
}

func (s *relpSession) answer(command, data string) string {
	switch {
	case command == "open":
		s.opened = strings.Contains(data, "relp_version=0\n") && strings.Contains(data, "commands=syslog")
		return "200 OK\nrelp_version=0\nrelp_software=sinktest\ncommands=syslog"
	case command == "close":
		s.ended = true
		return "200 OK"
	case command != "syslog" || !s.opened:
		return "500 unknown command or no session"
	}
	s.events++
	if refuse := s.current().Refuse; refuse != "" && strings.Contains(data, refuse) {
		return "500 not this one"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames = append(s.frames, data)
	return "200 OK"
}

// cutRelp cuts the first frame, TRANSACTION SP COMMAND SP LENGTH SP DATA LF, off b.
func cutRelp(b []byte) (transaction, command string, data, rest []byte, ok bool) {
	fields := bytes.SplitN(b, []byte(" "), 4)
	if len(fields) >= 3 && bytes.HasPrefix(fields[2], []byte("0\n")) {
		_, rest, _ = bytes.Cut(b, []byte("\n"))
		return string(fields[0]), string(fields[1]), nil, rest, true
	}
	if len(fields) < 4 {
		return "", "", nil, b, false
	}
	n, err := strconv.Atoi(string(fields[2]))
	if err != nil || len(fields[3]) < n+1 || fields[3][n] != '\n' {
		return "", "", nil, b, false
	}
	return string(fields[0]), string(fields[1]), fields[3][:n], fields[3][n+1:], true
}
