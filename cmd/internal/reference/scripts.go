package reference

import (
	"fmt"
	"io/fs"
	"strings"

	"starling/cmd/internal/docs"
	"starling/scripts"
)

// builtinScripts describes every built-in script: its docstring, and the settings that it and what it
// loads declare.
func builtinScripts(string) (string, error) {
	files, err := fs.Glob(scripts.FS(), "*.star")
	if err != nil {
		return "", err
	}
	read := func(name string) ([]byte, bool) {
		text, err := fs.ReadFile(scripts.FS(), name)
		return text, err == nil
	}
	var b strings.Builder
	b.WriteString("## Built-in scripts\n\nA service runs the script of its name, or the one that `script:` names. Its settings stand in the service, the input or its credentials.\n")
	for _, file := range files {
		if strings.HasSuffix(file, "_test.star") {
			continue
		}
		doc, settings, err := docs.Script(read, file)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n%s", strings.TrimSuffix(file, ".star"), doc, docs.SettingsTable(settings))
	}
	return b.String(), nil
}
