package engine

import (
	"path/filepath"
	"testing"
	"time"
)

func TestSectionReadsAndRefuses(t *testing.T) {
	t.Parallel()
	const def = "default"
	text := func(s *Section) any { return s.Text("k", def) }
	number := func(s *Section) any { return s.Int("k", 7, 1, 65535) }
	float := func(s *Section) any { return s.Float("k", 0.5, -1, 1.1) }
	boolean := func(s *Section) any { return s.Bool("k", true) }
	seconds := func(s *Section) any { return s.Seconds("k", time.Minute, time.Second, time.Hour) }
	size := func(s *Section) any { return s.Bytes("k", 512, 1, 1<<40) }
	choice := func(s *Section) any { return s.Choice("k", "tcp", "tcp", "tls") }
	required := func(s *Section) any { return s.Required("k") }

	for name, c := range map[string]struct {
		value   any // nil: absent
		read    func(*Section) any
		want    any
		problem string
	}{
		"text":              {"a b", text, "a b", ""},
		"text empty":        {"", text, "", ""},
		"text absent":       {nil, text, def, ""},
		"text number":       {5, text, def, "got 5, want a text; put it in quotes"},
		"text bool":         {true, text, def, "got true, want a text; put it in quotes"},
		"text list":         {[]any{"a"}, text, def, "got a list, want a text"},
		"text of digits":    {"0123", text, "0123", ""},
		"text date":         {"2023-01-01", text, "2023-01-01", ""},
		"required":          {"x", required, "x", ""},
		"required absent":   {nil, required, "", `CollectorConfigurationException [CODE:0006] Error in configuration, cause: "Required configuration data is missing"`},
		"required empty":    {"", required, "", `CollectorConfigurationException [CODE:0006] Error in configuration, cause: "Required configuration data is missing: it is empty"`},
		"required number":   {1, required, "", "got 1, want a text; put it in quotes"},
		"int low":           {1, number, int64(1), ""},
		"int high":          {65535, number, int64(65535), ""},
		"int too low":       {0, number, int64(7), "got 0, want a whole number from 1 to 65535"},
		"int too high":      {65536, number, int64(7), "got 65536, want a whole number from 1 to 65535"},
		"int absent":        {nil, number, int64(7), ""},
		"int whole float":   {60.0, number, int64(60), ""},
		"int broken":        {60.5, number, int64(7), "got 60.5, want a whole number from 1 to 65535"},
		"int text":          {"60", number, int64(7), `got "60", want a whole number from 1 to 65535, without quotes`},
		"float":             {1.1, float, 1.1, ""},
		"float of int":      {1, float, 1.0, ""},
		"float too high":    {1.2, float, 0.5, "got 1.2, want a number from -1 to 1.1"},
		"float text":        {"1", float, 0.5, `got "1", want a number from -1 to 1.1`},
		"bool":              {false, boolean, false, ""},
		"bool absent":       {nil, boolean, true, ""},
		"bool text":         {"false", boolean, true, `got "false", want true or false, without quotes`},
		"bool number":       {0, boolean, true, "got 0, want true or false, without quotes"},
		"seconds":           {90, seconds, 90 * time.Second, ""},
		"seconds float":     {1.5, seconds, 1500 * time.Millisecond, ""},
		"seconds notation":  {"1m30s", seconds, 90 * time.Second, ""},
		"seconds highest":   {3600, seconds, time.Hour, ""},
		"seconds too high":  {"61m", seconds, time.Minute, `got "61m", want a time from 1s to 1h0m0s, as a number of seconds or such as "1m30s"`},
		"seconds overflow":  {int64(1) << 62, seconds, time.Minute, `got 4611686018427387904, want a time from 1s to 1h0m0s, as a number of seconds or such as "1m30s"`},
		"seconds no unit":   {"90", seconds, time.Minute, `got "90", want a time from 1s to 1h0m0s, as a number of seconds or such as "1m30s"`},
		"size":              {1048576, size, int64(1 << 20), ""},
		"size MiB":          {"16MiB", size, int64(16 << 20), ""},
		"size MB":           {"16 MB", size, int64(16e6), ""},
		"size B":            {"16B", size, int64(16), ""},
		"size negative":     {"-1KiB", size, int64(512), `got "-1KiB", want a size from 1 to 1099511627776, as a number of bytes or such as "16MiB"`},
		"size overflow":     {"16777217TiB", size, int64(512), `got "16777217TiB", want a size from 1 to 1099511627776, as a number of bytes or such as "16MiB"`},
		"size of no number": {"MiB", size, int64(512), `got "MiB", want a size from 1 to 1099511627776, as a number of bytes or such as "16MiB"`},
		"choice":            {"tls", choice, "tls", ""},
		"choice absent":     {nil, choice, "tcp", ""},
		"choice other":      {"quic", choice, "tcp", `got "quic", want one of tcp, tls`},
		"choice near":       {"TLS", choice, "tcp", `got "TLS", want one of tcp, tls; did you mean tls?`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			values := map[string]any{}
			if c.value != nil {
				values["k"] = c.value
			}
			s := NewSection("", "", values)
			if got := c.read(s); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			want := ""
			if c.problem != "" {
				want = "k: " + c.problem
			}
			if got := errorText(s.Err()); got != want {
				t.Errorf("got error %q, want %q", got, want)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestSectionGathersEverything(t *testing.T) {
	t.Parallel()
	s := NewSection("test.yaml", "/base", map[string]any{"adress": "x", "port": "x", "spare": 1, "token": 123456, "null": nil})
	s.Required("address")
	s.Int("port", 0, 1, 2)
	s.Ignore("spare")
	s.Text("token", "")
	if s.Has("null") || s.Has("no") || !s.Has("port") {
		t.Error("Has is wrong: a key without a value is absent")
	}
	s.Errorf("spare", "does not go with %s", "port")
	want := `test.yaml: address: CollectorConfigurationException [CODE:0006] Error in configuration, cause: "Required configuration data is missing"
test.yaml: port: got "x", want a whole number from 1 to 2
test.yaml: token: got another type of value, want a text; put it in quotes
test.yaml: spare: does not go with port
test.yaml: adress: unknown key, did you mean "address"?`
	for range 2 { // asking twice changes nothing
		if got := errorText(s.Err()); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	if CodeOf(s.Err(), "") != CodeConfig {
		t.Errorf("got code %q, want config", CodeOf(s.Err(), ""))
	}
}

func TestSectionFilesAndPaths(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	writeFile(t, filepath.Join(base, "certs", "a.crt"), "in certs")
	writeFile(t, filepath.Join(base, "a.crt"), "in base")
	writeFile(t, filepath.Join(base, "b.crt"), "in base")
	s := NewSection("", base, map[string]any{
		"a": "a.crt", "b": "b.crt", "absolute": filepath.Join(base, "a.crt"), "dir": "certs", "none": "c.crt", "empty": "", "path": "x/y", "out": "/x",
	})
	for _, c := range []struct{ what, got, want string }{
		{"first directory wins", s.File("a", "certs", "."), filepath.Join(base, "certs", "a.crt")},
		{"next directory", s.File("b", "certs", "."), filepath.Join(base, "b.crt")},
		{"no directories", s.File("a"), filepath.Join(base, "a.crt")},
		{"absolute", s.File("absolute", "certs"), filepath.Join(base, "a.crt")},
		{"absent", s.File("gone"), ""},
		{"path", s.Path("path", ""), filepath.Join(base, "x", "y")},
		{"absolute path", s.Path("out", ""), "/x"},
		{"default path", s.Path("other", "z"), filepath.Join(base, "z")},
		{"no path", s.Path("other", ""), ""},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, c.got, c.want)
		}
	}
	if err := s.Err(); errorText(err) == "" {
		t.Error("dir, none and empty were not asked for, want an error")
	}
	s.File("dir")
	s.File("none", "certs", ".")
	s.File("empty")
	want := "dir: " + base + "/certs is a directory, want a file\n" +
		"none: there is no file " + base + "/certs/c.crt and no file " + base + "/c.crt\n" +
		`empty: got "", want the name of a file`
	if got := errorText(s.Err()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A key of a certificate given as ${file:…}, its content in place of its name, is an easy mistake.
func TestSectionDoesNotShowSecretsAsFileNames(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	writeFile(t, filepath.Join(base, "devo.key"), "private-private")
	file := filepath.Join(base, "config.yaml")
	writeFile(t, file, `
globals: {id: 1, name: emt}
outputs: {a: {type: b, config: {key: "${file:devo.key}"}}}
inputs: {mail: {id: x, enabled: false}}
`)
	c, err := LoadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	s := c.Outputs[0].Config
	s.File("key")
	if got, want := errorText(s.Err()), file+":3:33: outputs.a.config.key: got a text, want the name of a file that exists"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"address", "cert", "id", "name", "port", "tenant_id"}
	for key, want := range map[string]string{
		"adress": "address", "addresss": "address", "nmae": "name", "tenantid": "tenant_id", "port": "port", "prot": "port",
		"di": "", "x": "", "": "", "directory": "", "reset_persistence": "",
	} {
		if got := Nearest(key, known); got != want {
			t.Errorf("%q: got %q, want %q", key, got, want)
		}
	}
}
