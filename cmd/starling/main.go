// Command starling runs collectors: scripts that pull events from an API and deliver them to Devo.
//
// Every command is a file of its own and a line in the table of commands.go. Commands wire the
// packages together, print for people, and decide exit codes; they hold no other logic.
package main

import (
	"context"
	"os"
)

// version is set by the linker: -ldflags "-X main.version=1.2.3".
var version string

func main() {
	keepPrivate()
	os.Exit(run(context.Background(), os.Args[1:], program{stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}))
}
