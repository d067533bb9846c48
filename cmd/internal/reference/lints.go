package reference

import "starling/cmd/internal/lint"

func lints(string) (string, error) {
	var rows [][]string
	for _, l := range lint.Lints() {
		rows = append(rows, []string{code(l.Name), l.Doc})
	}
	return "## Lints\n\nWhat `starling lint` finds. A comment keeps one quiet on its line, or alone on the line above: `# lint: ignore NAME reason`.\n\n" +
		table([]string{"name", "what is wrong, and what to do"}, rows), nil
}
