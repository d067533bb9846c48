package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"starling/engine"
)

// newTransport makes what sends the scripts' requests. Where it connects to is checked on the address
// that is dialled, after the name was resolved.
func newTransport(n *engine.Network) http.RoundTripper {
	return &http.Transport{
		DialContext:            guardedDial(n, nil),
		Proxy:                  proxyOf(n),
		TLSClientConfig:        &tls.Config{RootCAs: n.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    15 * time.Second,
		ForceAttemptHTTP2:      true, // which a dialer of our own would turn off
		DisableCompression:     true, // builtins unzip, within limits
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    64, // all that may be open: who collects for many tenants asks one host again and again
		MaxConnsPerHost:        64,
		IdleConnTimeout:        90 * time.Second,
		ResponseHeaderTimeout:  5 * time.Minute, // reports can take long to begin; the request's own limit is mostly shorter
		MaxResponseHeaderBytes: 256 << 10,
		ReadBufferSize:         16 << 10, // what comes in chunks is read with a third of the cost of 4 KiB saved; more saves nothing
	}
}

// guardedDial connects to what n allows. The resolver is nil for the system's.
func guardedDial(n *engine.Network, resolver *net.Resolver) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		d := net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second, Resolver: resolver}
		d.Control = func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			return n.CheckAddr(host, port, to.Addr())
		}
		return d.DialContext(ctx, network, address)
	}
}

// proxyOf sends everything through the configured proxy but what is on this machine.
func proxyOf(n *engine.Network) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		if n.Proxy == nil || engine.IsLocalHost(r.URL.Hostname()) {
			return nil, nil
		}
		return n.Proxy, nil
	}
}

// newIdentityTransport makes what asks the platform for tokens of this machine: directly, because proxies
// must not be asked, and a metadata service answers no request that came through one.
func newIdentityTransport() http.RoundTripper {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		DisableCompression:     true,
		MaxConnsPerHost:        4,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
	}
}
