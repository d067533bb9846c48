package reference

import (
	"cmp"
	"fmt"
	"strings"

	"starling/engine"
)

// Errors returns the text of docs/errors.md.
func Errors() string {
	var b strings.Builder
	b.WriteString("# Errors by Devo's names\n\nMade by `go generate ./cmd/internal/reference` from `engine/errorids.go`. Do not edit it: a test compares the two.\n\n" +
		"What goes wrong is told under the class and number that Devo's collectors have for it, if there is one, so that runbooks and alerts go on working:\n\n" +
		"    PullError [CODE:0302] reason: Forbidden: GET https://…: 403 Forbidden: … (what to do about it)\n\n" +
		"In the log, in `/status` and in what commands print. Mistakes in the configuration have the file, line and column in front, and most have no name; those that have one read\n\n" +
		"    config.yaml:2:3: globals.id: CollectorConfigurationException [CODE:0006] Error in configuration, cause: \"Required configuration data is missing\"\n\n" +
		"A script names its own with `errors` of `http.client`, `oauth` and " +
		"`config`, and with `devo.fail`; PullError 307 to 399, ApiError 400 to 499 and CustomError 500 to 799 are free for that.\n")
	class := ""
	var rows [][]string
	flush := func() {
		if rows != nil {
			b.WriteString("\n## " + class + "\n\n" + table([]string{"id", "message", "what it means", "what to do"}, rows))
		}
		rows = nil
	}
	for _, id := range engine.ErrorIDs() {
		if id.Class != class {
			flush()
			class = id.Class
		}
		rows = append(rows, []string{fmt.Sprintf("`%04d`", id.Number), escaped(cmp.Or(id.Message, "(its text is published nowhere)")), id.Cause, id.Remedy})
	}
	flush()
	return b.String()
}
