package main

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"starling/cmd/internal/sim"
)

// Canaries are secrets that can be recognised. The part in the middle survives every way of escaping.
var canaries = map[string]string{
	"client secret, from the secrets folder": "+cs/K7qZp2VwRt1&\"=",
	"api key, from a file":                   "ak~M3xBn8LdYs6!",
	"a secret from the environment":          "env H5gTc9WjUe4&=+",
	"a secret in the query":                  "qs+/P8vFd3KxNa7&?",
	"the user's password":                    "pw:J2mRb6QhCz5 <>",
	"a password that is read as a string":    "st\"/W4nLk9DpXf1'",
	"the token":                              "tok.E6yHs1ZrGm8-_",
	"an assertion from a file":               "eyh.A4dRw9TqLs7.sig",
	"a refresh token":                        "rt_S8hVx2MnEo5~",
	"a new refresh token":                    "rt_C1pGu6BzIk3~",
	"the key of refresh tokens":              "key+/O7sXl4HqYd0&=0123456789abcdef",
	"the password of PKCS#12":                "p12'F3jTb8WmZa6 \"",
	"the tenant's id":                        "dir-N9vBc4XsDg2-",
	"the client's id":                        "app-Y5kRe7UoPi3-",
}

func core(secret string) string {
	end := strings.IndexFunc(secret, func(r rune) bool { return r >= 'A' && r <= 'Z' })
	return secret[end : end+10]
}

const canaryScript = `
client_secret = config.secret("client_secret")
api_key = config.secret("api_key")
opaque = config.secret("opaque")
signed = config.secret("signed")
user = config.secret("user_pass")
plain = config.string("login_password")
tenant, app_id = config.string("tenant_id"), config.string("client_id")
mode = config.string("mode")
base = config.url("base_url")
other = config.url("other_url")

tokens = oauth.client_credentials(base + "/token" + ("" if mode != "token" else "/bad/" + tenant), client_id = app_id, client_secret = client_secret, scope = "x", params = {"more": opaque})
retry = http.retry(times = 1, backoff = "1ms", cap = "1ms")
headers = {"X-Key": api_key, "X-Plain": plain}
api = http.client(base, auth = tokens, headers = headers, retry = retry)
basic = http.client(base, auth = http.basic("user", user), headers = headers, retry = retry)
away = http.client(other, auth = http.api_key(opaque), retry = retry)

def proved(**proof):
    return http.client(base, auth = oauth.client_credentials(base + "/token/bad", client_id = app_id, scope = "x", **proof), retry = retry)

by_pem = proved(certificate = oauth.certificate(config.file("pem_file")))
by_pfx = proved(certificate = oauth.certificate(config.file("pfx_file"), password = config.secret("pfx_password"), alg = "RS256"))
by_file = proved(assertion_file = config.file("assertion_file"))

def refreshed(path):
    return http.client(base, auth = oauth.refresh_token(base + path, client_id = app_id, refresh_token = config.secret("refresh_token"), key = config.secret("refresh_key")), headers = headers, retry = retry)

once, twice = refreshed("/token/bad"), refreshed("/token")
table = devo.table("my.app.canary", key = [field("id")])
print("loaded", client_secret, plain, api, tokens, user)

def pull():
    print("pulls", mode, client_secret, [api_key], {"a": opaque}, plain, tenant, [app_id])
    log.warn("at work", secret = client_secret, text = plain, list = [signed, plain], mode = mode)
    log.debug(plain + " and " + str(opaque))
    query = {"signed": signed, "sig": opaque, "plain": plain, "tenant": tenant, "client": app_id}
    if mode == "fail":
        fail("it failed", client_secret, plain, tenant, app_id, [api_key], api)
    if mode == "key":
        return {}[plain]
    if mode == "int":
        return int(plain)
    if mode == "stage":
        return devo.send(table, [plain])
    if mode == "url":
        return api.get("http://" + plain + "@example.com/", params = query)
    if mode in ("dns", "tls"):
        return away.get("/x/" + plain, params = query)
    if mode == "basic":
        return basic.post("/echo/401", params = query, form = {"secret": user, "plain": plain})
    if mode == "cursor":
        checkpoint.set("kept", plain)
        return checkpoint.commit()
    if mode == "circle":
        for page in api.pages("/circle", params = query, next = "next"):
            pass
    for name, client in {"by_pem": by_pem, "by_pfx": by_pfx, "by_file": by_file, "refresh": once, "rotate": twice}.items():
        if mode == name:
            return client.get("/echo/401", params = query)
    if mode == "json":
        return api.get("/page", params = query).json()["x"]
    api.get("/echo/" + mode, params = query)
`

// canaryAPI answers with what it was asked, in every form that servers write things back.
func canaryAPI(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	var all []string
	for _, values := range []map[string][]string{r.Header, r.URL.Query(), form} {
		for name, list := range values {
			for _, v := range list {
				v = strings.TrimPrefix(v, "Bearer ")
				all = append(all, name, v, url.QueryEscape(v), html.EscapeString(v), fmt.Sprintf("%q", v), base64.StdEncoding.EncodeToString([]byte(v)))
			}
		}
	}
	said := strings.Join(all, " ") + " " + r.URL.String()
	switch path := r.URL.Path; {
	case path == "/token":
		fmt.Fprintf(w, `{"access_token": %q, "token_type": "Bearer", "expires_in": 3600, "refresh_token": %q}`, canaries["the token"], canaries["a new refresh token"])
	case strings.HasPrefix(path, "/token/"):
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error": "invalid_client", "error_description": %q}`, said)
	case path == "/circle":
		fmt.Fprintf(w, `{"next": %q, "rows": []}`, "/circle?"+r.URL.RawQuery)
	case path == "/page":
		io.WriteString(w, "<html>"+said)
	case path == "/echo/302":
		http.Redirect(w, r, "https://elsewhere.invalid/?"+r.URL.RawQuery, http.StatusFound)
	case path == "/echo/500":
		w.WriteHeader(http.StatusInternalServerError)
		io.WriteString(w, "<title>"+html.EscapeString(said)+"</title>")
	case path == "/echo/429":
		w.Header().Set("Retry-After", "1") // or everybody waits for half a minute
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprintf(w, `{"message": %q}`, said)
	case path == "/echo/400":
		w.Header().Set("Request-Id", strings.Join(r.Header.Values("X-Key"), " "))
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error": {"code": %q, "message": %q}}`, r.Header.Get("X-Key"), said)
	default:
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, said)
	}
}

var canaryModes = []string{"400", "401", "429", "500", "302", "token", "fail", "key", "int", "stage", "url", "dns", "tls", "basic", "cursor", "circle", "json", "by_pem", "by_pfx", "by_file", "refresh", "rotate"}

// canaryDir writes a configuration in which every mode is a service, with secrets from every source.
func canaryDir(t *testing.T, api, tlsURL, format string) (dir, pemLine, appLine string) {
	t.Helper()
	dir = t.TempDir()
	certs, err := sim.NewCerts("canary")
	if err != nil {
		t.Fatal(err)
	}
	if err := certs.Write(filepath.Join(dir, "certs")); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, "certs", "canary.key"))
	if err != nil {
		t.Fatal(err)
	}
	cert, app := selfSigned(t, time.Now().Add(time.Hour))
	block, _ := pem.Decode([]byte(app[strings.Index(app, "-----BEGIN RSA"):]))
	signer, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pfx, err := pkcs12.Modern.Encode(signer, cert, nil, canaries["the password of PKCS#12"])
	if err != nil {
		t.Fatal(err)
	}
	writeText(t, filepath.Join(dir, "app.pem"), app)
	writeText(t, filepath.Join(dir, "app.pfx"), string(pfx))
	writeText(t, filepath.Join(dir, "app.jwt"), canaries["an assertion from a file"]+"\n")
	writeText(t, filepath.Join(dir, "secrets", "client_secret"), canaries["client secret, from the secrets folder"]+"\n")
	writeText(t, filepath.Join(dir, "api.key"), canaries["api key, from a file"])
	writeText(t, filepath.Join(dir, "pem.key"), string(key))
	writeText(t, filepath.Join(dir, "scripts", "canary.star"), canaryScript)
	var services strings.Builder
	for _, mode := range canaryModes {
		other := tlsURL
		if mode == "dns" {
			other = "https://nowhere.invalid"
		}
		fmt.Fprintf(&services, "      s_%s: {script: canary, mode: \"%s\", other_url: \"%s\"}\n", mode, mode, other)
	}
	writeText(t, filepath.Join(dir, "config.yaml"), fmt.Sprintf(`globals: {name: test, id: 1}
starling:
  listen: 127.0.0.1:0
  secrets_folder: secrets
  log: {level: debug, format: %s}
  limits: {shutdown_delivery: 200ms}
outputs:
  devo_1: {type: devo_platform, config: {address: 127.0.0.1, port: 1, type: SSL, chain: chain.crt, cert: canary.crt, key: canary.key}}
inputs:
  demo:
    id: 1
    enabled: true
    request_period_in_seconds: 1
    base_url: "%s"
    credentials:
      tenant_id: '%s'
      client_id: '%s'
      client_secret: ${secret:client_secret}
      api_key: ${file:api.key}
      opaque: ${CANARY_OPAQUE}
      signed: '%s'
      user_pass: '%s'
      login_password: '%s'
      pem_file: app.pem
      pfx_file: app.pfx
      pfx_password: '%s'
      assertion_file: app.jwt
      refresh_token: '%s'
      refresh_key: '%s'
    services:
%s`, format, api, canaries["the tenant's id"], canaries["the client's id"], canaries["a secret in the query"], canaries["the user's password"], strings.ReplaceAll(canaries["a password that is read as a string"], "'", "''"),
		strings.ReplaceAll(canaries["the password of PKCS#12"], "'", "''"), canaries["a refresh token"], canaries["the key of refresh tokens"], &services))
	return dir, strings.Split(string(key), "\n")[1], strings.Split(app[strings.Index(app, "-----BEGIN RSA"):], "\n")[2]
}

// TestCanariesAppearNowhere has everything go wrong that can show a secret, and looks for the secrets in
// all that the program writes.
func TestCanariesAppearNowhere(t *testing.T) {
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
	otlp := &otlpReceiver{names: map[string]bool{}}
	receiver := httptest.NewServer(otlp)
	defer receiver.Close()
	env := "CANARY_OPAQUE=" + canaries["a secret from the environment"]

	seen := map[string]string{}
	secrets := map[string]string{}
	var pemLine string
	for _, format := range []string{"text", "json", "devo"} {
		var dir string
		dir, pemLine, secrets["the key of the application, "+format] = canaryDir(t, api.URL, untrusted.URL, format)
		var log lockedBuffer
		c := exec.Command("starling", "run")
		c.Dir, c.Stdout, c.Stderr = dir, &log, &log
		c.Env = append(os.Environ(), env, "OTEL_EXPORTER_OTLP_ENDPOINT="+receiver.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_BSP_SCHEDULE_DELAY=200")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Process.Kill() })
		status := "http://" + waitLog(t, &log, startedAt)
		var page string
		until(t, "every service has pulled", func() bool {
			page = fetch(t, status+"/status")
			return !strings.Contains(page, `"pulls": 0`)
		})
		for _, path := range []string{"/status", "/readyz", "/metrics", "/"} {
			seen[format+" "+path] = fetch(t, status+path)
		}
		for _, mode := range canaryModes {
			if mode != "cursor" && !strings.Contains(page, "s_"+mode) {
				t.Errorf("%s did not run", mode)
			}
		}
		writeText(t, filepath.Join(dir, "secrets", "client_secret"), canaries["client secret, from the secrets folder"]+"\x00") // refused or not, it is a reload
		writeText(t, filepath.Join(dir, "scripts", "canary.star"), canaryScript+"\nfail(plain, client_secret)\n")
		until(t, "the script is refused", func() bool { return strings.Contains(log.String(), "reload refused") })
		c.Process.Signal(syscall.SIGTERM)
		c.Wait()
		seen[format+" log"] = log.String()
		run := func(name string, args ...string) {
			c := exec.Command("starling", args...)
			c.Dir, c.Env = dir, append(os.Environ(), env)
			text, _ := c.CombinedOutput()
			if len(text) == 0 {
				t.Errorf("starling %s says nothing", name)
			}
			seen[format+" "+name] = string(text)
		}
		run("check of a broken script", "check")
		run("check --json of a broken script", "check", "--json")
		writeText(t, filepath.Join(dir, "scripts", "canary.star"), canaryScript)
		run("state list", "state", "list")
		run("state show", "state", "show", "demo/1/s_cursor", "--json")
		for _, mode := range []string{"400", "fail", "tls", "key"} {
			run("pull "+mode, "pull", "s_"+mode, "--fresh", "--log-level", "debug")
		}
		edit(t, filepath.Join(dir, "config.yaml"), "key: canary.key", "key: ../pem.key, nonsense: 1")
		writeText(t, filepath.Join(dir, "pem.key"), "-----BEGIN EC PRIVATE KEY-----\n"+pemLine+"\n-----END EC PRIVATE KEY-----\n")
		run("check with a broken key", "check")
	}
	otlp.mu.Lock()
	seen["traces and metrics"] = otlp.raw.String()
	otlp.mu.Unlock()

	secrets["the key"] = pemLine
	for i, assertion := range strings.Fields(assertions.String()) {
		signature := assertion[strings.LastIndex(assertion, ".")+1:]
		if len(signature) > 40 { // not the one from a file, which is a canary itself
			secrets[fmt.Sprint("assertion ", i)] = signature[:40]
		}
	}
	if len(secrets) < 7 { // keys, and assertions of two ways to sign
		t.Errorf("only %d secrets are looked for", len(secrets))
	}
	for name, secret := range canaries {
		secrets[name] = core(secret)
	}
	for where, text := range seen {
		for name, secret := range secrets {
			for form, searched := range searchedForms(secret) {
				if at := strings.Index(text, searched); at >= 0 {
					t.Errorf("%s shows %s (%s): …%q…", where, name, form, text[max(at-200, 0):min(at+60, len(text))])
				}
			}
		}
	}
	for where, want := range map[string]string{"text log": "s_tls", "text /status": "it failed", "json log": "SANITIZED", "traces and metrics": "/echo/401", "text state list": "kept"} {
		if !strings.Contains(seen[where], want) {
			t.Errorf("%s has no %s: the test looks at nothing\n%s", where, want, seen[where])
		}
	}
}

// searchedForms are a text, and what base64 makes of it at each of the three places it can stand.
func searchedForms(s string) map[string]string {
	forms := map[string]string{"itself": s}
	for i := range 3 {
		whole := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", i) + s))
		skip := []int{0, 2, 3}[i]
		forms[fmt.Sprintf("base64 %d", i)] = whole[skip : len(whole)-4]
	}
	return forms
}

// startedAt finds the address of the status server in a log of either format.
var startedAt = regexp.MustCompile(`"?listen"?[=:]"?(127\.0\.0\.1:\d+)`)
