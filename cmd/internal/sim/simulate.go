package sim

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

// The services a configuration can have.
const (
	ReportService = "office365_exchange_message_service"
	GraphService  = "office365_exchange_message_graph_service"
)

// WriteConfig writes dir/config/config.yaml, for somebody who wants to try a service against the simulator at an address. Its
// events go to the terminal. The folder also gets certs/microsoft.crt when ca, the authority of the address in PEM, is given.
func (m *Microsoft) WriteConfig(dir, base, service string, ca []byte) (file string, err error) {
	for _, folder := range []string{"config", "certs", "state"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			return "", fmt.Errorf("write configuration: %w", err)
		}
	}
	if ca != nil {
		if err := writeFiles(filepath.Join(dir, "certs"), map[string][]byte{authorityFile: ca}); err != nil {
			return "", err
		}
	}
	var text bytes.Buffer
	if err := tryTemplate.Execute(&text, map[string]any{"Base": base, "Microsoft": m.Options(), "Service": service, "Resource": m.resource(service),
		"CA": map[bool]string{true: authorityFile}[ca != nil]}); err != nil {
		return "", fmt.Errorf("write configuration: %w", err)
	}
	file = filepath.Join(dir, "config", "config.yaml")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil { // it holds a secret
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

const authorityFile = "microsoft.crt"

var tryTemplate = template.Must(template.New("try").Parse(`# Office 365 message trace of a simulated Microsoft, to the terminal.
globals:
  name: simulated
  id: not_used
  persistence:
    type: filesystem
    config:
      directory_name: state
{{if .CA}}
starling:
  network:
    ca: {{.CA}}
{{end}}
outputs:
  terminal:
    type: console

inputs:
  office365_exchange_message:
    id: 10001
    enabled: true
    credentials:
      tenant_id: {{.Microsoft.TenantID}}
      client_id: {{.Microsoft.ClientID}}
      client_secret: {{printf "%q" .Microsoft.ClientSecret}}
    services:
      {{.Service}}:
        override_base_auth_url: {{.Base}}
        override_base_resource_url: {{.Resource}}
        override_base_url: {{.Base}}
`))
