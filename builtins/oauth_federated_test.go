package builtins

import (
	"os"
	"path/filepath"
	"testing"

	"starling/engine"
)

const federatedScript = `
api = http.client(base, auth = oauth.client_credentials(base + "/token", client_id = "app", assertion_file = config.file("jwt"), scope = "s"))
def pull():
    return api.get("/data").status
`

// Kubernetes writes the token of a workload anew every hour or so: the file is read for each request.
func TestAFederatedTokenIsReadAnew(t *testing.T) {
	t.Parallel()
	s := &signIn{lifetime: `"expires_in": 3600`}
	n := newNetTest(t, s.ServeHTTP)
	file := writeFile(t, filepath.Join(t.TempDir(), "jwt"), []byte("first-header.first-claims.first-signature\n"))
	n.settings = map[string]any{"jwt": file}
	script := n.load(t, federatedScript)
	for i, text := range []string{"first-header.first-claims.first-signature", "second-header.second-claims.second-signature"} {
		writeFile(t, file, []byte(text+"\n"))
		v, err := script.pull(t.Context())
		wantValue(t, v, err, "200")
		if got := s.forms[i].Get("client_assertion"); got != text || s.forms[i].Get("client_assertion_type") != assertionType || s.forms[i].Has("client_secret") {
			t.Errorf("got %v, want the assertion %s", s.forms[i], text)
		}
		n.noSecrets(t, nil, text)
		s.revoke()
	}
	for text, want := range map[string]string{"": "is empty", "one.two": "it is no JSON web token", "a.b.c d": "it is no JSON web token"} {
		writeFile(t, file, []byte(text))
		_, err := script.pull(t.Context())
		wantError(t, err, engine.CodeAuth, "the assertion in "+file, want, "whoever keeps it up to date has to write it again")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	_, err := script.pull(t.Context())
	wantError(t, err, engine.CodeAuth, "no such file", "whoever keeps it up to date has to write it again")
	if s.asked() != 2 {
		t.Errorf("got %d requests for tokens, want 2: a wrong file is not sent", s.asked())
	}
}
