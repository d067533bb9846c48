package sinks

import "starling/engine"

// devo sends to Devo, or to a relay, over TLS with a client certificate.
type devo struct {
	*epochs
	*credential
}

// wideDevo does so over several connections.
type wideDevo struct {
	*parallel
	*credential
}

var (
	_ engine.Lagging  = (*devo)(nil)
	_ engine.Loaded   = (*devo)(nil)
	_ engine.Reloader = (*devo)(nil)
	_ engine.Expirer  = (*devo)(nil)
	_ engine.Copier   = (*devo)(nil)

	_ engine.Lagging  = (*wideDevo)(nil)
	_ engine.Loaded   = (*wideDevo)(nil)
	_ engine.Reloader = (*wideDevo)(nil)
	_ engine.Expirer  = (*wideDevo)(nil)
	_ engine.Copier   = (*wideDevo)(nil)
)

// newDevo makes a sink of the types devo_platform and relay. Its keys, beside those of syslog:
//
//	address          such as collector-eu.devo.io (alias url)
//	port             443
//	type             SSL, the only one
//	chain, cert,     the three files from Devo's page of credentials, PEM, looked up in certs/
//	key              (aliases chain_loc, cert_loc, key_loc)
//	verify           devo: the server's certificate must be signed by chain, whatever its name, as
//	                 Devo's own collectors have it; strict: its name must also be address (devo)
//	confirmation     which end of a connection acknowledges what was sent on it: close_notify (TLS's
//	                 own), fin (the mere end of TCP's stream, for receivers that never send a
//	                 close_notify), window (for receivers that never end it, as for syslog), or auto
//	                 (find out which of them this receiver is)
//	threshold_for_using_gzip_in_transport_layer
//	                 when frames are sent as gzip members: below 0 always; from 0 to 1 while what waits
//	                 for this output is at least this share of starling.limits.outbox_bytes, as it is
//	                 when an epoch begins, where Devo's collectors take the mean of their queue in
//	                 memory; above 1 never (1.1)
//	compression_level
//	                 1, fast, to 9, small (6)
//	compression_buffer_in_bytes
//	                 a member is made when more bytes of frames than this are gathered, and of the rest
//	                 when the epoch ends; 1 to 10485760 (51200)
//
// Without these three, the globals of the same names with devo_sender_ in front count. Devo takes gzip;
// ask of a relay, or of any other receiver behind these types, whether it does. At level 6 a message trace
// becomes six times smaller, and a million events take some 4 s of a processor; at level 9 some 20 s, for
// 2 % less.
//
// The keys of Devo's collectors for retries are checked and without effect: connecting_retries,
// connecting_initial_wait_in_seconds, connecting_max_wait_in_seconds, sending_timeout, sending_retries,
// sending_initial_wait_in_seconds and sending_max_wait_in_seconds. The engine retries for as long as it takes.
// period_sender_stats_in_seconds, 60 to 1800, is how often the log says what this output has acknowledged.
func newDevo(out engine.Output, env Env) (engine.Sink, error) {
	c := out.Config
	s := &devo{epochs: newEpochs(out, env, 443, auto, closeNotify, fin, byWindow)}
	s.zip = newZipper(c)
	c.Choice("type", "SSL", "SSL")
	s.credential = newCredential(c, s.target, env)
	connections := newConnections(c)
	withoutRetries(c)
	c.Ignore("period_sender_stats_in_seconds")
	if err := c.Err(); err != nil {
		return nil, err
	}
	s.epochs.config = s.current.Load
	s.epochs.explain = s.files.explain
	if err := s.Reload(); err != nil {
		return nil, err
	}
	if connections > 1 {
		return &wideDevo{newParallel(s.epochs, connections), s.credential}, nil
	}
	return s, nil
}

// withoutRetries accepts the keys by which Devo's collectors give up, within their ranges.
func withoutRetries(c *engine.Section) {
	for _, key := range []struct {
		name    string
		of, max int64 // the default and the highest
	}{
		{"connecting_retries", 5, 10}, {"connecting_initial_wait_in_seconds", 2, 60}, {"connecting_max_wait_in_seconds", 60, 60},
		{"sending_timeout", 5, 10}, {"sending_retries", 5, 10}, {"sending_initial_wait_in_seconds", 2, 60}, {"sending_max_wait_in_seconds", 60, 60},
	} {
		c.Int(key.name, key.of, 1, key.max)
		c.WithoutEffect(key.name)
	}
}
