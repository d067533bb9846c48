package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The services a configuration can have.
const (
	ReportService = "office365_exchange_message_service"
	GraphService  = "office365_exchange_message_graph_service"
)

// The files that WriteConfig names, below its folder.
const (
	EventsFile      = "events.jsonl" // where the configuration sends events
	authorityFile   = "microsoft.crt"
	applicationFile = "client.pem"
)

// WriteConfig writes dir/config/config.yaml, for somebody who wants to try a service against the simulator at an address. The first
// pull starts where the rows do, and events go to dir/events.jsonl. The folder also gets certs/client.pem, which the application can
// sign in with from now on, and certs/microsoft.crt when ca, the authority of the address in PEM, is given.
func (m *Microsoft) WriteConfig(dir, base, service string, ca []byte) (file string, err error) {
	cert, both, err := applicationCertificate()
	if err != nil {
		return "", fmt.Errorf("make certificates: %w", err)
	}
	m.Change(func(o *Options) { o.Token.Certificates = append(o.Token.Certificates, cert) })
	files := map[string][]byte{applicationFile: both}
	if ca != nil {
		files[authorityFile] = ca
	}
	for _, folder := range []string{"config", "certs", "state"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			return "", fmt.Errorf("write configuration: %w", err)
		}
	}
	if err := writeFiles(filepath.Join(dir, "certs"), files); err != nil {
		return "", err
	}
	var network string
	if ca != nil {
		network = "\nstarling:\n  network:\n    ca: " + authorityFile + "\n"
	}
	o := m.Options()
	text := strings.NewReplacer("{{.Network}}", network, "{{.Base}}", base, "{{.Service}}", service, "{{.Days}}", strconv.Itoa(m.days(service)),
		"{{.Resource}}", m.resource(service), "{{.Events}}", EventsFile, "{{.Certificate}}", applicationFile, "{{.AppService}}", appServicePath,
		"{{.TenantID}}", o.TenantID, "{{.ClientID}}", o.ClientID, "{{.ClientSecret}}", strconv.Quote(o.ClientSecret),
		"{{.IdentityHeader}}", o.Token.Identity.Header, "{{.RefreshToken}}", o.Token.RefreshToken).Replace(tryTemplate)
	file = filepath.Join(dir, "config", "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil { // it holds a secret
		return "", fmt.Errorf("write configuration: %w", err)
	}
	return file, nil
}

// resource is what tokens for a service are for.
func (m *Microsoft) resource(service string) string {
	if service == GraphService {
		return graphResource
	}
	return m.Options().Resource
}

// days is after how many days everything is older than the first row, as far as the service goes back.
func (m *Microsoft) days(service string) int {
	o := m.Options()
	keeps := o.RetentionDays
	if service == GraphService {
		keeps = graphDays
	}
	return min(keeps, max(0, int(o.now().Sub(o.Rows.From)/(24*time.Hour)))+1)
}

// tryTemplate is no text/template, which would make the linker keep every method in the program: 5 MB.
const tryTemplate = `# Office 365 message trace of a simulated Microsoft, to a file.
globals:
  name: simulated
  id: not_used
  persistence:
    type: filesystem
    config:
      directory_name: state
{{.Network}}
outputs:
  events:
    type: file
    config:
      path: {{.Events}}             # compared with the truth when the simulation ends

inputs:
  office365_exchange_message:
    id: 10001
    enabled: true
    max_historic_date_cutoff_days_back: {{.Days}}
    credentials:
      tenant_id: {{.TenantID}}
      client_id: {{.ClientID}}
      client_secret: {{.ClientSecret}}
      # Other ways to sign in; one of them can stand in place of client_secret.
      # client_certificate: {{.Certificate}}
      # managed_identity: true      # and in the environment IDENTITY_ENDPOINT={{.Base}}{{.AppService}} IDENTITY_HEADER={{.IdentityHeader}}
      # refresh_token: {{.RefreshToken}}
      # refresh_token_key: what it is encrypted with, 32 bytes or more
    services:
      {{.Service}}:
        override_base_auth_url: {{.Base}}
        override_base_resource_url: {{.Resource}}
        override_base_url: {{.Base}}
`
