package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"starling/sinks/sinktest"
)

// A certificate of 13 days is replaced by one of 15.
func TestCertificateThatExpiresSoonIsShown(t *testing.T) {
	t.Parallel()
	authority := sinktest.NewAuthority(t, "domain CA")
	receiver := sinktest.NewReceiver(t, sinktest.ServerConfig(t, authority.Issue(t, sinktest.Identity{Name: "receiver"}), authority), false)
	_, url := newGreetings(t)
	host, port := receiver.Address()
	dir := helloDir(t, "127.0.0.1:0", fmt.Sprintf("devo: {type: devo_platform, config: {address: %s, port: %d, type: SSL, chain: chain.crt, cert: client.crt, key: client.key}}", host, port), url)
	writeText(t, filepath.Join(dir, "certs", "chain.crt"), string(authority.PEM))
	const day = 24 * time.Hour
	ends := time.Now().Add(13 * day).Truncate(time.Second).UTC()
	authority.Issue(t, sinktest.Identity{Name: "client", Ends: ends}).Write(t, filepath.Join(dir, "certs"), "client")
	p := startRun(t, dir)
	waitLog(t, &p.log, regexp.MustCompile(`level=WARN msg="(a certificate expires soon).*`+ends.Format(time.DateTime)))
	if s := p.status().Sinks[0]; s.CertificateState != "expires_soon" || s.CertificateEnds == nil || !s.CertificateEnds.Equal(ends) {
		t.Errorf("/status: got %q, %v, want expires_soon, %v", s.CertificateState, s.CertificateEnds, ends)
	}
	metric := regexp.MustCompile(`(?m)^starling_certificate_remaining_seconds\{sink="devo"\} (\S+)$`)
	m := metric.FindStringSubmatch(fetch(t, p.url+"/metrics"))
	if m == nil {
		t.Fatal("/metrics has no starling_certificate_remaining_seconds")
	}
	if left, err := strconv.ParseFloat(m[1], 64); err != nil || left > (13*day).Seconds() || left < (12*day).Seconds() {
		t.Errorf("the metric says %s s, %v; want nearly 13 days", m[1], err)
	}
	if _, body, _ := request(t, "GET", p.url+"/readyz"); strings.Contains(body, "certificate") {
		t.Errorf("/readyz: got %s, want nothing about a certificate that works", body)
	}
	authority.Issue(t, sinktest.Identity{Name: "client", Ends: ends.Add(2 * day)}).Write(t, filepath.Join(dir, "certs"), "client")
	until(t, "the new certificate is in use", func() bool { return p.status().Sinks[0].CertificateState == "ok" })
}
