package scaffold

import (
	"reflect"
	"strings"
	"testing"

	"starling/cmd/internal/format"
)

func TestWordsAreThoseOfAShell(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][]string{
		`curl a  b`:                     {"curl", "a", "b"},
		`curl 'a b' "c d"e`:             {"curl", "a b", "c de"},
		"curl \\\n  -H 'a: b' \\\r\n x": {"curl", "-H", "a: b", "x"},
		`curl "a\"b\$c\d" a\ b`:         {"curl", `a"b$c\d`, "a b"},
		`curl $'a\'\n\x41\u00e9'`:       {"curl", "a'\nAé"},
		`curl a | jq . `:                {"curl", "a"},
		`curl a > file`:                 {"curl", "a"},
		"curl a\nrm b":                  {"curl", "a"},
		"# said\ncurl a # b":            {"curl", "a"},
		`curl a#b ''`:                   {"curl", "a#b", ""},
		`curl "$TOKEN"`:                 {"curl", "$TOKEN"},
	} {
		got, err := Words(line)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %q, %v, want %q", line, got, err, want)
		}
	}
	for _, line := range []string{`curl 'a`, `curl "a`, `curl $'a`} {
		if got, err := Words(line); err == nil {
			t.Errorf("%q: got %q, want an error", line, got)
		}
	}
}

func TestCurlLinesThatAreNone(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"":                         "it has to begin with curl",
		"wget https://a":           "it has to begin with curl",
		"curl -s":                  "has no URL",
		"curl https://a -H":        "-H of curl has no value",
		"curl 'https://a":          "a quote is opened",
		"curl ftp://a/b":           "none of http or https",
		"curl -X POST -d @f https": "",
	} {
		_, err := ParseCurl(line)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", line, err, want)
		}
	}
}

func TestSamplesThatAreNone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                         "no JSON",
		"<html>":                   "no JSON",
		"3":                        "neither an object nor a list",
		`{"a": 1}`:                 "no list of objects",
		`[1, 2]`:                   "not objects",
		"HTTP/1.1 200 OK\nLink: a": "no end",
	} {
		if _, err := ParseSample([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestOperationsThatAreNotThere(t *testing.T) {
	t.Parallel()
	const doc = "openapi: 3.0.0\npaths:\n  /users: {get: {operationId: listUsers}}\n  /audit: {get: {}, delete: {operationId: clear}}\n"
	for operation, want := range map[string]string{
		"listAudit": `no operation "listAudit": give its operationId, or a method and a path; those that read are GET /audit, listUsers`,
		"":          "--operation is missing",
		"clear":     "is a DELETE",
	} {
		if _, err := ParseOpenAPI([]byte(doc), operation); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", operation, err, want)
		}
	}
	for text, want := range map[string]string{"a: [": "no YAML", "{": "no JSON", "a: b": "no paths"} {
		if _, err := ParseOpenAPI([]byte(text), "x"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

// TestAPasswordThatIsAWordOfTheScriptChangesNothing: what is hidden is hidden in what a person gave, not in the script around it.
func TestAPasswordThatIsAWordOfTheScriptChangesNothing(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"checkpoint", "events", "return", "def pull", `"items": `} {
		d, err := ParseCurl(`curl https://api.example.net/v1/items -u 'me:` + password + `'`)
		if err != nil {
			t.Fatal(err)
		}
		if d.Sample, err = ParseSample([]byte(`{"items": [{"id": 1}]}`)); err != nil {
			t.Fatal(err)
		}
		written(t, d)
		if f := d.Write(); !strings.Contains(f.Script, "checkpoint.commit()") || !strings.Contains(f.Script, "def pull():") {
			t.Errorf("%q: got\n%s", password, f.Script)
		}
	}
}

// written checks what every draft must become: scripts that can be laid out, without a secret.
func written(t *testing.T, d *Draft, never ...string) {
	t.Helper()
	d.Name = "fuzz"
	f := d.Write()
	for name, text := range map[string]string{"fuzz.star": f.Script, "fuzz_test.star": f.Test} {
		if _, err := format.Source(name, []byte(text)); err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
	}
	for _, secret := range never {
		if strings.Contains(f.Script+f.Test+f.Config+string(f.Sample), secret) {
			t.Errorf("the secret %q is in\n%s%s%s", secret, f.Script, f.Test, f.Config)
		}
	}
}

const planted = "pL4ntedS3cr3tPl4ntedS3cr3t"

// FuzzCurl: whatever the line is, what is made of it can be laid out, and has no secret that the line has where secrets are.
func FuzzCurl(f *testing.F) {
	for _, line := range []string{`https://a.b/c?d=e`, `-u a:b "https://a/{b}" -d '{"a": [1]}'`, `-XPOST https://x/y --json '{"start": "2026-01-01T00:00:00Z"}' -H a:b`,
		`https://$H/:id/<x y>?page=1&limit=5#z`, `-G https://a --data-urlencode 'a=b c' -d from= -d to=`, `'https://a/"\%s%' -H "x: %s\""`} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(line, "ntedS3cr3t") {
			return
		}
		for _, whole := range []string{"curl " + line, "curl -H 'Authorization: Bearer " + planted + "' " + line} {
			d, err := ParseCurl(whole)
			if err != nil {
				continue
			}
			written(t, d, planted)
		}
	})
}

func FuzzSample(f *testing.F) {
	for _, text := range []string{`[{"id": 1}]`, `{"a": {"b": [{"c\n\"": null}]}, "next": "/x?y"}`, "HTTP/1.1 200\nLink: <a>; rel=next\n\n[]", `{"x": [{}], "next_cursor": "a"}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := ParseSample([]byte(text)); err == nil {
			written(t, &Draft{Sample: s})
		}
	})
}

func FuzzOpenAPI(f *testing.F) {
	f.Add("openapi: 3.0.0\nservers: [{url: https://a/b}]\npaths: {/a/{b}: {get: {operationId: x, parameters: [{name: since, in: query}, {name: q, in: query, required: true}], responses: {200: {content: {application/json: {schema: {type: array, items: {$ref: '#/x'}}}}}}}}}\nx: {type: object, properties: {id: {type: integer}, x: {$ref: '#/x'}}}")
	f.Add(`{"swagger": "2.0", "host": "a", "paths": {"/": {"post": {"operationId": "x", "responses": {"200": {"schema": {"allOf": [{"type": "object"}]}}}}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := ParseOpenAPI([]byte(text), "x"); err == nil {
			written(t, d)
		}
	})
}
