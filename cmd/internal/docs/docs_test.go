package docs

import (
	"strings"
	"testing"

	"starling/engine"
	"starling/scripts"
)

func everything(t *testing.T) []Entry {
	t.Helper()
	all, err := Builtins()
	if err != nil {
		t.Fatal(err)
	}
	sources, err := (&engine.Library{Builtin: scripts.FS()}).Read()
	if err != nil {
		t.Fatal(err)
	}
	more, err := OfScripts(sources)
	if err != nil || more == nil {
		t.Fatal(more, err)
	}
	return append(all, more...)
}

// TestEverySettingIsDocumented: a script has a docstring, and each of its settings says what it is.
func TestEverySettingIsDocumented(t *testing.T) {
	t.Parallel()
	for _, e := range everything(t) {
		if e.Doc == "" {
			t.Errorf("%s has no doc", e.Name)
		}
		for _, s := range e.Settings {
			if s.Doc == "" {
				t.Errorf("%s: the setting %s has no doc", e.Name, s.Name)
			}
		}
	}
}

func TestScriptReadsWhatIsDeclared(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"a.star": "\"\"\"A script.\"\"\"\nload(\"lib/b.star\", \"x\")\nn = config.int(\"n\", default = 5, min = 1, doc = \"How many.\", aliases = [\"count\"])\n",
		"lib/b.star": "load(\"a.star\", \"n\")\ndef x(default, **kw):\n    return config.string(\"s\", default = default, doc = \"S.\")\n" +
			"y = config.seconds(\"y\", doc = \"Y.\")\nz = config.url(\"z\", **{})\nconfig.refuse(\"n\", \"no\")\n",
	}
	doc, got, err := Script(func(name string) ([]byte, bool) { text, ok := files[name]; return []byte(text), ok }, "a.star")
	if err != nil || doc != "A script." || len(got) != 4 {
		t.Fatalf("got %q, %v, %v", doc, got, err)
	}
	for i, want := range []string{"s string depends false", "y seconds  true", "z url depends false", "n int 5 false"} {
		s := got[i]
		if line := strings.Join([]string{s.Name, s.Kind, s.Default, map[bool]string{true: "true", false: "false"}[s.Required]}, " "); line != want {
			t.Errorf("got %s, want %s", line, want)
		}
	}
	if got[3].Rules["min"] != int64(1) || got[3].Aliases[0] != "count" || got[3].Doc != "How many." {
		t.Errorf("got %+v", got[3])
	}
}

func TestFindAndSearch(t *testing.T) {
	t.Parallel()
	all := everything(t)
	if found := Find(all, "checkpoint.windows"); len(found) != 1 || !strings.HasPrefix(found[0].Signature, "(size, *, delay, first") {
		t.Errorf("got %+v", found)
	}
	if found := Find(all, "time"); len(found) != 2 {
		t.Errorf("the module and the value time: got %d entries", len(found))
	}
	if near := Nearest(all, "checkpoint.comit"); near != "checkpoint.commit" {
		t.Errorf("got %q", near)
	}
	found := Search(all, "throttled Retry-After")
	if len(found) == 0 {
		t.Error("nothing found")
	}
	for _, e := range found {
		if !strings.Contains(e.everything(), "Retry-After") && !strings.Contains(strings.ToLower(e.everything()), "throttled") {
			t.Errorf("%s has not all words", e.Name)
		}
	}
	if first := Search(all, "windows")[0].Name; !strings.Contains(first, "windows") {
		t.Errorf("got %s first, want one with the word in its name", first)
	}
}

// TestEveryFormatHasEverything: each entry and each argument is in the text, the Markdown and the page.
func TestEveryFormatHasEverything(t *testing.T) {
	t.Parallel()
	all := everything(t)
	page := HTML(all)
	for _, e := range all {
		if !strings.Contains(page, `<section id="`+string(e.Part)+"-"+e.Name+`">`) {
			t.Errorf("the page has no %s", e.Name)
		}
		text, markdown := strings.Join(strings.Fields(e.Text()), " "), e.Markdown()
		for _, a := range e.Arguments {
			if !strings.Contains(text, " "+a.Name+": ") || !a.shared && !strings.Contains(markdown, "- `"+a.Name+"`: "+a.Doc) {
				t.Errorf("%s: the argument %s is left out", e.Name, a.Name)
			}
		}
		for _, s := range e.Settings {
			if !strings.Contains(text, " "+s.Name) || !strings.Contains(markdown, "| `"+s.Name) {
				t.Errorf("%s: the setting %s is left out", e.Name, s.Name)
			}
		}
	}
	for _, outside := range []string{"<link", "src=", "@import", "<script src"} {
		if strings.Contains(page, outside) {
			t.Errorf("the page needs something from elsewhere: %s", outside)
		}
	}
}

func TestPageIsEscaped(t *testing.T) {
	t.Parallel()
	page := HTML([]Entry{{Name: "a", Part: Scripts, Doc: "x <script>alert(1)</script> [a](https://example.com/\"x) `<b>`", Example: "<i>"}})
	for _, bad := range []string{"<script>alert", "<b>", "<i>", "/\"x"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
}
