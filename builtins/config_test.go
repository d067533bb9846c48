package builtins

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"starling/engine"
)

// evalConfig evaluates expr as the top level of a script, with settings.
func evalConfig(t testing.TB, expr string, settings map[string]any) (starlark.Value, *engine.Load, error) {
	load := &engine.Load{Settings: engine.NewSettings(settings), Env: testEnv(t), Collector: "input/1/service"}
	v, err := starlark.EvalOptions(&syntax.FileOptions{}, load.NewThread("t"), "t.star", expr, testPredeclared())
	return v, load, errors.Join(err, load.Problems())
}

func TestSettingsGiveTheirValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		expr string
		set  any
		want string
	}{
		{`config.string("x")`, "abc", `"abc"`},
		{`config.string("x", default = "d")`, nil, `"d"`},
		{`config.string("x", default = None)`, nil, `None`},
		{`config.string("x", min_length = 2, max_length = 2)`, "öß", `"öß"`},
		{`config.string("x", choices = ["a", "b"])`, "b", `"b"`},
		{`config.string("x", pattern = "[a-z]+")`, "abc", `"abc"`},
		{`config.secret("x")`, "hunter22", `****SANITIZED****`},
		{`config.secret("x", default = None)`, nil, `None`},
		{`config.int("x", min = 1, max = 3)`, 3, `3`},
		{`config.int("x")`, 3.0, `3`},
		{`config.int("x", default = 7)`, nil, `7`},
		{`config.float("x")`, 3, `3.0`},
		{`config.float("x", min = 0)`, 0.5, `0.5`},
		{`config.bool("x", default = False)`, true, `True`},
		{`config.seconds("x", min = 1, max = 172800)`, 90000, `25h`},
		{`config.seconds("x")`, 0.5, `500ms`},
		{`config.seconds("x")`, "5m", `5m`},
		{`config.seconds("x", default = 90)`, nil, `1m30s`},
		{`config.seconds("x", default = "10d", max = "10d")`, nil, `10d`},
		{`config.seconds("x", max = 86400000000) > config.seconds("y", default = 9000000000)`, 86_400_000_000, `True`},
		{`config.list("x")`, []any{"a", "b"}, `["a", "b"]`},
		{`config.list("x", default = [])`, nil, `[]`},
		{`config.date("x")`, "2026-11-23", `"2026-11-23"`},
		{`config.url("x", path = "/a/b.svc")`, "https://reports.office365.us", `"https://reports.office365.us/a/b.svc"`},
		{`config.url("x", path = "a/b.svc")`, "reports.office365.us/", `"https://reports.office365.us/a/b.svc"`},
		{`config.url("x", path = "/a/b.svc")`, "https://h.example/other/", `"https://h.example/other"`},
		{`config.url("x")`, "http://127.0.0.1:8080", `"http://127.0.0.1:8080"`},
		{`config.url("x")`, "http://[::1]:8080/v1", `"http://[::1]:8080/v1"`},
		{`config.url("x", default = "https://h.example/v1")`, nil, `"https://h.example/v1"`},
		{`config.string("y", aliases = ["x"])`, "by alias", `"by alias"`},
	} {
		settings := map[string]any{}
		if c.set != nil {
			settings["x"] = c.set
		}
		got, _, err := evalConfig(t, c.expr, settings)
		if err != nil || got.String() != c.want {
			t.Errorf("%s with %v = %v, %v, want %s", c.expr, c.set, got, err, c.want)
		}
	}
}

func TestWrongSettingsAreTold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		expr string
		set  any
		want string
	}{
		{`config.string("x", doc = "the tenant")`, nil, "missing: the tenant"},
		{`config.string("x", min_length = 1)`, "", "got 0 characters, want at least 1"},
		{`config.string("x")`, 12, "got 12, want a text: write it in quotes"},
		{`config.string("x", choices = ["a", "b"])`, "c", `got "c", want one of a, b`},
		{`config.string("x", pattern = "[a-z]")`, "ab", `got "ab", want a text that matches [a-z]`},
		{`config.secret("x")`, 123456, "got a number, want a text: write it in quotes"},
		{`config.secret("x")`, "", "is empty"},
		{`config.secret("x", min_length = 20)`, "hunter22", "got 8 characters, want at least 20"},
		{`config.int("x", min = 1, max = 172800)`, 0, "got 0, want 1 to 172800"},
		{`config.int("x")`, "12", `got "12", want a whole number: write it without quotes`},
		{`config.int("x")`, 1.5, "got 1.5, want a whole number"},
		{`config.int("x", max = 5)`, 6, "got 6, want at most 5"},
		{`config.float("x")`, "0.5", "write it without quotes"},
		{`config.bool("x")`, "true", "write it without quotes"},
		{`config.bool("x")`, 1, "got 1, want true or false"},
		{`config.seconds("x", min = 1, max = 172800)`, 172801, "got 172801, want 1 to 172800 seconds"},
		{`config.seconds("x")`, "90", "write it without quotes"},
		{`config.seconds("x")`, -1, "want at least 0 seconds"},
		{`config.seconds("x")`, true, `want a number of seconds, or a text such as "5m"`},
		{`config.seconds("x", max = 86400000000)`, 86_400_000_001, "want 0 to 86400000000 seconds"},
		{`config.list("x")`, "a", "want a list: write [a]"},
		{`config.list("x", choices = ["a"])`, []any{"a", "b"}, `item 2: got "b", want one of a`},
		{`config.list("x", min_length = 1)`, []any{}, "got 0 items, want at least 1"},
		{`config.date("x")`, "23.11.2026", `want a date "YYYY-MM-DD"`},
		{`config.date("x")`, "2026-02-30", `want a date "YYYY-MM-DD"`},
		{`config.url("x")`, "http://api.example.com", "want https"},
		{`config.url("x")`, "ftp://127.0.0.1", "want https"},
		{`config.url("x")`, "https://u:hunter22@h.example", "user name"},
		{`config.url("x")`, "https://h.example/?a=b", "a query or a fragment"},
		{`config.url("x")`, "https://", "with a host"},
		{`config.string("y", aliases = ["x", "z"], default = "")`, "a", "x is set as well"},
	} {
		settings := map[string]any{}
		if c.set != nil {
			settings["x"] = c.set
		}
		if strings.Contains(c.want, "as well") {
			settings["z"] = "b"
		}
		got, _, err := evalConfig(t, c.expr, settings)
		if err == nil {
			t.Errorf("%s with %v = %v, want an error", c.expr, c.set, got)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %v: got %q, want %q in it", c.expr, c.set, err, c.want)
		}
		if code := engine.CodeOf(err, "none"); code != engine.CodeConfig {
			t.Errorf("%s with %v: got code %q, want config", c.expr, c.set, code)
		}
		if strings.Contains(err.Error(), "hunter22") || strings.Contains(err.Error(), "123456") {
			t.Errorf("%s: the error shows the secret: %v", c.expr, err)
		}
	}
}

func TestMistakesInDeclarationsAreTheScripts(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]string{
		`config.int("x", default = 5, max = 4)`:             "x: default: got 5, want at most 4",
		`config.string("x", default = 5)`:                   "x: default: got 5, want a text",
		`config.seconds("x", default = "5 minutes")`:        "x: default: ",
		`config.string("x", pattern = "(")`:                 "x: pattern",
		`config.secret("x", default = "s")`:                 "no secret",
		`config.url("x", default = "http://h.example")`:     "want https",
		`config.string("x", "y")`:                           "name the others",
		`config.string("")`:                                 "the name is empty",
		`config.list("x", default = [1])`:                   "item 1",
		`config.seconds("x", default = 1, max = "forever")`: "x: max",
	} {
		// The operator's value is right, and the mistake is found all the same.
		_, _, err := evalConfig(t, expr, map[string]any{})
		if err == nil || !strings.Contains(err.Error(), want) || engine.CodeOf(err, "none") != "none" {
			t.Errorf("%s: got %v, want a plain error with %q", expr, err, want)
		}
	}
}

func TestSettingsAreForTheTopLevel(t *testing.T) {
	t.Parallel()
	thread := engine.NewPull(t.Context(), testEnv(t), "c").NewThread("pull")
	_, err := starlark.EvalOptions(&syntax.FileOptions{}, thread, "t.star", `config.string("x")`, testPredeclared())
	if err == nil || !strings.Contains(err.Error(), "top level") {
		t.Errorf("got %v, want an error that names the top level", err)
	}
}

func TestDeclarationsAreListed(t *testing.T) {
	t.Parallel()
	_, load, err := evalConfig(t, `[config.string("a", doc = "A."), config.int("b", default = 5), config.url("c", default = None), config.string("a", doc = "A.")]`,
		map[string]any{"a": "x"})
	if err != nil {
		t.Fatal(err)
	}
	want := []engine.Declaration{{Name: "a", Type: "string", Doc: "A."}, {Name: "b", Type: "int", Default: "5"}, {Name: "c", Type: "url", Default: "None"}}
	if fmt.Sprint(load.Declared) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", load.Declared, want)
	}
	if err := load.Settings.Unknown(); err != nil {
		t.Errorf("declared keys are unknown: %v", err)
	}
}

func TestSecretsAreKnownToTheRedactor(t *testing.T) {
	t.Parallel()
	_, load, err := evalConfig(t, `config.secret("x")`, map[string]any{"x": "hunter2hunter2"})
	if err != nil {
		t.Fatal(err)
	}
	if got := load.Env.Redactor.Redact("a hunter2hunter2 b"); strings.Contains(got, "hunter2") {
		t.Errorf("got %q, want the secret taken out", got)
	}
}

func TestAScriptRefusesWhatOneSettingCannotTell(t *testing.T) {
	t.Parallel()
	_, load, err := evalConfig(t, `[config.secret("a"), config.refuse("a", "is set beside b: hunter22"), config.refuse("c", "is missing")]`, map[string]any{"a": "hunter22"})
	want := "settings: a: is set beside b: ****SANITIZED****\nsettings: c: is missing"
	if err == nil || err.Error() != want || engine.CodeOf(load.Problems(), "") != engine.CodeConfig {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
