package bench

import (
	"cmp"
	_ "embed"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A setup is what a configuration of the program is made of.
type setup struct {
	places
	HTTPS      bool   // to the API, with gzip
	Script     string // one of scripts
	Collectors int
	Back       int    // days, where the first pull begins
	Period     int    // seconds
	Outbox     string // outbox_bytes; empty is the default
}

// declared is the built-in script; the others do the same with a function that is called for each row.
const declared = "declared"

var scripts = []string{declared, "def", "dict"}

//go:embed def.star
var defScript string

const service = "office365_exchange_message_service"

// write writes the configuration into a folder of its own and returns its file.
func (s *setup) write(dir string) (file string, err error) {
	folder := filepath.Join(dir, "scripts")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	form := ""
	if s.Script != declared {
		form = ", form: " + s.Script
		if err := os.WriteFile(filepath.Join(folder, service+".star"), []byte(defScript), 0o600); err != nil {
			return "", err
		}
	}
	host, port, err := net.SplitHostPort(s.Devo)
	if err != nil {
		return "", err
	}
	base := s.Plain
	if s.HTTPS {
		base = s.Secure
	}
	var b strings.Builder
	fmt.Fprintf(&b, `globals:
  id: 1
  name: bench
  persistence: {type: filesystem, config: {directory_name: %q}}
starling:
  scripts: %q
  listen: off
  network: {ca: %q}
  limits: {outbox_bytes: %s, shutdown_delivery: 1s}
outputs:
  devo_1:
    type: devo_platform
    config: {address: %s, port: %s, chain: %q, cert: %q, key: %q}
inputs:
`, filepath.Join(dir, "state"), folder, filepath.Join(s.Certs, caFile), cmp.Or(s.Outbox, "1GiB"), host, port, filepath.Join(s.Certs, "chain.crt"), filepath.Join(s.Certs, domain+".crt"), filepath.Join(s.Certs, domain+".key"))
	for i := range s.Collectors {
		fmt.Fprintf(&b, `  input_%d:
    id: %[1]d
    enabled: true
    max_historic_date_cutoff_days_back: %[2]d
    override_delay_in_seconds: 1
    request_period_in_seconds: %[3]d
    credentials: {tenant_id: bench, client_id: collector-%[1]d, client_secret: no-secret}
    services:
      %[4]s: {override_base_auth_url: %[5]q, override_base_resource_url: %[5]q, override_base_url: %[5]q%[6]s}
`, i, s.Back, s.Period, service, base, form)
	}
	file = filepath.Join(dir, "config.yaml")
	return file, os.WriteFile(file, []byte(b.String()), 0o600)
}

// daysBack is how many days back a pull has to begin to ask for all of a history.
func daysBack(h *history) int { return int(time.Since(h.From)/(24*time.Hour)) + 1 }
