package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/big"
	"strings"
	"time"

	"starling/cmd/internal/pickle"
	"starling/engine"
)

func (t *importTool) print(found *imported) {
	out := redacting{t.p.stdout, t.p.redactor}
	var text strings.Builder
	for _, s := range found.Collectors {
		s.print(&text)
	}
	if len(found.Others) > 0 {
		fmt.Fprintf(&text, "%s of no collector of this configuration:\n", count(len(found.Others), "file"))
		for _, o := range found.Others {
			fmt.Fprintf(&text, "  %s  %s, written %s: %s\n", o.File, count(int(o.Bytes), "byte"), rfc(o.Written), line(o.Holds))
		}
		fmt.Fprintln(&text, `  They are not imported. Some may be the state of other collectors; others are events that the old one
  could not deliver before it stopped. Such events are pulled again if the cursor is before them: ask
  Devo for the newest event that it has, and give --from if that is earlier.`)
	}
	io.WriteString(out, printable(text.String()))
}

// line is a text from a file in a line of its own.
func line(text string) string { return strings.ReplaceAll(text, "\n", "?") }

func (s *importState) print(w io.Writer) {
	fmt.Fprintln(w, s.Collector)
	if s.Written != nil {
		fmt.Fprintf(w, "  file %s, %s, written %s\n", s.File, count(int(s.Bytes), "byte"), rfc(*s.Written))
	}
	if s.StateOf != "" {
		fmt.Fprintf(w, "  it is of the service %s, which this one takes the place of\n", s.StateOf)
	}
	if s.Problem != "" {
		fmt.Fprintf(w, "  problem: %s\n", line(s.Problem))
	}
	for _, line := range s.lines {
		fmt.Fprintf(w, "    %s\n", line)
	}
	for _, p := range s.Times {
		mark := ""
		switch {
		case s.Choice != nil && p.Key == s.Choice.Key:
			mark = "  <- to go on from"
		case p.Likely == doubtful:
			mark = "  (more like when something ran: too late to be where pulls were)"
		}
		fmt.Fprintf(w, "  time %s  %s%s\n", rfc(p.Time), line(p.Key), mark)
	}
	fmt.Fprintf(w, "  do:  %s\n", line(s.Do))
}

// isSecret reports whether the name of a value says that nobody should see it.
func isSecret(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{"token", "secret", "passw", "credential", "authorization", "bearer", "cookie", "api_key", "apikey", "private_key", "access_key"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// What is shown of a state.
const (
	maxShownText  = 200 // characters of one text, or of a line
	maxShownItems = 20  // of one list
)

// showState returns a value as JSON has it, without secrets, and cut where it is long.
func showState(v any) any {
	switch v := v.(type) {
	case *pickle.Dict:
		shown := map[string]any{}
		for _, p := range v.Pairs {
			name := keyText(p.Key)
			if shown[name] = showState(p.Value); isSecret(name) {
				shown[name] = engine.Sanitized
			}
		}
		return shown
	case *pickle.List:
		shown := []any{}
		for i, item := range v.Items {
			if i == maxShownItems {
				return append(shown, fmt.Sprintf("... and %d more", len(v.Items)-i))
			}
			shown = append(shown, showState(item))
		}
		return shown
	case string:
		if strings.HasPrefix(v, "eyJ") && strings.Count(v, ".") == 2 || strings.HasPrefix(v, "Bearer ") {
			return engine.Sanitized
		}
		return cutText(v)
	case []byte:
		return cutText(fmt.Sprintf("bytes %x", v))
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprint(v)
		}
	case *big.Int, time.Duration:
		return fmt.Sprint(v)
	}
	return v
}

func keyText(v any) string {
	if name, ok := v.(string); ok {
		return cutText(name)
	}
	return cutText(fmt.Sprint(showState(v)))
}

func cutText(text string) string {
	if runes := []rune(text); len(runes) > maxShownText {
		return fmt.Sprintf("%s...[cut: %d characters]", string(runes[:maxShownText]), len(runes)-maxShownText)
	}
	return text
}

// stateLines shows a state to a person, in the order in which it was written.
func stateLines(d *pickle.Dict) []string {
	var lines []string
	shown := showState(d).(map[string]any)
	for i, p := range d.Pairs {
		if i == maxShownItems*2 {
			return append(lines, fmt.Sprintf("... and %d more", len(d.Pairs)-i))
		}
		name := keyText(p.Key)
		value, err := json.Marshal(shown[name])
		if err != nil {
			value = []byte(err.Error())
		}
		lines = append(lines, cutText(line(name)+" = "+string(value)))
	}
	return lines
}

// kindOf says what a value is, for what is not shown.
func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing (None)"
	case *pickle.Dict:
		return "a dict with " + count(len(v.Pairs), "value")
	case *pickle.List:
		return "a list of " + count(len(v.Items), "value")
	}
	return "one value"
}
