package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFirstMistakesSayWhatToDo makes the mistakes that are made in the first hour, and wants each told with its place and a way out.
func TestFirstMistakesSayWhatToDo(t *testing.T) {
	t.Parallel()
	config := "globals: {name: a, id: 1}\noutputs:\n  one: {type: console}\ninputs:\n  hello:\n    id: 1\n    enabled: true\n    services:\n      hello:\n        url: http://127.0.0.1:1\n      quiet:\n"
	script := "api = http.client(config.url(\"url\"), retry = http.retry(times = 0))\ntable = devo.table(\"my.app.hello\")\n\ndef pull():\n    devo.send(table, api.get(\"/\"))\n"
	for name, c := range map[string]struct {
		edit func(string) string
		args string
		want []string
	}{
		"no configuration":    {nil, "run --config nowhere.yaml", []string{`"nowhere.yaml" is not a file`, "config/config.yaml and config.yaml are looked for"}},
		"a tab":               {func(s string) string { return strings.Replace(s, "\n  hello", "\n\thello", 1) }, "check", []string{"config.yaml:5:1: ", "a tab is no indentation in YAML"}},
		"a missing secret":    {func(s string) string { return s + "        token: ${secret:nothing}\n" }, "check", []string{"config.yaml:12:16: ", "nothing: no such file", "starling.secrets_folder"}},
		"an API that is down": {nil, "pull hello", []string{"hello.star:5:", "connection refused", "check the address and its port"}},
		"a command":           {nil, "chekc", []string{`unknown command "chekc"`, "did you mean check?"}},
		"a service":           {nil, "pull hallo", []string{`no enabled service "hallo"`, "there are: hello/1/hello"}},
		"a script":            {nil, "certify scripts/helo.star --scripts scripts", []string{"helo.star: there is no such script"}},
		"a script certified":  {nil, "certify scripts/hello.star", []string{"there is no hello_test.star beside it", "--case"}},
		"a folder to lint":    {nil, "lint script", []string{"script: no such file", "name a script or a folder"}},
		"a folder of tests":   {nil, "test --scripts script", []string{"script: no such file", "--scripts"}},
		"no tests":            {nil, "test --scripts scripts helo*", []string{"there is no file *_test.star", "starling init"}},
		"a recording":         {nil, "replay nothing.case", []string{"nothing.case: no such file", "--record"}},
		"a place to record":   {nil, "pull quiet --record config.yaml/a.case", []string{"--record: ", "not a directory"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, text := t.TempDir(), config
			if c.edit != nil {
				text = c.edit(config)
			}
			put(t, filepath.Join(dir, "config.yaml"), text)
			put(t, filepath.Join(dir, "scripts/hello.star"), script)
			put(t, filepath.Join(dir, "scripts/quiet.star"), "def pull():\n    pass\n")
			run := exec.CommandContext(t.Context(), "starling", strings.Fields(c.args)...)
			run.Dir, run.Env = dir, append(os.Environ(), "CONFIG_FILE=")
			out, err := run.CombinedOutput()
			if err == nil {
				t.Errorf("starling %s ends well", c.args)
			}
			for _, want := range c.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("starling %s does not say %q:\n%s", c.args, want, out)
				}
			}
		})
	}
}
