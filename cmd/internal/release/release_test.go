package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestLicencesAreToldApart(t *testing.T) {
	t.Parallel()
	const bsd = "Redistribution and use in source and binary forms, with or\nwithout modification, are permitted"
	for text, want := range map[string][]string{
		"Apache License\n   Version 2.0, January 2004":                                        {"Apache-2.0"},
		"Permission is hereby granted, free of\ncharge, to any person obtaining a copy of it": {"MIT"},
		bsd: {"BSD-2-Clause"},
		bsd + "\nmay not be used to endorse or promote products derived":                                                             {"BSD-3-Clause"},
		"Mozilla Public License Version 2.0\n Secondary License means either the GNU General Public License":                         {"MPL-2.0"},
		"Permission to use, copy, modify, and distribute this software for any purpose with or without fee":                          {"ISC"},
		"GNU GENERAL PUBLIC LICENSE Version 3":                                                                                       nil,
		"Licensed under the MIT terms: Permission is hereby granted, free of charge, to any person obtaining a copy. Commons Clause": nil,
		"All rights reserved.": nil,
		"":                     nil,
	} {
		if got := kindsOf(text); !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

// self is this test, a program like any other.
func self(t *testing.T) *program {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := readProgram(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func programOf(t *testing.T, files map[string]string) (*program, func(*program) ([]folder, error)) {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p := self(t)
	p.modules = []*module{{path: "example.com/m", version: "v1.0.0", sum: "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}}
	return p, func(*program) ([]folder, error) {
		return []folder{{"example.com/m", root, root}, {"example.com/m", root, filepath.Join(root, "a", "b")}}, nil
	}
}

const mit = "Permission is hereby granted, free of charge, to any person obtaining a copy"

func TestEveryModuleNeedsALicenceThatIsAllowed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"none":             {map[string]string{"README": "MIT", "a/b/x.go": ""}, "no licence"},
		"unknown":          {map[string]string{"LICENSE": "ask me", "a/b/x.go": ""}, "LICENSE is a licence that is not known or not allowed"},
		"unknown deep":     {map[string]string{"LICENSE": mit, "a/COPYING.txt": "GNU General Public License", "a/b/x.go": ""}, "a/COPYING.txt is a licence"},
		"a Go file":        {map[string]string{"license.go": mit, "a/b/x.go": ""}, "no licence"},
		"deep":             {map[string]string{"a/b/LICENCE.md": mit}, ""},
		"not of the build": {map[string]string{"LICENSE": mit, "other/LICENSE": "GNU General Public License", "a/b/x.go": ""}, ""},
	} {
		p, list := programOf(t, c.files)
		err := p.findLicences(list)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestWhatGoesWithAProgram(t *testing.T) {
	t.Parallel()
	p, list := programOf(t, map[string]string{"LICENSE": mit, "NOTICE": "made by m", "a/b/LICENSE": "Apache License Version 2.0, January 2004"})
	if err := p.findLicences(list); err != nil {
		t.Fatal(err)
	}
	var notices bytes.Buffer
	if err := p.printNotices(&notices); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"example.com/m@v1.0.0 LICENSE\n", mit, "made by m", "a/b/LICENSE"} {
		if !strings.Contains(notices.String(), part) {
			t.Errorf("no %q in\n%s", part, &notices)
		}
	}
	getenv := func(name string) string { return map[string]string{"VERSION": "1.2.3", "COMMIT": "c0ffee"}[name] }
	var bill, statement bytes.Buffer
	if err := printJSON(&bill, sbom(p, getenv)); err != nil {
		t.Fatal(err)
	}
	if err := printJSON(&statement, provenance([]*program{p}, getenv)); err != nil {
		t.Fatal(err)
	}
	var b struct {
		BOMFormat, SpecVersion, SerialNumber string
		Components                           []struct {
			Purl     string
			Licenses []struct{ Expression string }
		}
	}
	if err := json.Unmarshal(bill.Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	if b.BOMFormat != "CycloneDX" || b.SpecVersion != "1.6" || !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(b.SerialNumber) {
		t.Errorf("got %+v", b)
	}
	if len(b.Components) != 1 || b.Components[0].Purl != "pkg:golang/example.com/m@v1.0.0" || b.Components[0].Licenses[0].Expression != "Apache-2.0 AND MIT" {
		t.Errorf("got %+v", b.Components)
	}
	for _, part := range []string{
		`"sha256": "` + p.sha256, `"gitCommit": "c0ffee"`, `"_type": "https://in-toto.io/Statement/v1"`,
		`"dirHash": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`, // of nothing, by sha256sum
	} {
		if !strings.Contains(statement.String(), part) {
			t.Errorf("no %q in\n%s", part, &statement)
		}
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{}, {"sbom"}, {"sbom", "no such file"}, {"sbom", "release_test.go"}} {
		if err := run(args, &bytes.Buffer{}); err == nil {
			t.Errorf("%q went well", args)
		}
	}
	if err := run([]string{"provenance", path}, &bytes.Buffer{}); err != nil {
		t.Error(err)
	}
}
