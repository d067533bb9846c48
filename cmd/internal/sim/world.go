package sim

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// WorldOptions describe both sides and the configuration that is written for them.
type WorldOptions struct {
	Microsoft Options
	Devo      DevoOptions
	Name      string        // of the collector; default o365_emt_demo
	Service   string        // default ReportService
	Domain    string        // of the client certificate; default demo
	Delay     time.Duration // override_delay_in_seconds; default 5 s
	Period    time.Duration // request_period_in_seconds; default 1 s
	DaysBack  int           // max_historic_date_cutoff_days_back; default 1
}

// World is a Microsoft and a Devo on loopback, and a folder as Devo's manual describes it:
//
//	Dir/config/config.yaml                          the on-premise form, pointing to both
//	Dir/certs/{chain.crt,<domain>.crt,<domain>.key}
//	Dir/state/                                      empty
type World struct {
	Microsoft *Microsoft
	Devo      *Devo
	Certs     *Certs
	Dir       string
	Base      string // URL of Microsoft

	options WorldOptions
}

// NewWorld starts both sides and writes the folder. A folder that exists keeps its state; its configuration and certificates are
// written anew, as ports and authority are new.
func NewWorld(dir string, o WorldOptions) (*World, error) {
	o = o.withDefaults()
	certs, err := NewCerts(o.Domain)
	if err != nil {
		return nil, err
	}
	if err := certs.Write(filepath.Join(dir, "certs")); err != nil {
		return nil, err
	}
	devo, err := NewDevo(certs, o.Devo)
	if err != nil {
		return nil, err
	}
	w := &World{Microsoft: NewMicrosoft(o.Microsoft), Devo: devo, Certs: certs, Dir: dir, options: o}
	if w.Base, err = w.Microsoft.Start("127.0.0.1:0"); err != nil {
		return nil, errors.Join(err, devo.Close())
	}
	if err := w.WriteConfig(devo.Addr()); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (o WorldOptions) withDefaults() WorldOptions {
	if o.Name == "" {
		o.Name = "o365_emt_demo"
	}
	if o.Service == "" {
		o.Service = ReportService
	}
	if o.Domain == "" {
		o.Domain = "demo"
	}
	if o.Delay == 0 {
		o.Delay = 5 * time.Second
	}
	if o.Period == 0 {
		o.Period = time.Second
	}
	if o.DaysBack == 0 {
		o.DaysBack = 1
	}
	return o
}

// Close ends both sides; the folder stays.
func (w *World) Close() error { return errors.Join(w.Microsoft.Close(), w.Devo.Close()) }

// ConfigFile is the path of the configuration file.
func (w *World) ConfigFile() string { return filepath.Join(w.Dir, "config", "config.yaml") }

// CertsDir is where the client's certificates are.
func (w *World) CertsDir() string { return filepath.Join(w.Dir, "certs") }

// WriteConfig writes the configuration file anew, with a receiver at an address, host:port. NewWorld has written one for Devo.
func (w *World) WriteConfig(receiver string) error {
	o := w.options
	for _, folder := range []string{"config", "state"} {
		if err := os.MkdirAll(filepath.Join(w.Dir, folder), 0o755); err != nil {
			return fmt.Errorf("write configuration: %w", err)
		}
	}
	host, port, err := net.SplitHostPort(receiver)
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	seconds := func(d time.Duration) string { return strconv.Itoa(max(1, int(d/time.Second))) }
	mode := ""
	if o.Service == GraphService {
		mode = "\n        mode: delayed                          # default fresh, which asks again for what appears late"
	}
	m := w.Microsoft.Options()
	text := strings.NewReplacer("{{.Name}}", o.Name, "{{.Domain}}", o.Domain, "{{.Host}}", host, "{{.Port}}", port, "{{.Base}}", w.Base,
		"{{.TenantID}}", m.TenantID, "{{.ClientID}}", m.ClientID, "{{.ClientSecret}}", strconv.Quote(m.ClientSecret),
		"{{.Service}}", o.Service, "{{.Resource}}", w.Microsoft.resource(o.Service), "{{.Mode}}", mode,
		"{{.Delay}}", seconds(o.Delay), "{{.Period}}", seconds(o.Period), "{{.DaysBack}}", fmt.Sprint(o.DaysBack)).Replace(configTemplate)
	if err := os.WriteFile(w.ConfigFile(), []byte(text), 0o600); err != nil { // it holds a secret
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

const configTemplate = `# Office 365 message trace to Devo.
globals:
  debug: false
  id: not_used
  name: {{.Name}}
  persistence:
    type: filesystem
    config:
      directory_name: state

outputs:
  devo_1:
    type: devo_platform
    config:
      address: {{.Host}}          # for the real one: collector-eu.devo.io or collector-us.devo.io
      port: {{.Port}}                # and 443
      type: SSL
      # Devo > Administration > Credentials > X.509 Certificates; the files are in certs/
      chain: chain.crt
      cert: {{.Domain}}.crt
      key: {{.Domain}}.key

inputs:
  office365_exchange_message:
    id: 10001
    enabled: true
    max_historic_date_cutoff_days_back: {{.DaysBack}}     # how far back the first run begins; Microsoft keeps 10 days
    credentials:
      tenant_id: {{.TenantID}}
      client_id: {{.ClientID}}
      client_secret: {{.ClientSecret}}
    services:
      {{.Service}}:{{.Mode}}
        request_period_in_seconds: {{.Period}}
        override_delay_in_seconds: {{.Delay}}            # default 90000, as Microsoft shows some messages a day late
        # Only where the service is not at its usual address, as in national clouds.
        override_base_auth_url: {{.Base}}
        override_base_resource_url: {{.Resource}}
        override_base_url: {{.Base}}
`
