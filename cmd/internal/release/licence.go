package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A licence is a file that comes with a module.
type licence struct {
	file  string // below the module's folder
	text  string
	kinds []string // SPDX; empty for notices, which go with a licence
}

// phrases tell kinds apart. All of these ask for no more than their texts to be handed on; MPL also for
// the source of its own files, which is public.
var phrases = []struct{ kind, text string }{
	{"Apache-2.0", "apache license version 2.0, january 2004"},
	{"MPL-2.0", "mozilla public license version 2.0"},
	{"BSD-2-Clause", "redistribution and use in source and binary forms"},
	{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"ISC", "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee"},
	{"ISC", "permission to use, copy, modify, and distribute this software for any purpose with or without fee"},
}

// thirdClause makes a BSD-3-Clause of a BSD-2-Clause.
const thirdClause = "endorse or promote products"

var (
	licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)([-._].*)?$`)
	noticeFile  = regexp.MustCompile(`(?i)^(notice|patents)([-._].*)?$`)
	// refused may stand beside an allowed one in the same file. MPL's own text names the GPL, as a
	// licence that it can be combined with.
	refused = regexp.MustCompile(`gnu (lesser |library |affero )?general public license|server side public license|business source license|commons clause`)
)

// kindsOf returns the licences in a text, by their SPDX names; none if one is not known or not allowed.
func kindsOf(text string) []string {
	text = strings.Join(strings.Fields(strings.ToLower(text)), " ")
	var kinds []string
	for _, p := range phrases {
		if !strings.Contains(text, p.text) {
			continue
		}
		kind := p.kind
		if kind == "BSD-2-Clause" && strings.Contains(text, thirdClause) {
			kind = "BSD-3-Clause"
		}
		kinds = append(kinds, kind)
	}
	if refused.MatchString(text) && !slices.Contains(kinds, "MPL-2.0") {
		return nil
	}
	return kinds
}

// goList returns the folders that the go command says the program is built from: module paths, their
// folders and those of their packages.
func goList(p *program) (folders []folder, err error) {
	const format = `{{if .Standard}}std{{"\t"}}{{else}}{{with .Module}}{{.Path}}{{"\t"}}{{.Dir}}{{end}}{{end}}{{"\t"}}{{.Dir}}`
	cmd := exec.Command("go", "list", "-deps", "-f", format, p.main)
	cmd.Env = append(os.Environ(), "GOOS="+p.settings["GOOS"], "GOARCH="+p.settings["GOARCH"], "CGO_ENABLED="+p.settings["CGO_ENABLED"])
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) == 3 && f[0] != std {
			folders = append(folders, folder{module: f[0], root: f[1], dir: f[2]})
		}
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	root := strings.TrimSpace(string(goroot))
	return append(folders, folder{module: std, root: root, dir: root}), nil
}

// A folder holds a package of a module, below the module's root.
type folder struct{ module, root, dir string }

// findLicences reads the licences of every module that is linked in. One without a licence that is known
// and allowed is an error.
func (p *program) findLicences(list func(*program) ([]folder, error)) error {
	folders, err := list(p)
	if err != nil {
		return err
	}
	for _, m := range p.modules {
		seen := map[string]bool{}
		for _, f := range folders {
			for dir := f.dir; f.module == m.path && strings.HasPrefix(dir, f.root) && !seen[dir]; dir = filepath.Dir(dir) {
				seen[dir] = true
				if err := m.read(f.root, dir); err != nil {
					return err
				}
			}
		}
		slices.SortFunc(m.licences, func(a, b licence) int { return strings.Compare(a.file, b.file) })
		if len(m.kinds()) == 0 {
			return fmt.Errorf("%s@%s: no licence in %d folders: take another module, or ask its authors", m.path, m.version, len(seen))
		}
	}
	return nil
}

// read adds the licences and notices in dir.
func (m *module) read(root, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		isLicence := licenceFile.MatchString(e.Name())
		if e.IsDir() || strings.HasSuffix(e.Name(), ".go") || !isLicence && !noticeFile.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		file, err := filepath.Rel(root, filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		l := licence{file: file, text: strings.TrimSpace(string(text))}
		if isLicence {
			if l.kinds = kindsOf(l.text); len(l.kinds) == 0 {
				return fmt.Errorf("%s@%s: %s is a licence that is not known or not allowed: read it, and take another module or add it to phrases", m.path, m.version, file)
			}
		}
		m.licences = append(m.licences, l)
	}
	return nil
}

// kinds returns all licences of a module, sorted.
func (m *module) kinds() []string {
	var kinds []string
	for _, l := range m.licences {
		kinds = append(kinds, l.kinds...)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

func (p *program) listLicences(out io.Writer) {
	for _, m := range p.modules {
		fmt.Fprintf(out, "%-70s %s\n", m.path+"@"+m.version, strings.Join(m.kinds(), " AND "))
	}
	fmt.Fprintf(out, "%d modules, all with a licence that is allowed\n", len(p.modules))
}

func (p *program) printNotices(out io.Writer) error {
	if _, err := fmt.Fprintf(out, "%s is built from these works of others, under their licences.\n", p.module); err != nil {
		return err
	}
	for _, m := range p.modules {
		for _, l := range m.licences {
			if _, err := fmt.Fprintf(out, "\n%s\n%s@%s %s\n\n%s\n", strings.Repeat("-", 80), m.path, m.version, l.file, l.text); err != nil {
				return err
			}
		}
	}
	return nil
}
