package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A rotating is a token endpoint that gives a new refresh token at each use. It takes the newest, or the
// one before it as long as the newest was not used, and kills whoever asks, once, when it is told to.
type rotating struct {
	mu             sync.Mutex
	newest, before string
	given          int
	all, refused   []string
	kill           func()
	after          time.Duration // from the answer to the kill; below zero: no answer at all
}

func (r *rotating) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !strings.HasSuffix(req.URL.Path, "/token") {
		return
	}
	token := req.PostFormValue("refresh_token")
	r.mu.Lock()
	defer r.mu.Unlock()
	if token == "" || token != r.newest && token != r.before {
		r.refused = append(r.refused, token)
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error": "invalid_grant"}`)
		return
	}
	r.given++
	r.newest, r.before = fmt.Sprintf("rotated-%d-ZkW8vQp3", r.given), token
	r.all = append(r.all, r.newest)
	kill := r.kill
	if r.kill = nil; kill != nil && r.after < 0 {
		kill()
		return
	}
	fmt.Fprintf(w, `{"token_type": "Bearer", "expires_in": 1, "access_token": "access-%d-TtY6", "refresh_token": %q}`, r.given, r.newest)
	if kill != nil {
		http.NewResponseController(w).Flush()
		time.AfterFunc(r.after, kill)
	}
}

func (r *rotating) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.given
}

// TestARefreshTokenSurvivesKills kills the program around the moment in which a refresh token is
// replaced: without an answer, and at several times after it. Each start signs in again, with no refresh
// token refused, and none is readable on disk or in the log.
func TestARefreshTokenSurvivesKills(t *testing.T) {
	t.Parallel()
	r := &rotating{newest: "the-first-Qm4Zt8"}
	server := httptest.NewTLSServer(r)
	defer server.Close()
	dir := signInDir(t, server, "      refresh_token: the-first-Qm4Zt8\n      refresh_token_key: 0123456789abcdef0123456789abcdef")
	logs := ""
	for _, after := range []time.Duration{-1, 0, time.Millisecond, 4 * time.Millisecond, 15 * time.Millisecond} {
		log, _, c := startIn(t, dir)
		before := r.count()
		until(t, "it signs in after a kill, and again", func() bool { return r.count() >= before+2 })
		dead := make(chan struct{})
		r.mu.Lock()
		r.after, r.kill = after, func() { c.Process.Kill(); close(dead) }
		r.mu.Unlock()
		<-dead
		c.Wait()
		logs += log.String()
	}
	log, _, _ := startIn(t, dir)
	before := r.count()
	until(t, "it signs in after the last kill", func() bool { return r.count() > before })
	logs += log.String()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.refused) > 0 {
		t.Errorf("refused: %q", r.refused)
	}
	state := filesBelow(t, filepath.Join(dir, "state"))
	if !strings.Contains(state, "oauth.refresh_token") {
		t.Error("nothing is kept: the test looks at nothing")
	}
	for _, secret := range append(r.all, "the-first-Qm4Zt8", "-TtY6") {
		if strings.Contains(logs, secret) || strings.Contains(state, secret) {
			t.Errorf("%s is readable", secret)
		}
	}
}

// filesBelow returns the content of all files, one after the other, without the zeros that files of a database end with.
func filesBelow(t *testing.T, dir string) string {
	t.Helper()
	var all bytes.Buffer
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			data, _ := os.ReadFile(path) // one that is gone by now has nothing
			all.Write(bytes.TrimRight(data, "\x00"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
