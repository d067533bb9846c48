package engine

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// loadGood loads testdata/config/good.yaml from a directory of its own, changed by pairs of old and new.
func loadGood(t *testing.T, env map[string]string, oldnew ...string) *Config {
	t.Helper()
	text, err := os.ReadFile("testdata/config/good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	base := t.TempDir()
	file := filepath.Join(base, "config", "config.yaml")
	writeFile(t, file, strings.NewReplacer(oldnew...).Replace(string(text)))
	writeFile(t, filepath.Join(base, "secret.txt"), "s3cret-value\r\n")
	writeFile(t, filepath.Join(base, "mine", "third.star"), "")
	c, err := ConfigFiles{Config: file}.load(lookupIn(env))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestGoodConfig(t *testing.T) {
	t.Parallel()
	c := loadGood(t, nil)
	base := c.Base
	if want := filepath.Join(base, "config", "config.yaml"); c.File != want {
		t.Errorf("got file %s, want %s: a directory called config is below the base", c.File, want)
	}
	for _, p := range []struct{ name, got, want string }{
		{"name", c.Name, "o365_emt"},
		{"id", c.ID, "not_used"},
		{"state", c.StateDir, filepath.Join(base, "kept")},
		{"scripts", c.ScriptsDir, filepath.Join(base, "mine")},
		{"listen", c.Listen, ""},
		{"level", c.LogLevel, "debug"},
		{"format", c.LogFormat, "json"},
		{"files", strings.Join(c.Files, " "), c.File + " " + filepath.Join(base, "secret.txt")},
		{"secrets and who signs in", strings.Join(c.Secrets, " "), "7d3e0000-0000-0000-0000-000000000001 7d3e0000-0000-0000-0000-000000000002 s3cret-value"},
		{"disabled", strings.Join(c.Disabled, " "), "off/7/off_service office365_exchange_message/00123/another_service"},
	} {
		if p.got != p.want {
			t.Errorf("%s: got %q, want %q", p.name, p.got, p.want)
		}
	}
	if !c.Debug {
		t.Error("debug is off, want on")
	}
	limits := Limits{PullTimeout: 90 * time.Second, Steps: 1_000_000, LoadSteps: 100_000, ScriptMemory: 32 << 20, ResponseBytes: 1 << 20,
		EventBytes: 64 << 10, Oversized: SetAside, AsideBytes: 1 << 20, StagedBytes: 2 << 20, HTTPTimeout: 90 * time.Second, OutboxBytes: 3e9, DiskReserve: 300 << 20, OutboxAge: 48 * time.Hour, OutboxFull: DropOldest, OutboxAlarm: 0.5,
		LogLinesPerPull: 10, TestTimeout: 500 * time.Millisecond, ShutdownDelivery: 5 * time.Second}
	if c.Limits != limits {
		t.Errorf("got limits %+v, want %+v", c.Limits, limits)
	}
	warnings := []string{
		`:6:3: globals.name: "o365.emt" is used as "o365_emt"`,
		`:3:1: globals: queue_max_size_in_mb, queue_max_size_in_messages, queue_wrap_max_size_in_messages, queue_max_elapsed_time_in_sec, ` +
			`queue_generate_metrics, generate_collector_details: accepted, without effect here`,
		`:21:3: globals.multiprocessing: Illegal global setting has been ignored -> multiprocessing: true`,
	}
	for i := range warnings {
		warnings[i] = c.File + warnings[i]
	}
	if !slices.Equal(c.Warnings, warnings) {
		t.Errorf("got warnings\n%s\nwant\n%s", strings.Join(c.Warnings, "\n"), strings.Join(warnings, "\n"))
	}
}

func TestGoodConfigOutputs(t *testing.T) {
	t.Parallel()
	c := loadGood(t, nil)
	if len(c.Outputs) != 2 || c.Outputs[0].Name != "devo_1" || c.Outputs[0].Type != "devo_platform" ||
		c.Outputs[1].Name != "console_1" || c.Outputs[1].Type != "console" {
		t.Fatalf("got outputs %+v", c.Outputs)
	}
	devo := c.Outputs[0].Config
	if got := devo.Required("address"); got != "collector-us.devo.io" {
		t.Errorf("got address %q", got)
	}
	if got := devo.Int("port", 0, 1, 65535); got != 443 {
		t.Errorf("got port %d, want 443 from the default of ${PORT}", got)
	}
	devo.Ignore("type")
	certs := filepath.Join(c.Base, "certs")
	writeFile(t, filepath.Join(certs, "chain.crt"), "x")
	writeFile(t, filepath.Join(c.Base, "devo.crt"), "x")
	if got, want := devo.File("chain", "certs", "."), filepath.Join(certs, "chain.crt"); got != want {
		t.Errorf("got chain %q, want %q", got, want)
	}
	if got, want := devo.File("cert", "certs", "."), filepath.Join(c.Base, "devo.crt"); got != want {
		t.Errorf("got cert %q, want %q", got, want)
	}
	devo.File("key", "certs", ".")
	want := c.File + ":31:7: outputs.devo_1.config.key: there is no file " + filepath.Join(certs, "devo.key") +
		" and no file " + filepath.Join(c.Base, "devo.key")
	if err := devo.Err(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	console := c.Outputs[1].Config
	console.Required("destination")
	want = c.File + ":32:3: outputs.console_1.config.destination: CollectorConfigurationException [CODE:0006] Error in configuration, cause: \"Required configuration data is missing\""
	if err := console.Err(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// loadServer loads the two files of the Collector Server.
func loadServer(t *testing.T, overrides string) *Config {
	t.Helper()
	dir := t.TempDir()
	files := ConfigFiles{Job: filepath.Join(dir, "job.json"), Collector: filepath.Join(dir, "collector.json")}
	writeFile(t, files.Job, `{"global_overrides": `+overrides+`, "inputs": {"mail": {"id": 1, "enabled": false}}}`)
	writeFile(t, files.Collector, `{"job_id": 1, "job_name": "emt", "loggers": [{"type": "devo_platform", "config": {}}]}`)
	c, err := files.load(lookupIn(nil))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What the globals say of senders holds for every output that does not say it itself.
func TestGlobalsAreDefaultsOfOutputs(t *testing.T) {
	t.Parallel()
	const level, port = "devo_sender_compression_level: 6", "      port: ${PORT:-443}\n"
	for name, c := range map[string]struct {
		c    *Config
		want int64
	}{
		"globals":          {loadGood(t, nil, level, "devo_sender_compression_level: 3"), 3},
		"output":           {loadGood(t, nil, port, port+"      compression_level: 9\n"), 9},
		"neither":          {loadGood(t, nil, level, ""), 5},
		"Collector Server": {loadServer(t, `{"devo_sender_compression_level": 3}`), 3},
		"its job alone":    {loadServer(t, `{"debug": false}`), 5},
	} {
		config := c.c.Outputs[0].Config
		if got := config.Int("compression_level", 5, 1, 9); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
		if config.Has("compression_buffer") || c.c.Outputs[0].Config.Has("devo_sender_compression_level") {
			t.Errorf("%s: a key is there that nobody wrote", name)
		}
	}
}

func TestGoodConfigCollectors(t *testing.T) {
	t.Parallel()
	c := loadGood(t, nil)
	if len(c.Collectors) != 2 {
		t.Fatalf("got %d collectors, want 2", len(c.Collectors))
	}
	main, third := c.Collectors[0], c.Collectors[1]
	if got, want := main.Key(), "office365_exchange_message/00123/office365_exchange_message_service"; got != want {
		t.Errorf("got key %s, want %s", got, want)
	}
	if main.Script != "office365_exchange_message_service.star" || main.Period != 600*time.Second {
		t.Errorf("got %s every %v, want the service's own script at the input's period", main.Script, main.Period)
	}
	if third.Script != "mine/third.star" || third.Period != 30*time.Second {
		t.Errorf("got %s every %v, want mine/third.star every 30s", third.Script, third.Period)
	}
	for key, want := range map[string]any{
		"requests_per_second":                int64(7),
		"max_historic_date_cutoff_days_back": int64(10),
		"reset_persistence_auth":             "2023-01-01",
		"client_secret":                      "s3cret-value",
	} {
		if v, ok := main.Settings.Lookup(key); !ok || v.Go() != want {
			t.Errorf("%s: got %v, want %v", key, v.Go(), want)
		}
	}
	if v, _ := third.Settings.Lookup("requests_per_second"); v.Go() != int64(5) {
		t.Errorf("got %v, want the input's 5 where the service says nothing", v.Go())
	}
	for _, key := range []string{"override_base_url", "enabled", "id", "services", "credentials", "script", "request_period_in_seconds"} {
		if v, ok := main.Settings.Lookup(key); ok {
			t.Errorf("%s: got %v, want nothing: it is empty or the engine's", key, v.Go())
		}
	}
}

func TestDefaultsOfConfig(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "small.yml")
	writeFile(t, file, `
globals: {id: 1, name: emt}
outputs: {console_1: {type: console}}
inputs: {mail: {id: x, enabled: true, services: {mail_service: }}}
`)
	c, err := LoadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Dir(file)
	if c.Base != base || c.StateDir != filepath.Join(base, "state") || c.ScriptsDir != "" || c.Listen != "127.0.0.1:9464" ||
		c.LogLevel != "info" || c.LogFormat != "text" || c.Debug || c.Limits != (Limits{}).WithDefaults() || c.Warnings != nil {
		t.Errorf("got %+v", c)
	}
	if len(c.Collectors) != 1 || c.Collectors[0].Period != time.Minute || c.Collectors[0].Script != "mail_service.star" {
		t.Errorf("got collectors %+v", c.Collectors)
	}

	writeFile(t, filepath.Join(base, "scripts", "x.star"), "")
	writeFile(t, file, `
globals: {id: 1, name: emt, persistence: {type: memory, config: {directory_name: x}}}
outputs: {console_1: {type: console}}
inputs: {mail: {id: x, enabled: false, services: {mail_service: }}}
starling: {listen: ""}
`)
	if c, err = LoadConfig(file); err != nil {
		t.Fatal(err)
	}
	if c.StateDir != "" || c.Listen != "" || c.ScriptsDir != filepath.Join(base, "scripts") {
		t.Errorf("got state %q, listen %q, scripts %q", c.StateDir, c.Listen, c.ScriptsDir)
	}
	if want := []string{file + ":4:1: inputs: nothing is enabled, so nothing will be collected"}; !slices.Equal(c.Warnings, want) {
		t.Errorf("got %q, want %q", c.Warnings, want)
	}
}

func TestJSONConfigIsTheSameAsYAML(t *testing.T) {
	t.Parallel()
	const text = `{
	"globals": {"id": 1, "name": "emt"},
	"outputs": {"devo_1": {"type": "devo_platform", "config": {"port": "${PORT}", "path": "a\/b"}}},
	"inputs": {"mail": {"id": 7, "enabled": true, "reset": "2023-01-01", "smile": "\uD83D\uDE00",
		"services": {"mail_service": {"big": 12345678901, "half": 0.5, "list": [1, null, {"a": true}]}}}}
}`
	c, err := readConfig("config.json", []byte("\ufeff"+text), lookupIn(map[string]string{"PORT": "514"}))
	if err != nil {
		t.Fatal(err)
	}
	if port := c.Outputs[0].Config.Int("port", 0, 1, 65535); port != 514 {
		t.Errorf("got port %d, want 514", port)
	}
	if path := c.Outputs[0].Config.Text("path", ""); path != "a/b" {
		t.Errorf("got path %q, want a/b", path)
	}
	s := c.Collectors[0].Settings
	for key, want := range map[string]any{"reset": "2023-01-01", "smile": "😀", "big": int64(12345678901), "half": 0.5} {
		if v, ok := s.Lookup(key); !ok || v.Go() != want {
			t.Errorf("%s: got %v, want %v", key, v.Go(), want)
		}
	}
	v, _ := s.Lookup("list")
	if list := v.Go().([]any); len(list) != 3 || list[0] != int64(1) || list[1] != nil || list[2].(map[string]any)["a"] != true {
		t.Errorf("got list %v", list)
	}
	if got, want := v.Errorf("too long").Error(), "config.json:5:66: list: too long"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFingerprintsChangeWithWhatTheyStandFor(t *testing.T) {
	t.Parallel()
	was := loadGood(t, nil)
	for name, c := range map[string]struct {
		old, new        string
		output, service bool // do they change?
	}{
		"nothing":     {"", "", false, false},
		"order":       {"      port: ${PORT:-443}\n      type: SSL\n", "      type: SSL\n      port: ${PORT:-443}\n", false, false},
		"comment":     {"# left out", "# gone", false, false},
		"limits":      {"90", "91", false, false},
		"port":        {"443", "444", true, false},
		"output type": {"devo_platform", "relay", true, false},
		"default":     {"devo_sender_compression_level: 6", "devo_sender_compression_level: 7", true, false},
		"without use": {"queue_max_elapsed_time_in_sec: 60", "queue_max_elapsed_time_in_sec: 61", false, false},
		"secret":      {"${file:secret.txt}", "other", false, true},
		"period":      {"600", "601", false, true},
		"id":          {"00123", "123", false, true},
		"type":        {"override_delay_in_seconds: 90000", `override_delay_in_seconds: "90000"`, false, true},
		"script":      {"      office365_exchange_message_service:\n", "      office365_exchange_message_service:\n        script: x\n", false, true},
		"list":        {"reset_persistence_auth: 2023-01-01", "reset_persistence_auth: [2023-01-02]", false, true},
		"other one":   {"script: mine/third", "script: mine/fourth", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "limits" {
				c.old, c.new = "pull_timeout: 90", "pull_timeout: 91"
			}
			is := loadGood(t, nil, c.old, c.new)
			if got := was.Outputs[0].Fingerprint() != is.Outputs[0].Fingerprint(); got != c.output {
				t.Errorf("output: got changed %t, want %t", got, c.output)
			}
			if got := was.Collectors[0].Fingerprint() != is.Collectors[0].Fingerprint(); got != c.service {
				t.Errorf("collector: got changed %t, want %t", got, c.service)
			}
		})
	}
}

func TestLoadConfigRefusesWhatIsNoConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	writeFile(t, large, strings.Repeat("#", 1<<20+1))
	for file, want := range map[string]string{
		filepath.Join(dir, "none.yaml"): "no such file",
		dir:                             "is a directory",
		large:                           "longer than 1048576 bytes",
	} {
		_, err := LoadConfig(file)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("got %v, want %s: … %s", err, file, want)
		}
		if CodeOf(err, "") != CodeConfig {
			t.Errorf("got code %q, want config", CodeOf(err, ""))
		}
	}
}

func TestErrorsAreBounded(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	for range 60 {
		text.WriteString("x: 1\n")
	}
	_, err := readConfig("config.yaml", text.Bytes(), lookupIn(nil))
	if err == nil {
		t.Fatal("loaded")
	}
	text.Reset()
	for i := range 60 {
		text.WriteString("key" + strings.Repeat("x", i) + ": 1\n")
	}
	_, err = readConfig("config.yaml", text.Bytes(), lookupIn(nil))
	lines := strings.Split(err.Error(), "\n")
	// 60 unknown keys and 3 missing sections.
	if want := "config.yaml:48:1: 13 more problems from here on"; len(lines) != 51 || lines[50] != want {
		t.Errorf("got %d lines, the last %q, want 51 and %q", len(lines), lines[len(lines)-1], want)
	}
}

var placed = regexp.MustCompile(`^config\.(yaml|json):[1-9][0-9]*:[1-9][0-9]*: .`)

// FuzzConfig checks that no text makes readConfig panic, that every error has a place, and that no
// error shows what is in the environment.
func FuzzConfig(f *testing.F) {
	good, err := os.ReadFile("testdata/config/good.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, false)
	for _, seed := range []string{
		"", "a", "- a", "? [a]\n: b", "a: &x [*x]", "<<: &x {<<: *x}", "a: b\n---\nc: d", "a: \t b", "\xff", "a: \"\\ud83d\"", "globals: *a",
		"globals: {id: ${SECRET}, name: ${SECRET}}\noutputs: {a: {type: ${SECRET:-${}}}\ninputs: {a: {enabled: ${SECRET}}}",
		"globals:\n  id: ${SECRET}\n  name: ${SECRET}\n  debug: ${SECRET}\nstarling:\n  listen: ${SECRET}\n  scripts: x\n",
	} {
		f.Add([]byte(seed), false)
	}
	for _, seed := range []string{
		`{"globals": {"id": 1, "name": "${SECRET}"}, "outputs": {"a": {"type": "b"}}, "inputs": {"a": {"enabled": false}}}`,
		`{"a": [1, 2.5, "\ud83d", null, true, {"a": {}}]} x`, `{"a":`, `[`, `{"a" 1}`, `{"a\n": 1}`, "1e999", "{\"\xff\": 1}",
	} {
		f.Add([]byte(seed), true)
	}
	const secret = "correct-horse"
	f.Fuzz(func(t *testing.T, text []byte, isJSON bool) {
		file := "config.yaml"
		if isJSON {
			file = "config.json"
		}
		if bytes.Contains(text, []byte("file:")) || bytes.Contains(text, []byte(secret)) {
			return // files of this machine are none of the fuzzer's business
		}
		c, err := readConfig(file, text, func(name string) (string, bool) { return secret, name == "SECRET" })
		if err == nil {
			if c == nil || len(c.Outputs) == 0 {
				t.Errorf("got %+v without an error", c)
			}
			return
		}
		for line := range strings.Lines(err.Error()) {
			if !placed.MatchString(line) {
				t.Errorf("a line without a place: %q", line)
			}
			if strings.Contains(line, secret) {
				t.Errorf("a line with a secret: %q", line)
			}
		}
	})
}

func TestFilesThatAreNoneHaveTheirCodes(t *testing.T) {
	t.Parallel()
	folder, nowhere := t.TempDir(), filepath.Join(t.TempDir(), "nowhere.json")
	file := filepath.Join(t.TempDir(), "file.json")
	writeFile(t, file, "{}")
	for _, c := range []struct {
		files ConfigFiles
		want  string
	}{
		{ConfigFiles{Config: nowhere}, `CollectorConfigurationException [CODE:0000] Error in configuration, cause: "\"` + nowhere + `\" is not a file: `},
		{ConfigFiles{Config: folder}, `CollectorConfigurationException [CODE:0000] Error in configuration, cause: "\"` + folder + `\" is not a file: `},
		{ConfigFiles{Job: folder, Collector: file}, `CollectorConfigurationException [CODE:0002] Error in configuration, cause: "`},
		{ConfigFiles{Job: nowhere, Collector: file}, `CollectorConfigurationException [CODE:0003] Error in configuration, cause: "`},
		{ConfigFiles{Job: file, Collector: folder}, `CollectorConfigurationException [CODE:0004] Error in configuration, cause: "`},
		{ConfigFiles{Job: file, Collector: nowhere}, `CollectorConfigurationException [CODE:0005] Error in configuration, cause: "`},
	} {
		_, err := c.files.Load()
		if err == nil || !strings.HasPrefix(err.Error(), strings.ReplaceAll(c.want, `\"`, `"`)) {
			t.Errorf("%+v: got %v, want it to begin with %s", c.files, err, c.want)
		}
	}
}
