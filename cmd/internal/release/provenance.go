package main

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
)

// A statement is an in-toto statement, v1, with SLSA provenance, v1. It is not signed: who publishes the
// files signs it.
type statement struct {
	Type          string     `json:"_type"`
	Subject       []resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     predicate  `json:"predicate"`
}

type resource struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

type predicate struct {
	Build buildDefinition `json:"buildDefinition"`
	Run   runDetails      `json:"runDetails"`
}

type buildDefinition struct {
	Type         string            `json:"buildType"`
	External     map[string]string `json:"externalParameters"`
	Internal     map[string]string `json:"internalParameters"`
	Dependencies []resource        `json:"resolvedDependencies"`
}

type runDetails struct {
	Builder resourceID `json:"builder"`
}

type resourceID struct {
	ID string `json:"id"`
}

// provenance says what the programs were built from and how. They are builds of the same package for
// different machines.
func provenance(programs []*program, getenv func(string) string) statement {
	s := statement{Type: "https://in-toto.io/Statement/v1", PredicateType: "https://slsa.dev/provenance/v1"}
	d := buildDefinition{Type: "urn:starling:release:1", External: map[string]string{"version": getenv("VERSION"), "package": programs[0].main}, Internal: map[string]string{}}
	source := resource{URI: cmp.Or(getenv("SOURCE"), "urn:starling:source")}
	if commit := getenv("COMMIT"); commit != "" {
		source.Digest = map[string]string{"gitCommit": commit}
	}
	d.Dependencies = []resource{source}
	linked := map[string]*module{}
	for _, p := range programs {
		s.Subject = append(s.Subject, resource{Name: p.name, Digest: map[string]string{"sha256": p.sha256}})
		for name, value := range p.settings {
			d.Internal[p.name+" "+name] = value
		}
		for _, m := range p.modules {
			linked[m.purl()] = m
		}
	}
	for _, purl := range slices.Sorted(maps.Keys(linked)) {
		r := resource{URI: purl}
		if digest := dirHash(linked[purl].sum); digest != "" {
			r.Digest = map[string]string{"dirHash": digest}
		}
		d.Dependencies = append(d.Dependencies, r)
	}
	s.Predicate = predicate{Build: d, Run: runDetails{Builder: resourceID{cmp.Or(getenv("BUILDER"), "urn:starling:builder:unnamed")}}}
	return s
}

// dirHash is a sum of go.sum, "h1:" and base64, as in-toto writes it.
func dirHash(sum string) string {
	text, ok := strings.CutPrefix(sum, "h1:")
	digest, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil {
		return ""
	}
	return hex.EncodeToString(digest)
}
