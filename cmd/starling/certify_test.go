package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"starling/cmd/internal/certify"
)

// leastFound is the part of the mistakes that certify must find with their line.
const leastFound = 0.9

// TestMistakesAreCertified runs certify over scripts that each have one mistake, in the cell that shows it.
func TestMistakesAreCertified(t *testing.T) {
	t.Parallel()
	looked, missed := 0, []string{}
	for _, m := range mistakes(t) {
		for _, by := range m.by {
			cell, ok := strings.CutPrefix(by, "certify ")
			if !ok {
				continue
			}
			looked++
			if problem := certifyFinds(t, m, cell); problem != "" {
				missed = append(missed, m.name+": "+problem)
			}
		}
	}
	t.Logf("%d of %d found; missed:\n%s", looked-len(missed), looked, strings.Join(missed, "\n"))
	if looked < 30 || float64(looked-len(missed)) < leastFound*float64(looked) {
		t.Errorf("%d of %d mistakes are not found:\n%s", len(missed), looked, strings.Join(missed, "\n"))
	}
}

func certifyFinds(t *testing.T, m mistake, cell string) string {
	t.Helper()
	p := &program{}
	script, api, err := p.certified(t.Context(), filepath.Join("testdata/mistakes", m.name), "", "")
	if err != nil {
		return err.Error()
	}
	script.First = true
	report, err := certify.Run(t.Context(), script, api, func(name string) bool { return name == cell })
	if err != nil {
		return err.Error()
	}
	for _, v := range report.Verdicts {
		if v.Name != cell && v.Result != certify.InOrder && !v.Warning {
			return fmt.Sprintf("%s is not in order either: %s", v.Name, v.Text)
		}
		if v.Name != cell {
			continue
		}
		if v.Result == certify.InOrder {
			return "is in order"
		}
		for _, place := range v.Places {
			if place.Line == m.line {
				return ""
			}
		}
		return fmt.Sprintf("is found, but not at line %d: %s", m.line, v.Text)
	}
	return "there is no cell " + cell
}

// TestTheBuiltInScriptsAreCertified tries some cells; STARLING_CERTIFY=. in the environment tries all, as .ci/nightly does.
func TestTheBuiltInScriptsAreCertified(t *testing.T) {
	t.Parallel()
	only := regexp.MustCompile(cmp.Or(os.Getenv("STARLING_CERTIFY"), "^(empty-page|html-for-good|kill-at-commit)$"))
	sources, err := builtinSources()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sources.Scripts() {
		p := &program{}
		script, api, err := p.certified(t.Context(), name, "", "")
		if err != nil {
			t.Fatal(err)
		}
		report, err := certify.Run(t.Context(), script, api, only.MatchString)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range report.Verdicts {
			if v.Result != certify.InOrder {
				t.Errorf("%s: %s: %s", name, v.Name, v.Text)
			}
		}
	}
}
