package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"starling/engine"
)

// A statusServer answers probes and people. Who may ask follows the configuration while it runs.
type statusServer struct {
	http.Server
	log    *slog.Logger
	local  bool // it listens on this machine only
	access atomic.Pointer[engine.StatusAccess]
	good   atomic.Pointer[tls.Config] // the latest that could be read
}

// maxStatusConns bounds the connections; more wait for one to end.
const maxStatusConns = 64

func newStatusServer(l net.Listener, h http.Handler, log *slog.Logger) *statusServer {
	host, _, _ := net.SplitHostPort(l.Addr().String())
	s := &statusServer{log: log, local: engine.IsLocalHost(host)}
	s.Server = http.Server{
		Handler:           s.guard(h),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return s
}

// use has the server ask for what a configuration says. Whether it speaks TLS is decided at the start.
func (s *statusServer) use(c *engine.Config) { s.access.Store(&c.Status) }

// serve answers on l until the returned function is called.
func (s *statusServer) serve(l net.Listener) (stop func()) {
	l = &boundedListener{Listener: l, free: make(chan struct{}, maxStatusConns)}
	if s.access.Load().Certificate != "" {
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: s.tlsConfig})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("status server ended", "error", err)
		}
	}()
	return func() {
		s.Close()
		<-done
	}
}

// tlsConfig reads the certificates for each connection, so that renewed ones are used. While they
// cannot be read, the last ones are.
func (s *statusServer) tlsConfig(*tls.ClientHelloInfo) (*tls.Config, error) {
	a := s.access.Load()
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	pair, err := tls.LoadX509KeyPair(a.Certificate, a.Key)
	if err == nil && a.ClientCA != "" {
		// Not required yet: /healthz is for probes that have none.
		c.ClientAuth = tls.VerifyClientCertIfGiven
		c.ClientCAs, err = engine.ReadPool(a.ClientCA)
	}
	if err != nil {
		s.log.Warn("certificates of the status server cannot be read; the last ones stay in use", "error", err)
		if c = s.good.Load(); c == nil {
			return nil, err
		}
		return c, nil
	}
	c.Certificates = []tls.Certificate{pair}
	s.good.Store(c)
	return c, nil
}

// guard lets in who may ask, and only questions: no bodies, nothing that changes anything. /healthz
// says nothing but that the program runs, and is open to probes.
func (s *statusServer) guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			refuse(w, http.StatusMethodNotAllowed, "Method Not Allowed")
		case r.ContentLength != 0:
			refuse(w, http.StatusRequestEntityTooLarge, "a question has no body")
		case r.URL.Path != "/healthz" && !s.allowed(r):
			w.Header().Set("WWW-Authenticate", `Bearer realm="starling"`)
			refuse(w, http.StatusUnauthorized, "the status server wants starling.status.token as a bearer token, or a certificate of starling.status.client_ca")
		case strings.HasPrefix(r.URL.Path, "/debug/") && !s.access.Load().Pprof:
			http.NotFound(w, r)
		default:
			h.ServeHTTP(w, r)
		}
	})
}

func refuse(w http.ResponseWriter, code int, why string) {
	w.Header().Set("Connection", "close") // what is left of the request is not read
	http.Error(w, why, code)
}

func (s *statusServer) allowed(r *http.Request) bool {
	a := s.access.Load()
	if !a.Guarded() {
		// Also if the guard was taken out of the configuration of a server that others can reach. A web
		// page that has its own name lead here must not read it either.
		return s.local && localHostHeader(r.Host)
	}
	if a.ClientCA != "" && r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return true
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	want, got := sha256.Sum256([]byte(a.Token.Reveal())), sha256.Sum256([]byte(token))
	return ok && bool(a.Token.Truth()) && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// localHostHeader reports whether a request asked for an address or localhost, and not for a name.
func localHostHeader(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return host == "" || engine.IsLocalHost(host) || net.ParseIP(strings.Trim(host, "[]")) != nil
}

// A boundedListener has no more connections open than fit into free.
type boundedListener struct {
	net.Listener
	free chan struct{}
}

func (l *boundedListener) Accept() (net.Conn, error) {
	l.free <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &boundedConn{Conn: c, release: sync.OnceFunc(func() { <-l.free })}, nil
}

type boundedConn struct {
	net.Conn
	release func()
}

func (c *boundedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
