package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestReloadedScriptTakesOverAtACommit(t *testing.T) {
	t.Parallel()
	// The pull never ends by itself: only the new version ends it.
	endless := "def pull():\n    for n in range(get() + 1, 1000000):\n        set(n)\n        send(\"%d\" % n)\n        commit()\n"
	w := newWorld(t, endless)
	w.start()
	w.sink("out").until(t, "some events", has(1))
	old := w.engine.Status().Collectors[0].Version
	w.write("scripts/hello.star", strings.Replace(endless, `"%d" % n`, `"new %d" % n`, 1))
	got := w.sink("out").until(t, "events of the new version", func(got []string) bool {
		return len(got) > 0 && strings.HasPrefix(got[len(got)-1], "new")
	})
	for i, g := range got {
		if strings.TrimPrefix(g, "new ") != fmt.Sprint(i+1) {
			t.Fatalf("event %d is %q: lost or sent twice", i+1, g)
		}
	}
	s := w.engine.Status()
	if s.Collectors[0].Version == old || len(s.Reloads) != 1 || s.Reloads[0].Version != s.Collectors[0].Version {
		t.Errorf("status does not tell of the new version: %+v", s)
	}
}

func TestBrokenScriptIsRefusedAndTheOldOneGoesOn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"syntax":    {"def pull(:\n    pass\n", "hello.star:1:"},
		"undefined": {"def pull():\n    sned(1)\n", "hello.star:2:5"},
		"top level": {"x = 1 // 0\ndef pull():\n    pass\n", "hello.star:1:7"},
		"member":    {"def pull():\n    out.sned(1)\n", "hello.star:2:9: out has no .sned (did you mean .send?)"},
		"no pull":   {"x = 1\n", "no function pull()"},
		"load":      {"load(\"lib/gone.star\", \"x\")\ndef pull():\n    pass\n", "no such file"},
		"cycle":     {"load(\"hello.star\", \"x\")\ndef pull():\n    pass\n", "load cycle: hello.star -> hello.star"},
		"at load":   {"send(\"x\")\ndef pull():\n    pass\n", "move the call into pull()"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, counting)
			w.start()
			w.write("scripts/hello.star", c.text)
			s := w.until("the refusal", func(s Status) bool { return len(s.Reloads) > 0 })
			if r := s.Reloads[0]; r.Kind != "script" || !strings.Contains(r.Error, c.want) {
				t.Errorf("got %+v, want %q in its error", r, c.want)
			}
			if !slices.ContainsFunc(s.Ready(), func(p string) bool { return strings.Contains(p, c.want) }) {
				t.Errorf("readiness does not tell: %q", s.Ready())
			}
			n := len(w.sink("out").until(t, "an event", has(1)))
			wantCounted(t, w.sink("out").until(t, "the old version going on", has(n+1)))
			w.write("scripts/hello.star", counting)
			w.until("the error to go away", func(s Status) bool { return len(s.Ready()) == 0 })
		})
	}
}

func TestFailingTestsKeepAScriptOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting+"answer = 42\n")
	w.write("scripts/hello_test.star", "def test_it(t):\n    t.equal(t.script.answer, 42)\n")
	w.start()
	w.write("scripts/hello.star", counting+"answer = 41\n")
	s := w.until("the refusal", func(s Status) bool { return len(s.Reloads) > 0 })
	if r := s.Reloads[0]; !strings.Contains(r.Error, "hello_test.star:2:12") || !strings.Contains(r.Error, "got  41") {
		t.Errorf("got %+v", r)
	}
	// Nor does a change of the configuration bring it in.
	w.write("config.yaml", strings.Replace(worldConfig, "request_period_in_seconds: 1", "request_period_in_seconds: 2", 1))
	s = w.until("the refusal of the configuration", func(s Status) bool { return len(s.Reloads) == 2 && s.Reloads[0].Kind == "config" })
	if r := s.Reloads[0]; !strings.Contains(r.Error, "got  41") {
		t.Errorf("got %+v", r)
	}
	// The configuration waits for the script: both come into use when it is right.
	w.write("scripts/hello.star", counting+"answer = 42\n# repaired\n")
	w.until("the repaired script", func(s Status) bool { return len(s.Ready()) == 0 })
	if period := w.engine.Status().Config; period.Loaded.IsZero() {
		t.Error("no configuration is loaded")
	}
}

func TestUntestedScriptDoesNotStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	w.write("scripts/hello_test.star", "def test_it(t):\n    t.equal(1, 2)\n")
	config, err := LoadConfig(filepath.Join(w.dir, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = New(config, w.options()); err == nil || !strings.Contains(err.Error(), "hello_test.star:2:12") {
		t.Errorf("got %v", err)
	}
}

func TestRefusedConfigurationWaitsForItsFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "greeting = setting(\"greeting\")\ndef pull():\n    send(greeting)\n")
	w.start()
	w.write("config.yaml", strings.Replace(worldConfig, "hello: {}", "hello: {greeting: \"${file:greeting.txt}\"}", 1))
	w.until("the refusal", func(s Status) bool {
		return len(s.Reloads) == 1 && strings.Contains(s.Reloads[0].Error, "greeting.txt")
	})
	w.write("greeting.txt", "hello from a file\n")
	w.sink("out").until(t, "the greeting", func(got []string) bool { return slices.Contains(got, "hello from a file") })
}

// Metrics ask for the store whenever somebody looks at them. It is the race detector that sees what is wrong.
func TestStoreIsAskedForWhileTheConfigurationChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	w.start()
	var asking sync.WaitGroup
	done := make(chan struct{})
	asking.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				w.engine.Store().Quotas(time.Now())
			}
		}
	})
	w.write("config.yaml", worldConfig+"starling: {limits: {outbox_bytes: 5MiB}}\n")
	w.until("the new configuration", func(s Status) bool { return len(s.Reloads) > 0 })
	close(done)
	asking.Wait()
}

func TestRefusedConfigurationChangesNoLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	w.start()
	w.write("config.yaml", strings.Replace(worldConfig, "hello: {}", "hello: {wrong: 1}", 1)+"starling: {limits: {outbox_bytes: 5MiB}}\n")
	w.until("the refusal", func(s Status) bool { return len(s.Reloads) == 1 && s.Reloads[0].Error != "" })
	w.engine.Store().mu.Lock()
	defer w.engine.Store().mu.Unlock()
	if got := w.engine.Store().policy.bytes; got != 1<<30 {
		t.Errorf("the outbox is limited to %d bytes by a configuration that was refused", got)
	}
}

func TestConfigurationChangesWithoutTouchingTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `
greeting = setting("greeting")
def pull():
    send(greeting)
`)
	w.write("scripts/good.star", counting)
	base := strings.Replace(worldConfig, "hello: {}", "hello: {greeting: first}\n      good: {}", 1)
	w.write("config.yaml", base)
	w.start()
	sink := w.sink("out")
	sink.until(t, "the first greeting", func(got []string) bool { return slices.Contains(got, "first") })
	good := w.engine.collectors["source/1/good"]

	w.write("config.yaml", strings.Replace(base, "first", "second", 1))
	sink.until(t, "the second greeting", func(got []string) bool { return slices.Contains(got, "second") })
	w.engine.mu.Lock()
	if w.engine.collectors["source/1/good"] != good {
		t.Error("a collector that did not change was replaced")
	}
	w.engine.mu.Unlock()

	w.write("config.yaml", strings.Replace(base, "greeting: first", "greting: third", 1))
	s := w.until("the refusal", func(s Status) bool { return len(s.Reloads) > 0 && s.Reloads[0].Error != "" })
	if e := s.Reloads[0].Error; !strings.Contains(e, "config.yaml:14:") || !strings.Contains(e, "greting") || !strings.Contains(e, "greeting") {
		t.Errorf("the refusal does not name place, key and nearest key: %q", e)
	}

	// A new output gets what comes from now on, beside the old one, which keeps its connection.
	w.write("config.yaml", strings.Replace(base, "out: {type: memory}", "out: {type: memory}\n  two: {type: memory}", 1))
	w.until("the second output", func(s Status) bool { return len(s.Sinks) == 2 })
	w.sink("two").until(t, "events at the second output", has(1))
	if w.sink("out") != sink {
		t.Error("an output that did not change was made again")
	}

	w.write("config.yaml", strings.Replace(base, "\n      good: {}", "", 1))
	w.until("the end of the collector", func(s Status) bool { return len(s.Collectors) == 1 && len(s.Sinks) == 1 })
}

// mapped makes a folder what kubelet mounts for a ConfigMap or a Secret, with other content each time: the
// files are links to ..data, which is a link to the current version and is renamed over.
func (w *world) mapped(folder, version string, files map[string]string) {
	w.t.Helper()
	dir := filepath.Join(w.dir, folder)
	old, _ := os.Readlink(filepath.Join(dir, "..data"))
	for name, text := range files {
		w.write(filepath.Join(folder, version, name), text)
	}
	err := errors.Join(os.Symlink(version, filepath.Join(dir, "..tmp")), os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
	for name := range files {
		if old == "" {
			err = errors.Join(err, os.Symlink("..data/"+name, filepath.Join(dir, name)))
		}
	}
	if old != "" {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, old)))
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestFoldersOfConfigMapsAndSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	config := func(greeting string) map[string]string {
		return map[string]string{"config.yaml": strings.Replace(worldConfig, "hello: {}", "hello: {greeting: \""+greeting+"\"}", 1) +
			"starling: {scripts: mounted}\n"}
	}
	script := func(prefix string) map[string]string {
		return map[string]string{"hello.star": "greeting = setting(\"greeting\")\ndef pull():\n    send(\"" + prefix + ": %s\" % greeting)\n"}
	}
	comes := func(want string) {
		t.Helper()
		w.sink("out").until(t, want, func(got []string) bool { return slices.Contains(got, want) })
	}
	w.mapped("secrets", "..one", map[string]string{"greeting": "secret one"})
	w.mapped("mounted", "..one", script("first"))
	w.mapped("config", "..one", config("${file:secrets/greeting}"))
	c, err := LoadConfig(filepath.Join(w.dir, "config", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w.run(c, w.options())
	comes("first: secret one")
	w.mapped("mounted", "..two", script("second"))
	comes("second: secret one")
	w.mapped("secrets", "..two", map[string]string{"greeting": "secret two"})
	comes("second: secret two")
	w.mapped("config", "..two", config("no secret"))
	comes("second: no secret")
	w.mapped("config", "..three", map[string]string{"config.yaml": worldConfig + "nonsense: 1\n"})
	w.until("the refusal", func(Status) bool { return strings.Contains(w.log.String(), "config.yaml:15:1: nonsense") })
}

func TestFolderBehindALinkIsFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	// As git-sync does it: the folder itself is a link that is moved to the next checkout.
	for name, script := range map[string]string{"one": counting, "two": "def pull():\n    send('second')\n"} {
		w.write(name+"/hello.star", script)
	}
	link := filepath.Join(w.dir, "current")
	if err := os.Symlink("one", link); err != nil {
		t.Fatal(err)
	}
	w.write("config.yaml", worldConfig+"starling: {scripts: current}\n")
	w.start()
	w.sink("out").until(t, "an event of the first version", has(1))
	if err := errors.Join(os.Symlink("two", link+".new"), os.Rename(link+".new", link)); err != nil {
		t.Fatal(err)
	}
	w.sink("out").until(t, "an event of the second version", func(got []string) bool { return slices.Contains(got, "second") })
}

func TestVanishedScriptIsGivenTimeToReturn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	w.start()
	w.sink("out").until(t, "an event", has(1))
	script := filepath.Join(w.dir, "scripts", "hello.star")
	// Each time long enough to be seen as gone and short enough to be forgiven; together too long.
	for range 3 {
		n := len(w.sink("out").until(t, "an event", has(1)))
		if err := os.Rename(script, script+".away"); err != nil {
			t.Fatal(err)
		}
		w.sink("out").until(t, "two more events", has(n+2))
		if err := os.Rename(script+".away", script); err != nil {
			t.Fatal(err)
		}
		w.sink("out").until(t, "more events", has(n+4))
	}
	if r := w.engine.Status().Reloads; len(r) != 0 {
		t.Errorf("a script that was away for a moment was reported: %+v", r)
	}
}

// reloadingSink has a file that can be replaced, as a sink with a certificate has.
type reloadingSink struct {
	*memorySink
	file string
	mu   sync.Mutex
	text string
}

func (s *reloadingSink) Files() []string { return []string{s.file} }

func (s *reloadingSink) Reload() error {
	text, err := os.ReadFile(s.file)
	if err != nil || !strings.HasPrefix(string(text), "good") {
		return fmt.Errorf("%s: not a certificate", s.file)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = string(text)
	return nil
}

func TestCertificateIsReloaded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	w.write("certs/cert.pem", "good 1")
	sink := &reloadingSink{memorySink: newMemorySink(), file: filepath.Join(w.dir, "certs", "cert.pem"), text: "good 1"}
	config, err := LoadConfig(filepath.Join(w.dir, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	o := w.options()
	o.NewSink = func(Output) (Sink, error) { return sink, nil }
	w.run(config, o)
	uses := func() string {
		sink.mu.Lock()
		defer sink.mu.Unlock()
		return sink.text
	}
	w.write("certs/cert.pem", "good 2")
	w.until("the new certificate", func(s Status) bool {
		return len(s.Reloads) == 1 && s.Reloads[0].Kind == "certificate" && uses() == "good 2"
	})
	w.write("certs/cert.pem", "bad")
	w.until("the refusal", func(s Status) bool { return strings.Contains(s.Reloads[0].Error, "not a certificate") })
	if uses() != "good 2" {
		t.Errorf("a bad certificate is in use: %q", uses())
	}
	w.write("certs/cert.pem", "good 3")
	w.until("the next good one", func(s Status) bool { return s.Reloads[0].Error == "" && uses() == "good 3" })
}

func TestForcedReloadReadsEverything(t *testing.T) {
	t.Parallel()
	w := newWorld(t, counting)
	w.start()
	w.engine.Reload()
	s := w.until("the reload", func(s Status) bool { return len(s.Reloads) == 1 })
	if r := s.Reloads[0]; r.Kind != "config" || r.Error != "" {
		t.Errorf("got %+v", r)
	}
	w.sink("out").until(t, "an event", has(1))
	if w.made != 1 {
		t.Errorf("an output that did not change was made %d times", w.made)
	}
}
