package main

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// A bill is a bill of materials, CycloneDX 1.6. It has no time, so that the same program gives the same.
type bill struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Serial       string       `json:"serialNumber"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type       string          `json:"type"`
	Ref        string          `json:"bom-ref"`
	Name       string          `json:"name"`
	Version    string          `json:"version"`
	Purl       string          `json:"purl"`
	Hashes     []hash          `json:"hashes,omitempty"`
	Licences   []licenceChoice `json:"licenses,omitempty"`
	Properties []property      `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type licenceChoice struct {
	Expression string `json:"expression"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

func sbom(p *program, getenv func(string) string) bill {
	version := getenv("VERSION")
	self := component{Type: "application", Name: p.module, Version: version, Purl: "pkg:golang/" + p.module + "@" + version,
		Hashes: []hash{{"SHA-256", p.sha256}}, Licences: []licenceChoice{{"Apache-2.0"}}}
	self.Ref = self.Purl
	b := bill{Format: "CycloneDX", Spec: "1.6", Version: 1, Serial: serial(p.sha256), Metadata: metadata{self}}
	all := dependency{Ref: self.Ref}
	for _, m := range p.modules {
		c := component{Type: "library", Ref: m.purl(), Name: m.path, Version: m.version, Purl: m.purl(), Licences: []licenceChoice{{strings.Join(m.kinds(), " AND ")}}}
		if m.sum != "" {
			c.Properties = []property{{"go.sum", m.sum}}
		}
		b.Components = append(b.Components, c)
		all.DependsOn = append(all.DependsOn, c.Ref)
	}
	b.Dependencies = []dependency{all}
	return b
}

// serial makes a UUID of version 8 (RFC 9562) that is the program's own.
func serial(digest string) string {
	id := sha256.Sum256([]byte("bill of materials of " + digest))
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:16])
}
