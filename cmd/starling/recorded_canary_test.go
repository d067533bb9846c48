package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestCanariesAppearInNoCase records pulls whose API repeats every secret in every form, looks for the secrets in the cases, and
// replays these where there are none.
func TestCanariesAppearInNoCase(t *testing.T) {
	t.Parallel()
	var assertions lockedBuffer
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if form, _ := url.ParseQuery(string(body)); form.Has("client_assertion") {
			fmt.Fprintln(&assertions, form.Get("client_assertion"))
		}
		canaryAPI(w, r)
	}))
	defer api.Close()
	untrusted := httptest.NewTLSServer(http.HandlerFunc(canaryAPI))
	defer untrusted.Close()
	dir, pemLine, appLine := canaryDir(t, api.URL, untrusted.URL, "text")
	edit(t, filepath.Join(dir, "config.yaml"), "limits: {shutdown", "recordings: {keep: 100000}\n  limits: {shutdown")
	var log lockedBuffer
	c := exec.Command("starling", "run", "--record", "cases")
	c.Dir, c.Stdout, c.Stderr = dir, &log, &log
	c.Env = append(os.Environ(), "CANARY_OPAQUE="+canaries["a secret from the environment"])
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() })
	latest := func(mode string) string {
		files, _ := filepath.Glob(filepath.Join(dir, "cases", "*s_"+mode+".case"))
		if len(files) == 0 {
			return ""
		}
		return files[len(files)-1]
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%.20000s", log.String()[max(0, len(log.String())-20000):])
		}
	})
	until(t, "every service was recorded", func() bool {
		for _, mode := range canaryModes {
			if latest(mode) == "" {
				return false
			}
		}
		return true
	})
	c.Process.Signal(syscall.SIGTERM)
	c.Wait()

	secrets := map[string]string{"the key": pemLine, "the key of the application": appLine}
	for name, secret := range canaries {
		secrets[name] = core(secret)
	}
	for i, assertion := range strings.Fields(assertions.String()) {
		if signature := assertion[strings.LastIndex(assertion, ".")+1:]; len(signature) > 40 {
			secrets[fmt.Sprint("assertion ", i)] = signature[:40]
		}
	}
	files, _ := filepath.Glob(filepath.Join(dir, "cases", "*.case"))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for name, secret := range secrets {
			for form, searched := range searchedForms(secret) {
				if at := bytes.Index(data, []byte(searched)); at >= 0 {
					t.Errorf("%s shows %s (%s): …%q…", filepath.Base(file), name, form, data[max(at-200, 0):min(at+60, len(data))])
				}
			}
		}
	}
	replay := exec.Command("starling", append([]string{"replay", "--scripts", "scripts"}, files...)...)
	replay.Dir = dir
	if out, err := replay.CombinedOutput(); err != nil {
		t.Errorf("replay: %v\n%.8000s", err, out)
	}
}
