package engine

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// A Network says which hosts and addresses scripts may reach: starling.network of the configuration,
// read and checked. A nil Network forbids nothing; it is for tests whose answers are canned. It does
// not change.
type Network struct {
	// Hosts are the only hosts that scripts may reach, such as "api.example.com" or "*.example.com";
	// empty means every host that a script declares.
	Hosts []string
	// Private are hosts, and Prefixes addresses, that may be private.
	Private  []string
	Prefixes []netip.Prefix
	// Proxy carries all requests but those to this machine; nil means none. The variables HTTP_PROXY
	// and HTTPS_PROXY are not looked at.
	Proxy *url.URL
	// Roots are the certificates that servers are checked against; nil means the system's.
	Roots *x509.CertPool

	// named holds host:port of private addresses that a setting of an input names as they are.
	named map[string]bool
	sum   [sha256.Size]byte // of all that stands above
}

func (n *Network) equal(m *Network) bool { return n == m || n != nil && m != nil && n.sum == m.sum }

// Listed reports whether the configuration itself names host as one that scripts may reach.
func (n *Network) Listed(host string) bool { return n != nil && matchesHost(n.Hosts, host) }

// CheckURL refuses what can be refused without asking a name server: a host that is not among Hosts,
// and a private address that stands in u itself. The error says which setting would allow it.
func (n *Network) CheckURL(u *url.URL) error {
	if n == nil {
		return nil
	}
	host, port := plainHost(u.Hostname()), portOf(u)
	if n.named[net.JoinHostPort(host, port)] {
		return nil
	}
	if len(n.Hosts) > 0 && !matchesHost(n.Hosts, host) {
		return &Error{Code: CodeConfig, Err: fmt.Errorf("starling.network.allow_hosts does not name %s", host), Hint: "add it there if it is meant"}
	}
	if isLocalName(host) {
		return n.CheckAddr(host, port, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return n.CheckAddr(host, port, addr)
	}
	return nil
}

// CheckAddr refuses to connect to addr, which host led to, if it is no public address and nothing in
// the configuration allows it. It is asked about the address that is dialled, so that a name cannot
// lead elsewhere between check and use.
func (n *Network) CheckAddr(host, port string, addr netip.Addr) error {
	host = plainHost(host)
	kind := addrKind(addr)
	if n == nil || kind == "" {
		return nil
	}
	if n.Proxy != nil && host == plainHost(n.Proxy.Hostname()) && port == portOf(n.Proxy) {
		return nil
	}
	// The range of NAT64 and the like counts as what lies in it.
	for _, p := range n.Prefixes {
		if p.Contains(addr.Unmap().WithZone("")) {
			return nil
		}
	}
	setting := "add the address to starling.network.private if it is meant"
	if kind == loopbackAddr || kind == privateAddr {
		if n.named[net.JoinHostPort(host, port)] || matchesHost(n.Private, host) {
			return nil
		}
		setting = "add the host or the address to starling.network.private if it is meant"
	}
	err := fmt.Errorf("%s is %s, which scripts may not reach", addr, kind)
	if host != plainHost(addr.String()) {
		err = fmt.Errorf("%s leads to %s, %s, which scripts may not reach", host, addr, kind)
	}
	return &Error{Code: CodeConfig, Err: err, Hint: setting}
}

const (
	loopbackAddr = "an address of this machine"
	privateAddr  = "a private address"
	linkAddr     = "a link-local or metadata address"
	reservedAddr = "a reserved address"
)

// kinds of addresses that are not public. The first range that holds an address counts.
var addrRanges = []struct {
	prefix netip.Prefix
	kind   string
}{
	{netip.MustParsePrefix("127.0.0.0/8"), loopbackAddr},
	{netip.MustParsePrefix("::1/128"), loopbackAddr},
	{netip.MustParsePrefix("169.254.0.0/16"), linkAddr},
	{netip.MustParsePrefix("100.100.100.200/32"), linkAddr}, // metadata of Alibaba
	{netip.MustParsePrefix("192.0.0.192/32"), linkAddr},     // metadata of Oracle
	{netip.MustParsePrefix("168.63.129.16/32"), linkAddr},   // Azure's host, public by its number
	{netip.MustParsePrefix("fd00:ec2::/32"), linkAddr},      // metadata of AWS
	{netip.MustParsePrefix("fd20:ce::/64"), linkAddr},       // metadata of Google
	{netip.MustParsePrefix("fe80::/10"), linkAddr},
	{netip.MustParsePrefix("10.0.0.0/8"), privateAddr},
	{netip.MustParsePrefix("172.16.0.0/12"), privateAddr},
	{netip.MustParsePrefix("192.168.0.0/16"), privateAddr},
	{netip.MustParsePrefix("100.64.0.0/10"), privateAddr}, // of providers, RFC 6598
	{netip.MustParsePrefix("fc00::/7"), privateAddr},
	{netip.MustParsePrefix("fec0::/10"), privateAddr},
	{netip.MustParsePrefix("0.0.0.0/8"), reservedAddr}, // some systems take it for this machine
	{netip.MustParsePrefix("192.0.0.0/24"), reservedAddr},
	{netip.MustParsePrefix("198.18.0.0/15"), reservedAddr},
	{netip.MustParsePrefix("224.0.0.0/4"), reservedAddr}, // multicast
	{netip.MustParsePrefix("240.0.0.0/4"), reservedAddr},
	{netip.MustParsePrefix("::/96"), reservedAddr},           // unspecified, and IPv4-compatible
	{netip.MustParsePrefix("::ffff:0:0:0/96"), reservedAddr}, // translated, RFC 2765
	{netip.MustParsePrefix("ff00::/8"), reservedAddr},
	{netip.MustParsePrefix("2001::/32"), reservedAddr}, // Teredo, which wraps any address
}

// embedded are ranges of IPv6 in which an IPv4 address stands, and where.
var embedded = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},   // NAT64
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12}, // NAT64 of a site
	{netip.MustParsePrefix("2002::/16"), 2},       // 6to4
}

// addrKind says what kind of address addr is, and "" if it is a public one.
func addrKind(addr netip.Addr) string {
	if addr.Zone() != "" {
		return linkAddr
	}
	addr = addr.Unmap()
	for _, e := range embedded {
		if e.prefix.Contains(addr) {
			bytes := addr.As16()
			addr = netip.AddrFrom4([4]byte(bytes[e.at : e.at+4]))
		}
	}
	for _, r := range addrRanges {
		if r.prefix.Contains(addr) {
			return r.kind
		}
	}
	return ""
}

// IsLocalHost reports whether host, a name or an address, means this machine by what it says.
func IsLocalHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().IsLoopback()
	}
	return isLocalName(plainHost(host))
}

func isLocalName(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// plainHost is the form in which hosts are compared.
func plainHost(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String()
	}
	return host
}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	switch strings.ToLower(u.Scheme) {
	case "http":
		return "80"
	case "https":
		return "443"
	}
	return "1080" // of a SOCKS proxy
}

// matchesHost reports whether one of patterns means host; "*.example.com" means all below example.com.
func matchesHost(patterns []string, host string) bool {
	host = plainHost(host)
	return slices.ContainsFunc(patterns, func(p string) bool {
		if end, ok := strings.CutPrefix(p, "*"); ok {
			return strings.HasSuffix(host, end) && len(host) > len(end)
		}
		return p == host
	})
}
