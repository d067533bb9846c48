package sinks

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"starling/engine"
)

// newSyslog makes a sink of the types syslog, in_house_relay and sidecar: frames over plain TCP, one
// per line, such as Devo's in-house relay takes them. Its keys:
//
//	address          host name or IP address
//	port             1 to 65535
//	hostname         HOST in the header of events whose table names none (this machine's name)
//	multiline        octet counting instead of lines, for receivers that know it (false)
//	max_event_bytes  the longest frame that the receiver takes, such as rsyslog's maxMessageSize; a longer
//	                 one is refused, which the output's key oversized decides about (no limit)
//	confirm_timeout  seconds to wait for the receiver to answer the end of an epoch (10)
//	confirmation     what acknowledges events: fin (the receiver ends its side of a connection when we
//	                 end ours), window (for receivers that never do: see below), or auto (find out
//	                 which of them this receiver is)
//	replay_window    with window: an event counts as delivered when the receiver's kernel has taken this
//	                 many more bytes, and at least twice what it offers to hold (8MiB)
//	replay_age       with window: or this many seconds after it was taken, if the connection goes on (15)
//	concurrent_connections
//	                 how many connections an epoch is spread over, 1 to 16; with more than one, events
//	                 arrive in no order between them (1)
//	connection_max_age
//	                 seconds after which a connection is not used for another epoch (3600)
//	connection_max_idle
//	                 seconds that a connection is kept with nothing to send (20: Devo's balancer drops
//	                 it after 30)
//
// Several connections help where each is slow by itself, as over a long way; on one machine two were a
// quarter slower than one, because the processor is the limit.
//
// An epoch has connections of its own, so the last two count where one goes on over epochs, which is
// with window, and for the connection that is made ahead of need.
//
// With window, what the receiver's kernel has and its program does not read for longer is lost if the
// program is killed then, and a pause makes the next events wait for replay_age.
//
// Frames are sent as they are: receivers of plain syslog, the in-house relay among them, do not know gzip.
// period_sender_stats_in_seconds, 60 to 1800, is how often the log says what this output has acknowledged.
func newSyslog(out engine.Output, env Env) (engine.Sink, error) {
	c := out.Config
	s := newEpochs(out, env, 0, auto, fin, byWindow)
	s.config = func() *tls.Config { return nil }
	connections := newConnections(c)
	c.Ignore("period_sender_stats_in_seconds")
	if err := c.Err(); err != nil {
		return nil, err
	}
	if connections > 1 {
		return newParallel(s, connections), nil
	}
	return s, nil
}

// newConnections reads how many there are at a time.
func newConnections(c *engine.Section) int { return int(c.Int("concurrent_connections", 1, 1, 16)) }

// newEpochs reads the keys that syslog and devo have in common. A port of 0 means that there is no default.
func newEpochs(out engine.Output, env Env, port int64, confirmations ...string) *epochs {
	c := out.Config
	t := newTarget(out, port)
	multiline := c.Bool("multiline", false)
	return &epochs{
		target:       t,
		explain:      explainNetwork,
		patience:     c.Seconds("confirm_timeout", confirmTimeout, time.Second, time.Hour),
		timeout:      writeTimeout,
		lifetime:     newLifetime(c),
		confirmation: newConfirmation(c.Choice("confirmation", auto, confirmations...), env.Logger, t.op),
		maxEvent:     newMaxEvent(c),
		window: window{
			size: c.Bytes("replay_window", 8<<20, 0, 1<<30),
			age:  c.Seconds("replay_age", 15*time.Second, time.Second, time.Hour),
		},
		frames: framer{host: c.Text("hostname", env.Hostname), counted: multiline, lineFeeds: multiline},
	}
}

// maxEvent is how many bytes a frame may have; 0 means any number.
type maxEvent int

func newMaxEvent(c *engine.Section) maxEvent {
	return maxEvent(c.Bytes("max_event_bytes", 0, 256, 1<<30))
}

// check refuses an event, of that index in its epoch, whose frame has too many bytes.
func (m maxEvent) check(frame int, e *engine.Event, index int) error {
	if m == 0 || frame <= int(m) {
		return nil
	}
	body := len(bytes.TrimSuffix(e.Body, lineFeed))
	return &engine.Refused{Index: index, Limit: max(int(m)-(frame-body), 0),
		Err: fmt.Errorf("%s: its frame has %d bytes, over max_event_bytes of the output, %d", describe(e), frame, int(m))}
}

// target is where a sink connects to.
type target struct {
	op      string // names the output in errors
	host    string
	address string // host:port
	dialer  *net.Dialer
}

// newTarget reads address and port. A port of 0 means that there is no default.
func newTarget(out engine.Output, port int64) target {
	c := out.Config
	host := address(c)
	if port == 0 && !c.Has("port") {
		c.Errorf("port", "is missing; it is where the receiver listens, 1 to 65535")
	}
	at := net.JoinHostPort(host, strconv.FormatInt(c.Int("port", port, 1, 65535), 10))
	return target{op: fmt.Sprintf("output %s (%s)", out.Name, at), host: host, address: at, dialer: newDialer()}
}

// address reads the host to connect to; Devo's job files call it url.
func address(c *engine.Section) string {
	key := either(c, "address", "url")
	host := strings.Trim(c.Required(key), "[]")
	if strings.ContainsAny(host, "/@ ") || (strings.Contains(host, ":") && net.ParseIP(host) == nil) {
		c.Errorf(key, "want a host name or an IP address alone, got %q; the port has its own key", host)
	}
	return host
}

// either returns key, or alias if the configuration has only that.
func either(c *engine.Section, key, alias string) string {
	hasKey, hasAlias := c.Has(key), c.Has(alias)
	switch {
	case hasKey && hasAlias:
		c.Errorf(alias, "is another name of %s, which is set too: keep one of them", key)
	case hasAlias:
		return alias
	}
	return key
}
