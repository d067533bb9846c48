package engine

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestAddressesThatAreNotPublicAreRefused(t *testing.T) {
	t.Parallel()
	n := &Network{}
	for _, text := range []string{
		"127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "::ffff:0:7f00:1",
		"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fc00::1", "fd12::1", "fec0::1", "::ffff:10.0.0.1", "64:ff9b::10.1.2.3",
		"169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
		"0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "239.255.255.250", "ff02::1", "255.255.255.255", "240.0.0.1", "198.18.0.1", "192.0.0.8", "2001::1",
	} {
		if err := n.CheckAddr("api.example.com", "443", netip.MustParseAddr(text)); err == nil {
			t.Errorf("%s may be reached", text)
		} else if CodeOf(err, "") != CodeConfig || !strings.Contains(err.Error(), "api.example.com leads to "+netip.MustParseAddr(text).String()+", a") || !strings.Contains(err.Error(), "starling.network.private") {
			t.Errorf("%s: got %v, want an error that names both and the setting", text, err)
		}
	}
	for _, text := range []string{"1.1.1.1", "172.32.0.1", "100.128.0.1", "169.253.0.1", "2606:4700::1111", "64:ff9b::101:101", "2001:4860:4860::8888", "::ffff:8.8.8.8"} {
		if err := n.CheckAddr("api.example.com", "443", netip.MustParseAddr(text)); err != nil {
			t.Errorf("%s: got %v, want no error", text, err)
		}
	}
}

func TestPrivateAddressesAreReachedWhereTheConfigurationSaysSo(t *testing.T) {
	t.Parallel()
	n := loadGood(t, nil, "starling:", `starling:
  network: {private: [10.1.0.0/16, "::1", 169.254.1.1, Internal.Example., "*.corp.example"], proxy: "http://u:a-password@10.9.9.9:3128"}`).Network
	for _, c := range []struct {
		host, addr string
		want       bool
	}{
		{"a.example", "10.1.2.3", true},
		{"a.example", "::ffff:10.1.2.3", true},
		{"a.example", "10.2.0.1", false},
		{"a.example", "::1", true},
		{"a.example", "127.0.0.1", false},
		{"a.example", "169.254.1.1", true},
		{"internal.example", "192.168.0.1", true},
		{"internal.example.", "127.0.0.1", true},
		{"internal.example", "169.254.169.254", false}, // a name is not enough for these
		{"internal.example", "0.0.0.0", false},
		{"evilinternal.example", "192.168.0.1", false},
		{"x.corp.example", "192.168.0.1", true},
		{"corp.example", "192.168.0.1", false},
		{"10.9.9.9", "10.9.9.9", false}, // the proxy, but another port
	} {
		if err := n.CheckAddr(c.host, "443", netip.MustParseAddr(c.addr)); (err == nil) != c.want {
			t.Errorf("%s at %s: got %v, want reachable: %v", c.host, c.addr, err, c.want)
		}
	}
	if err := n.CheckAddr("10.9.9.9", "3128", netip.MustParseAddr("10.9.9.9")); err != nil {
		t.Errorf("the proxy: %v", err)
	}
}

// TestAddressesInSettingsAreMeant: who writes http://127.0.0.1:8080 into a setting means it, but only it.
func TestAddressesInSettingsAreMeant(t *testing.T) {
	t.Parallel()
	n := loadGood(t, nil, "override_base_url: # left out", `override_delay_x: 60
        override_base_url: http://127.0.0.1:8080/x
        others: [{deep: "https://10.0.0.5"}, "http://localhost:7/", "https://169.254.169.254/", "https://[fd00::1]:8443", "10.0.0.6"]`).Network
	for text, want := range map[string]bool{
		"http://127.0.0.1:8080/y": true, "http://127.0.0.1:8081": false, "http://[::ffff:127.0.0.1]:8080": true, "https://10.0.0.5:443/": true, "https://10.0.0.6": false,
		"http://localhost:7": true, "http://LOCALHOST.:7": true, "http://localhost:8": false, "http://a.localhost:7": false, "https://169.254.169.254": false,
		"https://[fd00::1]:8443": true, "https://[fd00::2]:8443": false, "https://api.example.com": true,
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.CheckURL(u); (err == nil) != want {
			t.Errorf("%s: got %v, want reachable: %v", text, err, want)
		}
	}
	if err := n.CheckAddr("rebound.example", "8080", netip.MustParseAddr("127.0.0.1")); err == nil {
		t.Error("a name may lead to an address that was named for itself only")
	}
}

func TestAllowedHostsAreTheWholeList(t *testing.T) {
	t.Parallel()
	n := loadGood(t, nil, "starling:", "starling:\n  network: {allow_hosts: [api.example.com, \"*.files.example\", 192.0.2.7], private: 10.0.0.0/8}").Network
	for host, want := range map[string]bool{
		"api.example.com": true, "API.example.com.": true, "sub.api.example.com": false, "a.files.example": true, "files.example": false, "xfiles.example": false,
		"evil.example": false, "192.0.2.7": true, "192.0.2.8": false, "10.0.0.1": false,
	} {
		if err := n.CheckURL(&url.URL{Scheme: "https", Host: host}); (err == nil) != want {
			t.Errorf("%s: got %v, want reachable: %v", host, err, want)
		}
		if n.Listed(host) != want {
			t.Errorf("%s: listed is %v", host, !want)
		}
	}
	if (*Network)(nil).Listed("api.example.com") || (&Network{}).Listed("api.example.com") {
		t.Error("without a list something is listed")
	}
}

// TestNetworkIsReloaded: what scripts may reach, and which authorities are trusted, follow the file.
func TestNetworkIsReloaded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	seen := make(chan *Network, 10)
	w.transport = func(n *Network) http.RoundTripper { seen <- n; return http.DefaultTransport }
	w.write("ca.pem", authority(t))
	w.write("config.yaml", worldConfig+"starling: {network: {ca: ca.pem}}\n")
	w.start()
	first := <-seen
	w.write("ca.pem", authority(t))
	second := <-seen
	if first.Roots == nil || second.Roots == nil || first.Roots.Equal(second.Roots) {
		t.Errorf("the authorities did not change")
	}
	w.write("config.yaml", worldConfig+"starling: {network: {ca: ca.pem, allow_hosts: [api.example.com]}}\n")
	if third := <-seen; !third.Listed("api.example.com") || !third.Roots.Equal(second.Roots) {
		t.Errorf("got %+v, want the host and the same authorities", third)
	}
	wantCounted(t, w.sink("out").until(t, "events", has(1)))
}

// authority is a certificate in PEM.
func authority(t *testing.T) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
