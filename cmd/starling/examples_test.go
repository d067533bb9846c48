package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"starling/cmd/internal/sim"
)

// exampleIdentity is what tells events of the simulated APIs apart.
func exampleIdentity(event []byte) string {
	var ids struct {
		Document string `json:"_document_id"`
		UUID     string `json:"uuid"`
		ID       string `json:"id"`
		TxID     string `json:"txid"`
	}
	if json.Unmarshal(event, &ids) != nil {
		return ""
	}
	return ids.Document + ids.UUID + ids.ID + ids.TxID
}

// exampleRows are n rows of the day before now, the youngest ten minutes old.
func exampleRows(name string, n int) (rows []exampleRow) {
	now := time.Now().UTC().Truncate(time.Second)
	for i := range n {
		rows = append(rows, exampleRow{fmt.Sprintf("%s-%d", name, i), now.Add(-10*time.Minute - time.Duration(n-1-i)*23*time.Hour/time.Duration(n))})
	}
	return rows
}

// TestOtherAPIs runs the program against simulated APIs of other services, which page, want to be signed in to, throttle, fail and
// break off, each in its way; stops it in the middle of the first pull of all of them; and starts it again. Nothing is lost, and
// nothing comes twice.
func TestOtherAPIs(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeText(t, filepath.Join(dir, "certs", "okta.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	examples := []struct {
		script, tag string
		api         exampleAPI
		settings    string // with the address of the API
	}{
		{"github_organization_audit", "vcs.github.organization.audit", githubAPI{},
			"{organization: octo-corp, token: github-token-7Hq2, override_base_url: %q}"},
		{"okta_system_log", "auth.okta.system", oktaAPI{&key.PublicKey},
			"{okta_url: %q, client_id: 0oaApp, private_key: okta.pem, key_id: key-1}"},
		{"entra_sign_ins", "cloud.azure.ad.signin.global.msgraph", entraAPI{},
			"{tenant_id: contoso, client_id: app, client_secret: entra-secret-Kd02, requests_per_10_seconds: 5, override_base_url: %[1]q, override_base_auth_url: %[1]q}"},
		{"duo_authentication_log", "auth.duo.authentication.events", duoAPI{},
			"{hostname: %q, integration_key: DIEXAMPLE, secret_key: duo-secret-Xc39, requests_per_minute: 100}"},
	}
	certs, err := sim.NewCerts("demo")
	if err != nil {
		t.Fatal(err)
	}
	devo, err := sim.NewDevo(certs, sim.DevoOptions{Identity: exampleIdentity})
	if err != nil {
		t.Fatal(err)
	}
	defer devo.Close()
	if err := certs.Write(filepath.Join(dir, "certs")); err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(devo.Addr())
	config := fmt.Sprintf(`globals: {name: test, id: 1}
starling: {listen: "127.0.0.1:0", log: {level: debug}, internal_events: false}
outputs:
  devo_1: {type: devo_platform, config: {address: %s, port: %s, type: SSL, chain: chain.crt, cert: demo.crt, key: demo.key}}
inputs:
`, host, port)
	const rows = 90
	var servers []*exampleServer
	for _, e := range examples {
		s := &exampleServer{t: t, api: e.api, rows: exampleRows(e.script, rows), hold: true, held: make(chan struct{})}
		server := httptest.NewServer(s)
		defer server.Close()
		servers = append(servers, s)
		config += fmt.Sprintf("  %s:\n    id: 1\n    enabled: true\n    request_period_in_seconds: 1\n    max_historic_date_cutoff_days_back: 1\n    services: {%s: %s}\n",
			e.script, e.script, fmt.Sprintf(e.settings, server.URL))
	}
	writeText(t, filepath.Join(dir, "config.yaml"), config)

	p := startRun(t, dir)
	for i, s := range servers {
		select {
		case <-s.held:
		case <-time.After(2 * time.Minute):
			t.Fatalf("%s is not in the middle of its pull:\n%s", examples[i].script, p.log.String())
		}
	}
	p.signal(syscall.SIGTERM)
	if code := p.exitCode(time.Minute); code != 0 {
		t.Fatalf("got exit code %d, want 0:\n%s", code, p.log.String())
	}
	if n := devo.Different(); n >= rows*len(examples) {
		t.Fatalf("%d events before the restart, which was not in the middle", n)
	}
	truth, log := map[string]bool{}, p.log.String()
	for i, s := range servers {
		// More has happened meanwhile: for a stream now, for the others in the time that is not asked for yet.
		s.goOn()
		if examples[i].script == "okta_system_log" {
			s.goOn(exampleRow{"okta-later", time.Now().UTC()})
		}
		for _, row := range s.rows {
			truth[row.id] = true
		}
	}
	p = startRun(t, dir)
	until(t, "all events are received", func() bool { return devo.Different() >= len(truth) })
	pulls := p.status().Collectors
	until(t, "everything was asked for once more", func() bool {
		for i, c := range p.status().Collectors {
			if c.Pulls < pulls[i].Pulls+1 {
				return false
			}
		}
		return true
	})
	p.signal(syscall.SIGTERM)
	if code := p.exitCode(time.Minute); code != 0 {
		t.Fatalf("got exit code %d, want 0:\n%s", code, p.log.String())
	}
	missing, extra, twice := devo.Compare(func(yield func(string) bool) {
		for id := range truth {
			if !yield(id) {
				return
			}
		}
	})
	if missing+extra+twice > 0 {
		t.Errorf("%d missing, %d that nobody sent, %d twice", missing, extra, twice)
	}
	tags := devo.Tags()
	for _, e := range examples {
		if tags[e.tag] < rows {
			t.Errorf("%s: %d events of the tag %s, want %d", e.script, tags[e.tag], e.tag, rows)
		}
	}
	log += p.log.String()
	for _, secret := range []string{"github-token-7Hq2", "okta-access-Wz81", "entra-secret-Kd02", "entra-access-Lm55", "duo-secret-Xc39", "eyJ", "PRIVATE KEY"} {
		if strings.Contains(log, secret) {
			t.Errorf("%s is in the log", secret)
		}
	}
}
