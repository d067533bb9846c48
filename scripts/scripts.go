// Package scripts holds the built-in scripts, one for each service: files with the ending .star, what
// they load from lib, and their tests with what those read. It has no other Go code; starling runs
// the scripts, and people copy and change them.
package scripts

import (
	"embed"
	"io/fs"
)

//go:embed *.star lib testdata
var files embed.FS

// FS returns the built-in scripts.
func FS() fs.FS { return files }
