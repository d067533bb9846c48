package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"starling/engine"
)

// nameServer answers every question for an IPv4 address with what next says, and returns the resolver
// that asks it.
func nameServer(t *testing.T, next func() netip.Addr) *net.Resolver {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			c.WriteTo(nameAnswer(buf[:n], next), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", c.LocalAddr().String())
	}}
}

// nameAnswer makes the answer to a question, RFC 1035 section 4.
func nameAnswer(question []byte, next func() netip.Addr) []byte {
	end := 12
	for question[end] != 0 {
		end += int(question[end]) + 1
	}
	end += 5
	reply := append([]byte{}, question[:end]...)
	copy(reply[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}) // a response, one question
	if binary.BigEndian.Uint16(question[end-4:]) == 1 {         // A
		reply[7] = 1
		ip := next().As4()
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		reply = append(reply, ip[:]...)
	}
	return reply
}

// TestRebindingDoesNotReachThisMachine: a name may lead to a public address when it is looked up first,
// and to a private one when it is dialled. What is dialled counts.
func TestRebindingDoesNotReachThisMachine(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	resolver := nameServer(t, func() netip.Addr { return netip.MustParseAddr("127.0.0.1") })

	get := func(n *engine.Network) error {
		transport := newTransport(n).(*http.Transport)
		transport.DialContext = guardedDial(n, resolver)
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get("http://rebound.example:" + port)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	err := get(&engine.Network{})
	if err == nil || engine.CodeOf(err, "") != engine.CodeConfig || !strings.Contains(err.Error(), "rebound.example leads to 127.0.0.1, an address of this machine") {
		t.Errorf("got %v, want a refusal that names host and address", err)
	}
	if reached.Load() != 0 {
		t.Error("the server was reached")
	}
	if err := get(&engine.Network{Private: []string{"rebound.example"}}); err != nil || reached.Load() != 1 {
		t.Errorf("allowed: got %v and %d requests, want one", err, reached.Load())
	}
}

// TestProxiesAreAMatterOfTheConfiguration: the proxy of the environment is not used, that of the
// configuration is, except for this machine.
func TestProxiesAreAMatterOfTheConfiguration(t *testing.T) {
	proxied := make(chan string, 10)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { proxied <- r.URL.String() }))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	resolver := nameServer(t, func() netip.Addr { return netip.MustParseAddr("127.0.0.1") })
	without := newTransport(&engine.Network{}).(*http.Transport)
	without.DialContext = guardedDial(&engine.Network{}, resolver)
	if resp, err := (&http.Client{Transport: without}).Get("http://api.example/a"); err == nil {
		resp.Body.Close()
		t.Error("without a proxy in the configuration something answered")
	}
	u, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	with := newTransport(&engine.Network{Proxy: u}).(*http.Transport)
	defer with.CloseIdleConnections()
	resp, err := (&http.Client{Transport: with}).Get("http://api.example/b")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := <-proxied; got != "http://api.example/b" || len(proxied) != 0 {
		t.Errorf("the proxy got %s and %d more, want the second request only", got, len(proxied))
	}
	if to, err := with.Proxy(httptest.NewRequest(http.MethodGet, "http://127.0.0.1:1/", nil)); to != nil || err != nil {
		t.Errorf("this machine is asked through %v, %v", to, err)
	}
}

func TestServersAreCheckedAgainstTheRootsOfTheConfiguration(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	here := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	if _, err := newTransport(&engine.Network{Prefixes: here}).RoundTrip(httptest.NewRequest(http.MethodGet, server.URL, nil)); err == nil {
		t.Error("an unknown authority was trusted")
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	transport := newTransport(&engine.Network{Prefixes: here, Roots: roots}).(*http.Transport)
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, server.URL, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if proto, err := io.ReadAll(resp.Body); err != nil || string(proto) != "HTTP/2.0" {
		t.Errorf("got %q, %v, want HTTP/2.0", proto, err)
	}
}

func TestOldTLSAndEndlessHeadersAreRefused(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 1000 {
			w.Header().Add("X-Filler", strings.Repeat("x", 1000))
		}
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	server.StartTLS()
	defer server.Close()
	plain := httptest.NewServer(server.Config.Handler)
	defer plain.Close()
	transport := newTransport(&engine.Network{Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	for address, want := range map[string]string{server.URL: "protocol version", plain.URL: "headers exceeded"} {
		_, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, address, nil))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", address, err, want)
		}
	}
}
