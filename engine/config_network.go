package engine

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// network reads starling.network.
func (r *configReader) network(s *Section) {
	n := &Network{Hosts: r.hosts(s, "allow_hosts"), named: map[string]bool{}}
	for _, text := range r.hosts(s, "private") {
		if prefix, ok := prefixOf(text); ok {
			n.Prefixes = append(n.Prefixes, prefix)
		} else {
			n.Private = append(n.Private, text)
		}
	}
	n.Proxy = r.proxy(s)
	roots := r.roots(s, n)
	s.unknown(r.problems)
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %v %q", n.Hosts, n.Private, n.Prefixes, n.Proxy, roots)
	n.sum = [sha256.Size]byte(h.Sum(nil))
	r.Network = n
}

// hostPattern is a host name, with *. in front for all names below it.
var hostPattern = regexp.MustCompile(`^(\*\.)?[0-9a-z_]([0-9a-z_.-]*[0-9a-z_])?$`)

// hosts reads a list of hosts and addresses; ranges of addresses make sense in private only.
func (r *configReader) hosts(s *Section, key string) (hosts []string) {
	for _, item := range s.list(key) {
		text, ok := item.string()
		host := plainHost(strings.Trim(text, "[]"))
		_, isPrefix := prefixOf(host)
		isPrefix = isPrefix && (key == "private" || !strings.Contains(host, "/"))
		if !ok || !isPrefix && !hostPattern.MatchString(host) {
			want := "a host such as api.example.com or *.example.com, without scheme, port and path"
			if key == "private" {
				want = "a host such as api.example.com or *.example.com, an address or a range such as 10.1.0.0/16"
			}
			r.problems.add(item.line, item.col, join(s.path, key), "got %s, want %s", item.shown(), want)
			continue
		}
		hosts = append(hosts, host)
	}
	return hosts
}

func prefixOf(text string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	prefix, err := netip.ParsePrefix(text)
	return prefix.Masked(), err == nil
}

func (r *configReader) proxy(s *Section) *url.URL {
	e, ok := s.find("proxy")
	if !ok {
		return nil
	}
	text, _ := e.value.string()
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
		// Not the value, in which a password may stand.
		s.Errorf("proxy", "want a URL that begins with http://, https:// or socks5://, such as http://proxy.example.com:3128")
		return nil
	}
	if password, ok := u.User.Password(); ok {
		r.expander.hide(password)
		r.expander.hide(u.User.String())
	}
	return u
}

// roots reads the file of certificates that stand beside the system's. It is one of the files of the
// configuration, so a change of it is a change of the configuration.
func (r *configReader) roots(s *Section, n *Network) (pem []byte) {
	file := s.File("ca", ".", "certs")
	if file == "" {
		return nil
	}
	r.expander.files = append(r.expander.files, file)
	pem, err := readAtMost(file, maxConfigBytes)
	if err != nil {
		s.Errorf("ca", "%v", err)
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		s.Errorf("ca", "there is no certificate in %s: want blocks that begin with -----BEGIN CERTIFICATE-----", file)
	}
	n.Roots = pool
	return pem
}

// nameAddresses notes the private addresses that settings of inputs name as they are, with their scheme: who
// writes http://127.0.0.1:8080 means it. What a name leads to is another matter.
func (r *configReader) nameAddresses() {
	if r.Network == nil {
		return
	}
	for _, c := range r.Collectors {
		for _, l := range c.Settings.levels() {
			l.mapping.texts(r.Network.nameAddress)
		}
	}
	h := sha256.New()
	fmt.Fprintf(h, "%x %q", r.Network.sum, slices.Sorted(maps.Keys(r.Network.named)))
	r.Network.sum = [sha256.Size]byte(h.Sum(nil))
}

func (n *Network) nameAddress(text string) {
	if !strings.HasPrefix(text, "http://") && !strings.HasPrefix(text, "https://") {
		return
	}
	u, err := url.Parse(text)
	if err != nil {
		return
	}
	host := plainHost(u.Hostname())
	addr, err := netip.ParseAddr(host)
	if kind := addrKind(addr); isLocalName(host) || err == nil && (kind == loopbackAddr || kind == privateAddr) {
		n.named[net.JoinHostPort(host, portOf(u))] = true
	}
}
