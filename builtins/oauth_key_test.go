package builtins

import (
	"path/filepath"
	"testing"

	"starling/engine"
)

const keyScript = `
proof = oauth.private_key(config.file("key"), kid = "the-key", alg = config.string("alg", default = "RS256"))
api = http.client(base, auth = oauth.client_credentials(base + "/tenant/oauth2/v2.0/token", client_id = "app", private_key = proof, scope = "s"),
    retry = http.retry(2, backoff = "1ms"))
def pull():
    return api.get("/data").status
`

func TestAKeyAloneConvincesAnIndependentServer(t *testing.T) {
	t.Parallel()
	pair := aroundNow(t, 0)
	for name, c := range map[string]struct {
		key []byte
		alg string
	}{
		"PKCS#1": {pair.pkcs1(), "RS256"},
		"PKCS#8": {pair.pkcs8(t), "RS256"},
		"PS256":  {pair.pkcs8(t), "PS256"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, v := newVerifier(t, pair.cert, c.alg)
			v.kid, v.busy = "the-key", 1 // the second attempt needs an assertion of its own
			n.settings = map[string]any{"alg": c.alg, "key": writeFile(t, filepath.Join(t.TempDir(), "key.pem"), c.key)}
			got, err := n.load(t, keyScript).pull(t.Context())
			if err != nil || len(v.problems) > 0 || v.asked != 2 {
				t.Fatalf("%v; the server was asked %d times and says %q", err, v.asked, v.problems)
			}
			wantValue(t, got, err, "200")
			n.noSecrets(t, nil, "eyJ", "PRIVATE KEY")
		})
	}
}

func TestWrongKeysSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	n := bareNetTest(t)
	n.base = "https://api.example.com"
	pair := aroundNow(t, 0)
	n.settings = map[string]any{"key": writeFile(t, filepath.Join(t.TempDir(), "bad.pem"), pair.certPEM())}
	_, err := n.tryLoad(keyScript)
	wantError(t, err, engine.CodeConfig, "bad.pem: there is no private key")
	n.settings = map[string]any{"alg": "HS256", "key": writeFile(t, filepath.Join(t.TempDir(), "key.pem"), pair.pkcs1())}
	_, err = n.tryLoad(keyScript)
	wantError(t, err, "none", `alg: got "HS256", want RS256 or PS256`)
}
