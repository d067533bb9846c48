// Release writes what goes with a built program: its licences, a bill of materials and a statement of
// how it was built. It asks nothing of the network, and writes the same for the same input.
//
//	release licences PROGRAM          check the licences of all that is linked in, and list them
//	release notices PROGRAM           print their texts, to hand on with the program
//	release sbom PROGRAM              print a CycloneDX bill of materials
//	release provenance PROGRAM...     print an in-toto statement with SLSA provenance
//
// VERSION, COMMIT, SOURCE and BUILDER in the environment say what the program itself cannot.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: release licences|notices|sbom|provenance PROGRAM [PROGRAM]")

func run(args []string, out io.Writer) error {
	if len(args) < 2 {
		return errUsage
	}
	var programs []*program
	for _, path := range args[1:] {
		p, err := readProgram(path)
		if err != nil {
			return err
		}
		programs = append(programs, p)
	}
	p := programs[0]
	if args[0] == "provenance" {
		return printJSON(out, provenance(programs, os.Getenv))
	}
	if err := p.findLicences(goList); err != nil {
		return err
	}
	switch args[0] {
	case "licences":
		p.listLicences(out)
		return nil
	case "notices":
		return p.printNotices(out)
	case "sbom":
		return printJSON(out, sbom(p, os.Getenv))
	}
	return errUsage
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
