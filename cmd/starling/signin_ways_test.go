package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"software.sslmate.com/src/go-pkcs12"

	"starling/builtins"
	"starling/cmd/internal/sim"
	"starling/engine"
	"starling/scripts"
)

// A signInWay is a way to sign in: settings, and how the simulated Microsoft has to be for it.
type signInWay struct {
	settings map[string]any
	prepare  func(*sim.Options)
	identity func(*engine.Identity)
}

// TestEveryWayToSignIn has both services sign in, in each way that there is, at a Microsoft that checks secrets,
// signatures, thumbprints and what tokens are for, and now and then revokes all tokens.
func TestEveryWayToSignIn(t *testing.T) {
	t.Parallel()
	for name, way := range signInWays(t) {
		for _, script := range []string{"office365_exchange_message_service", "office365_exchange_message_graph_service"} {
			t.Run(name+", "+script, func(t *testing.T) {
				t.Parallel()
				signIn(t, way, script)
			})
		}
	}
}

func signInWays(t *testing.T) map[string]signInWay {
	cert, both := selfSigned(t, time.Now().Add(100*24*time.Hour))
	certBlock, keyBlock := splitPEM(t, both)
	key, err := x509.ParsePKCS1PrivateKey(keyBlock.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pfx, err := pkcs12.Modern.Encode(key, cert, nil, "pass word")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name, text string) string {
		writeText(t, filepath.Join(dir, name), text)
		return filepath.Join(dir, name)
	}
	pemFile, alone, keyFile, pfxFile := file("both.pem", both), file("cert.pem", certBlock), file("key.pem", string(pem.EncodeToMemory(keyBlock))), file("app.pfx", string(pfx))
	known := func(o *sim.Options) { o.Token.Certificates = []*x509.Certificate{cert} }
	const v2 = "https://login.microsoftonline.com/3f2c1b9e-5d47-4a0b-9a66-0c1de5a7b001/oauth2/v2.0/token"
	const v1 = "https://login.microsoftonline.com/3f2c1b9e-5d47-4a0b-9a66-0c1de5a7b001/oauth2/token"
	nothing := func(*sim.Options) {}
	federated, trust := federatedFile(t, file)
	return map[string]signInWay{
		"secret, first version":             {map[string]any{"client_secret": "sim~8Q+/secret=of&the%simulator", "override_base_auth_url": v1}, nothing, nil},
		"secret, second version":            {map[string]any{"client_secret": "sim~8Q+/secret=of&the%simulator", "override_base_auth_url": v2}, nothing, nil},
		"certificate, PS256":                {map[string]any{"client_certificate": pemFile}, known, nil},
		"certificate and key, RS256":        {map[string]any{"client_certificate": alone, "client_certificate_key": keyFile, "client_certificate_algorithm": "RS256"}, known, nil},
		"certificate in PKCS#12":            {map[string]any{"client_certificate": pfxFile, "client_certificate_password": "pass word", "override_base_auth_url": v2}, known, nil},
		"federated token":                   {map[string]any{"federated_token_file": federated}, trust, nil},
		"managed identity":                  {map[string]any{"managed_identity": true, "client_id": nil}, nothing, nil},
		"managed identity of several":       {map[string]any{"managed_identity": true, "client_id": "the-second"}, func(o *sim.Options) { o.Token.Identity.ClientID = "the-second" }, nil},
		"managed identity of an AppService": {map[string]any{"managed_identity": true, "client_id": nil}, func(o *sim.Options) { o.Token.Identity.Header = "header-Rt5" }, appService},
		"refresh token":                     {map[string]any{"refresh_token": "first-Qm4", "refresh_token_key": strings.Repeat("k", 32)}, func(o *sim.Options) { o.Token.RefreshToken = "first-Qm4" }, nil},
	}
}

func appService(i *engine.Identity) {
	i.Endpoint, i.Header = "http://127.0.0.1:41741/msi/token", engine.NewSecret("header-Rt5")
}

func splitPEM(t *testing.T, both string) (cert string, key *pem.Block) {
	t.Helper()
	block, rest := pem.Decode([]byte(both))
	if key, _ = pem.Decode(rest); key == nil {
		t.Fatal("no key")
	}
	return string(pem.EncodeToMemory(block)), key
}

// federatedFile writes what another identity provider says about a workload, and has it trusted.
func federatedFile(t *testing.T, file func(name, text string) string) (path string, trust func(*sim.Options)) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.MapClaims{"iss": "https://cluster.example", "sub": "system:serviceaccount:starling", "aud": "api://AzureADTokenExchange", "exp": time.Now().Add(time.Hour).Unix()}
	text, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return file("workload.jwt", text+"\n"), func(o *sim.Options) {
		o.Token.Federated = sim.Federated{Issuer: "https://cluster.example", Subject: "system:serviceaccount:starling", Key: &key.PublicKey}
	}
}

func signIn(t *testing.T, way signInWay, name string) {
	now := time.Now()
	o := sim.Options{Seed: 5, KeepLog: true, RevokeEvery: 4, Rows: sim.Rows{From: now.Add(-48 * time.Hour), To: now.Add(-26 * time.Hour), Count: 50}}
	way.prepare(&o)
	m := sim.NewMicrosoft(o)
	transport, stop := m.Transport()
	defer stop()
	store, err := engine.OpenStore("", 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	env := &engine.Env{Logger: slog.New(slog.DiscardHandler), Telemetry: engine.NewTelemetry(nil, nil), Transport: transport, Identity: engine.Identity{Transport: transport},
		Shared: &engine.Shared{}, Redactor: &engine.Redactor{}, Limits: engine.Limits{}.WithDefaults(), Store: store}
	if way.identity != nil {
		way.identity(&env.Identity)
	}
	settings := map[string]any{"tenant_id": m.Options().TenantID, "client_id": m.Options().ClientID, "mode": "fresh", "max_historic_date_cutoff_days_back": 2}
	maps.Copy(settings, way.settings)
	maps.DeleteFunc(settings, func(_ string, v any) bool { return v == nil })
	library := &engine.Library{Builtin: scripts.FS(), Predeclared: builtins.All()}
	sources, err := library.Read()
	if err != nil {
		t.Fatal(err)
	}
	script, err := library.Load(sources, name+".star", &engine.Load{Settings: engine.NewSettings(settings), Env: env, Collector: "in/1/" + name})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := script.Run(engine.NewPull(t.Context(), env, "in/1/"+name)); err != nil {
		t.Fatal(err)
	}
	if c := m.Counters(); c.Unauthorized == 0 || c.Tokens != c.Unauthorized+1 {
		t.Errorf("got %d tokens, want one and another for each of the %d requests with a revoked one", c.Tokens, c.Unauthorized)
	}
	if events, _, err := store.Kept(0); err != nil || len(events) == 0 {
		t.Errorf("got %d events, %v; want some of 50 rows", len(events), err)
	}
	for class, want := range map[string]bool{"identity": way.settings["managed_identity"] == true, "token": way.settings["managed_identity"] != true} {
		asked := false
		for _, r := range m.Log() {
			asked = asked || r.API == class
		}
		if asked != want {
			t.Errorf("asked for a %s: %v, want %v", class, asked, want)
		}
	}
}
