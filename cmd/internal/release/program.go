package main

import (
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A program is a built program as it describes itself.
type program struct {
	name     string
	sha256   string
	main     string // the package
	module   string
	settings map[string]string // of the build
	modules  []*module         // all that is linked in, the standard library first, then by path
}

// A module is one that is linked in.
type module struct {
	path, version string
	sum           string // as in go.sum; empty for the standard library
	licences      []licence
}

// std is the path under which the standard library is known to vulnerability databases.
const std = "std"

func readProgram(path string) (*program, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(data)
	p := &program{name: filepath.Base(path), sha256: hex.EncodeToString(digest[:]), main: info.Path, module: info.Main.Path, settings: map[string]string{}}
	for _, s := range info.Settings {
		p.settings[s.Key] = s.Value
	}
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			return nil, fmt.Errorf("%s: module %s is replaced: a release is made of published modules only", path, dep.Path)
		}
		p.modules = append(p.modules, &module{path: dep.Path, version: dep.Version, sum: dep.Sum})
	}
	slices.SortFunc(p.modules, func(a, b *module) int { return cmp.Compare(a.path, b.path) })
	p.modules = slices.Insert(p.modules, 0, &module{path: std, version: strings.TrimPrefix(info.GoVersion, "go")})
	return p, nil
}

// purl is the name of a module in bills of materials and vulnerability databases.
func (m *module) purl() string { return "pkg:golang/" + m.path + "@" + m.version }
