package sim

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

type worldConfig struct {
	Globals struct {
		Name        string
		Persistence struct {
			Type   string
			Config struct {
				Folder string `yaml:"directory_name"`
			}
		}
	}
	Outputs map[string]struct {
		Type   string
		Config struct {
			Address, Type, Chain, Cert, Key string
			Port                            int
		}
	}
	Inputs map[string]struct {
		ID          int
		Enabled     bool
		Credentials struct {
			Tenant string `yaml:"tenant_id"`
			Client string `yaml:"client_id"`
			Secret string `yaml:"client_secret"`
		}
		Services map[string]struct {
			Delay    int    `yaml:"override_delay_in_seconds"`
			Auth     string `yaml:"override_base_auth_url"`
			Resource string `yaml:"override_base_resource_url"`
			Base     string `yaml:"override_base_url"`
		}
	}
}

// The folder is all a collector gets: with what stands in it both sides can be used.
func TestWorldIsUsableFromItsFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret := `a"b\c: #'d`
	w, err := NewWorld(dir, WorldOptions{Microsoft: Options{ClientSecret: secret, Rows: Rows{From: time.Now().Add(-time.Hour), PerSecond: 1}}, Delay: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	text, err := os.ReadFile(w.ConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	var config worldConfig
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	input, service := config.Inputs["office365_exchange_message"], config.Inputs["office365_exchange_message"].Services["office365_exchange_message_service"]
	output := config.Outputs["devo_1"]
	if config.Globals.Name == "" || config.Globals.Persistence.Type != "filesystem" || config.Globals.Persistence.Config.Folder != "state" ||
		!input.Enabled || input.ID == 0 || service.Delay != 3 || output.Type != "devo_platform" || output.Config.Type != "SSL" || input.Credentials.Secret != secret {
		t.Errorf("got %+v from\n%s", config, text)
	}

	response, err := http.PostForm(service.Auth+"/"+input.Credentials.Tenant+"/oauth2/token", url.Values{"grant_type": {"client_credentials"},
		"client_id": {input.Credentials.Client}, "client_secret": {input.Credentials.Secret}, "resource": {service.Resource}})
	if err != nil {
		t.Fatal(err)
	}
	if body := readAll(t, response); response.StatusCode != 200 {
		t.Errorf("token: got %d %s", response.StatusCode, body)
	}
	c := client{t: t, sim: w.Microsoft, base: service.Base, accept: "application/json"}
	c.token = c.signIn()
	if rows := len(c.pages("", nil)[0]); rows < 1000 {
		t.Errorf("got %d rows", rows)
	}

	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, "certs", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	certs := &Certs{chain: read(output.Config.Chain), cert: read(output.Config.Cert), key: read(output.Config.Key)}
	s := dial(t, w.Devo, certs)
	if _, err := io.WriteString(s, frame(event(1))); err != nil {
		t.Fatal(err)
	}
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	if got := w.Devo.Counters().Events; got != 1 {
		t.Errorf("got %d events", got)
	}
	for _, name := range []string{"config/config.yaml", "certs/" + output.Config.Key} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got %v (%v), want 0600", name, info.Mode(), err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "state")); err != nil || !info.IsDir() {
		t.Errorf("state: %v", err)
	}
}

// A second world in the same folder finds its state and replaces the rest.
func TestWorldKeepsState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 {
		w, err := NewWorld(dir, WorldOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "state", "kept"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "state", "kept")); err != nil {
		t.Error(err)
	}
}
