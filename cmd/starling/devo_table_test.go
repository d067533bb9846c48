package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"starling/cmd/internal/problem"
	"starling/cmd/internal/reference"
	"starling/cmd/internal/sim"
	"starling/engine"
	"starling/sinks"
)

func devoTables(t *testing.T) []reference.DevoTable {
	t.Helper()
	tables, err := reference.DevoTables()
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

// TestDevoTable tries every row of what Devo's documents name.
func TestDevoTable(t *testing.T) {
	t.Parallel()
	tests := testsOfTheProject(t)
	world := newDevoWorld(t)
	for _, table := range devoTables(t) {
		for _, r := range table.Rows {
			if !slices.Contains(reference.DevoStates, r.State) || r.Says == "" {
				t.Errorf("%s: %s: got the state %q and the remark %q, want one of %q and a remark", table.Title, r.Name, r.State, r.Says, reference.DevoStates)
			}
			if tried := tryDevoRow(t, world, table, r, tests); !tried && (r.State != "not applicable" || table.Kind == "setting") {
				t.Errorf("%s: %s: nothing tries it", table.Title, r.Name)
			}
		}
	}
}

// tryDevoRow tries what is no value of a setting, and reports whether anything tries the row.
func tryDevoRow(t *testing.T, world devoWorld, table reference.DevoTable, r reference.DevoRow, tests map[string]bool) bool {
	t.Helper()
	for _, name := range r.Tests {
		if !isTest(tests, name) {
			t.Errorf("%s: there is no %s", r.Name, name)
		}
	}
	switch {
	case r.Args != "":
		world.command(t, r)
	case r.File != "":
		if !regexp.MustCompile(r.Has).MatchString(repositoryFile(t, r.File)) {
			t.Errorf("%s: %s has no %s", r.Name, r.File, r.Has)
		}
	case r.Lines != "":
		world.line(t, r)
	case table.Kind == "output":
		if known := slices.Contains(sinks.Kinds(), r.Name); known == (r.State == "refused") {
			t.Errorf("%s is %s: there is such an output: %t", r.Name, r.State, known)
		}
	case r.ID != "":
		id, ok := r.Error()
		if free, err := engine.FindErrorID(r.ID); r.Message == r.Name && err == nil && free.Message == "" { // for scripts
			ok = true
		}
		if (!ok || id.Remedy == "does not occur here") != (r.State == "not applicable") {
			t.Errorf("%s %s is %s: is in the table of errors: %t, where to do is: %s", r.ID, r.Name, r.State, ok, id.Remedy)
		}
		if ok && id.Class == "InitVariablesError" && r.State != "not applicable" && r.Bad == nil {
			t.Errorf("%s %s is %s, and no value brings it", r.ID, r.Name, r.State)
		}
	default:
		return r.Good != nil || r.Bad != nil || r.Tests != nil
	}
	return true
}

// isTest reports whether there is such a test, and of one that walks a folder of cases, such a case.
func isTest(tests map[string]bool, name string) bool {
	name, of, _ := strings.Cut(name, "/")
	if folder := map[string]string{"TestScripts": "testdata/script", "TestConfigs": "engine/testdata/config"}[name]; folder != "" {
		_, err := os.Stat(filepath.Join("../..", folder, of+".txtar"))
		return tests[name] && err == nil
	}
	return tests[name] && of == ""
}

// line compares a row of a line with the table of lines that TestDevoLines looks for, unless it names another test.
func (w devoWorld) line(t *testing.T, r reference.DevoRow) {
	t.Helper()
	entries := slices.DeleteFunc(slices.Clone(w.lines), func(e devoEntry) bool { return !isDevoLine(r, e) })
	printed := r.Tests != nil || slices.ContainsFunc(entries, func(e devoEntry) bool { return e.State == "same" })
	if r.Tests == nil && len(entries) == 0 {
		t.Errorf("the line %s is not in testdata/devo_lines.yaml", r.Name)
	}
	if printed != (r.State == "same" || r.State == "better") {
		t.Errorf("the line %s is %s; testdata/devo_lines.yaml, or a test that the row names, has it printed: %t", r.Name, r.State, printed)
	}
	for _, m := range inOtherFormats.FindAllStringSubmatch(r.Says, -1) {
		for _, message := range slices.DeleteFunc(m[1:], func(s string) bool { return s == "" }) {
			if !regexp.MustCompile(`\b(Info|Warn|Error)\("` + message + `[";:]`).MatchString(w.source) {
				t.Errorf("the line %s: nothing logs %s", r.Name, message)
			}
		}
	}
}

// inOtherFormats finds the messages that a remark names.
var inOtherFormats = regexp.MustCompile("In other formats: `([^`]+)`(?: or `([^`]+)`)?")

// sources returns the source in some folders, without tests.
func sources(t *testing.T, dirs ...string) string {
	t.Helper()
	var text strings.Builder
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%d files in %s: %v", len(files), dir, err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				text.WriteString(repositoryFile(t, filepath.Join(dir, filepath.Base(file))))
			}
		}
	}
	return text.String()
}

// isDevoLine reports whether an entry of testdata/devo_lines.yaml is the line of a row. Both know lines by patterns:
// one matches the other's text, or what the row calls the line.
func isDevoLine(r reference.DevoRow, e devoEntry) bool {
	text := strings.ReplaceAll(e.Pattern, `\`, "")
	return r.Lines != "" && (regexp.MustCompile(r.Lines).MatchString(text) || regexp.MustCompile(e.Pattern).MatchString(r.Name))
}

// TestEveryLineOfTheLogHasARow finds what testdata/devo_lines.yaml has and the table has not.
func TestEveryLineOfTheLogHasARow(t *testing.T) {
	t.Parallel()
	tables := devoTables(t)
	for _, e := range devoEntries(t) {
		found := slices.ContainsFunc(tables, func(table reference.DevoTable) bool {
			return slices.ContainsFunc(table.Rows, func(r reference.DevoRow) bool { return isDevoLine(r, e) })
		})
		if !found {
			t.Errorf("no row has the line %s", e.Pattern)
		}
	}
}

// A devoWorld is a folder with configurations and certificates, the lines of the log that TestDevoLines looks
// for, and the source of what logs.
type devoWorld struct {
	dir    string
	lines  []devoEntry
	source string
}

func newDevoWorld(t *testing.T) devoWorld {
	t.Helper()
	w := devoWorld{t.TempDir(), devoEntries(t), sources(t, "engine", "cmd/starling")}
	certs, err := sim.NewCerts("mine")
	if err != nil {
		t.Fatal(err)
	}
	if err := certs.Write(filepath.Join(w.dir, "certs")); err != nil {
		t.Fatal(err)
	}
	off := devoConfig()
	devoInput(off)["enabled"] = false
	for name, text := range map[string]any{
		"config.yaml":       off,
		"config/other.json": off,
		"wrong.yaml":        map[string]any{},
		"job.json":          map[string]any{"inputs": off["inputs"], "starling": off["starling"]},
		"collector.json":    map[string]any{"job_id": 1, "job_name": "emt", "loggers": []any{map[string]any{"type": "console"}}},
	} {
		w.write(t, name, text)
	}
	return w
}

func (w devoWorld) write(t *testing.T, name string, value any) string {
	t.Helper()
	marshal := yaml.Marshal
	if strings.HasSuffix(name, ".json") {
		marshal = json.Marshal
	}
	text, err := marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.dir, name)
	put(t, path, string(text))
	return path
}

func (w devoWorld) command(t *testing.T, r reference.DevoRow) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "starling", strings.Fields(r.Args)...)
	c.Dir = w.dir
	out, err := c.CombinedOutput()
	if c.ProcessState == nil {
		t.Fatal(err)
	}
	if got := c.ProcessState.ExitCode(); got != r.Exit || !regexp.MustCompile(r.Prints).Match(out) {
		t.Errorf("starling %s: got the exit code %d, want %d, and %s in\n%s", r.Args, got, r.Exit, r.Prints, out)
	}
}

// devoConfig is a configuration to which settings are added.
func devoConfig() map[string]any {
	return map[string]any{
		"globals":  map[string]any{"name": "emt", "id": 1},
		"starling": map[string]any{"listen": "off"},
		"outputs":  map[string]any{"console_1": map[string]any{"type": "console"}},
		"inputs": map[string]any{"office365_exchange_message": map[string]any{
			"id": 1, "enabled": true,
			"credentials": map[string]any{"tenant_id": "contoso.onmicrosoft.com", "client_id": "an application", "client_secret": "not-a-real-one"},
			"services":    map[string]any{"office365_exchange_message_service": map[string]any{}},
		}},
	}
}

func devoInput(config map[string]any) map[string]any {
	return config["inputs"].(map[string]any)["office365_exchange_message"].(map[string]any)
}

// A devoTrial is a configuration that has one value of each of some settings.
type devoTrial struct {
	at     string
	values map[string]any // by key
	rows   []reference.DevoRow
}

// check has the program check the configuration of a trial.
func (w devoWorld) check(t *testing.T, trial devoTrial) report {
	t.Helper()
	config := devoConfig()
	collector := map[string]any{"job_id": 1, "job_name": "emt", "loggers": []any{map[string]any{"type": "console"}}}
	input, server := devoInput(config), false
	into := map[string]any{}
	output := func(kind string, keys map[string]any) map[string]any {
		config["outputs"] = map[string]any{"output_1": map[string]any{"type": kind, "config": keys}}
		return keys
	}
	switch trial.at {
	case "globals":
		into = config["globals"].(map[string]any)
	case "overrides":
		config["global_overrides"], server = into, true
	case "job_input":
		into, server = input, true
	case "collector_file":
		into, server = collector, true
	case "devo_platform":
		into = output("devo_platform", map[string]any{"address": "localhost", "chain": "chain.crt", "cert": "mine.crt", "key": "mine.key"})
	case "syslog":
		into = output("syslog", map[string]any{"address": "localhost", "port": 514})
	case "console":
		into = output("console", into)
	case "input":
		into = input
	case "service":
		into = input["services"].(map[string]any)["office365_exchange_message_service"].(map[string]any)
	case "services":
		into = input["services"].(map[string]any)
	default:
		t.Fatalf("%q is no place of settings", trial.at)
	}
	for _, r := range trial.rows {
		delete(into, r.Without)
	}
	for key, value := range trial.values {
		set(into, strings.Split(key, "."), value)
	}
	dir, err := os.MkdirTemp(w.dir, "trial")
	if err != nil {
		t.Fatal(err)
	}
	in := filepath.Base(dir)
	args := []string{"check", "--json", "--config", ""}
	if server {
		delete(config, "globals")
		delete(config, "outputs")
		args = []string{"check", "--json", "--job_config_loc", w.write(t, in+"/job.json", config), "--collector_config_loc", w.write(t, in+"/collector.json", collector)}
	} else {
		if err := os.Symlink("../certs", filepath.Join(dir, "certs")); err != nil {
			t.Fatal(err)
		}
		args[3] = w.write(t, in+"/config.yaml", config)
	}
	var out, errs bytes.Buffer
	run(t.Context(), args, program{stdout: &out, stderr: &errs, getenv: func(string) string { return "" }})
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %v\n%s%s", trial.values, err, &out, &errs)
	}
	return r
}

func set(m map[string]any, path []string, value any) {
	if len(path) == 1 {
		if m[path[0]] = value; value == nil {
			delete(m, path[0])
		}
		return
	}
	below, ok := m[path[0]].(map[string]any)
	if !ok {
		below = map[string]any{}
		m[path[0]] = below
	}
	set(below, path[1:], value)
}

// devoTrials puts the n-th values of settings that stand in one place into one configuration, but those that
// stand alone. At the end of a row's values the last one counts.
func devoTrials(rows []reference.DevoRow, values func(reference.DevoRow) []any) []devoTrial {
	var trials []devoTrial
	together := map[string][]reference.DevoRow{}
	for _, r := range rows {
		if len(values(r)) == 0 {
			continue
		}
		if !r.Alone {
			together[r.At] = append(together[r.At], r)
			continue
		}
		for _, v := range values(r) {
			trials = append(trials, devoTrial{r.At, map[string]any{r.Key: v}, []reference.DevoRow{r}})
		}
	}
	for _, at := range slices.Sorted(maps.Keys(together)) {
		for n, more := 0, true; more; n++ {
			trial := devoTrial{at: at, values: map[string]any{}}
			more = false
			for _, r := range together[at] {
				of := values(r)
				trial.values[r.Key] = of[min(n, len(of)-1)]
				trial.rows = append(trial.rows, r)
				more = more || n+1 < len(of)
			}
			trials = append(trials, trial)
		}
	}
	return trials
}

// settingsOfDevo returns the rows of settings, with those of the input at its service too.
func settingsOfDevo(t *testing.T) []reference.DevoRow {
	t.Helper()
	var rows []reference.DevoRow
	for _, table := range devoTables(t) {
		for _, r := range table.Rows {
			if r.At == "" {
				continue
			}
			if table.Kind != "setting" {
				r.Alone = true // it repeats a setting
			}
			rows = append(rows, r)
			ofInput := slices.Contains([]string{"id", "enabled"}, r.Key) || strings.HasPrefix(r.Key, "credentials.")
			if r.At == "input" && !ofInput && !r.Alone {
				r.At = "service"
				rows = append(rows, r)
			}
		}
	}
	return rows
}

func TestValuesOfDevosSettingsAreAccepted(t *testing.T) {
	t.Parallel()
	world := newDevoWorld(t)
	for _, trial := range devoTrials(settingsOfDevo(t), func(r reference.DevoRow) []any { return r.Good }) {
		got := world.check(t, trial)
		if !got.OK {
			t.Errorf("%s: %v: refused: %v", trial.at, trial.values, got.Problems)
		}
		for _, r := range trial.rows {
			last := r.Key[strings.LastIndex(r.Key, ".")+1:]
			pattern := regexp.MustCompile(`\b` + regexp.QuoteMeta(last) + `\b`)
			if r.Warns != "" {
				pattern = regexp.MustCompile(r.Warns)
			}
			if warned := slices.ContainsFunc(got.Warnings, pattern.MatchString); warned != (r.Warns != "") {
				t.Errorf("%s: %s: got the warnings %q, want a match of %q among them", trial.at, r.Name, got.Warnings, r.Warns)
			}
		}
	}
}

func TestWrongValuesOfDevosSettingsAreRefused(t *testing.T) {
	t.Parallel()
	world := newDevoWorld(t)
	for _, trial := range devoTrials(settingsOfDevo(t), func(r reference.DevoRow) []any { return r.Bad }) {
		got := world.check(t, trial)
		for _, r := range trial.rows {
			if refuses(r, got) {
				continue
			}
			// Problems of the file hide those of scripts.
			alone := world.check(t, devoTrial{trial.at, map[string]any{r.Key: trial.values[r.Key]}, []reference.DevoRow{r}})
			if !refuses(r, alone) {
				t.Errorf("%s: %s: %v: got %v, want that it is refused", trial.at, r.Name, trial.values[r.Key], alone.Problems)
			}
		}
	}
}

func refuses(r reference.DevoRow, got report) bool {
	pattern := r.Refuses
	if id, ok := r.Error(); ok && pattern == "" {
		pattern = regexp.QuoteMeta(id.String() + " reason: " + id.Message + ": ")
	}
	if pattern == "" {
		pattern = regexp.QuoteMeta(r.Key[strings.LastIndex(r.Key, ".")+1:]) + ".*: "
	}
	return slices.ContainsFunc(got.Problems, func(p problem.Problem) bool { return regexp.MustCompile(pattern).MatchString(p.Text) })
}

// TestRangesOfDevosSettingsAreTriedAtTheirEnds sees to it that a row tries what is just in its range and what is not.
func TestRangesOfDevosSettingsAreTriedAtTheirEnds(t *testing.T) {
	t.Parallel()
	ends := regexp.MustCompile(`^(\d+) to (\d+)$|^at least (\d+)$|^(-?[\d.]+) to (-?[\d.]+)$`)
	for _, table := range devoTables(t) {
		for _, r := range table.Rows {
			m := ends.FindStringSubmatch(r.Range)
			if m == nil {
				continue
			}
			least, most := number(m[1]+m[3]+m[4]), number(m[2]+m[5])
			tried := slices.Contains(numbers(r.Good), most) && slices.ContainsFunc(numbers(r.Bad), func(n float64) bool { return most < n && n <= most+1 })
			if m[3] != "" { // there is no most
				tried = slices.Contains(numbers(r.Good), least)
			}
			below := slices.ContainsFunc(numbers(r.Bad), func(n float64) bool { return least-1 <= n && n < least })
			if !tried || !below {
				t.Errorf("%s: range %s, tried are %v, not %v", r.Name, r.Range, r.Good, r.Bad)
			}
		}
	}
}

func number(v any) float64 {
	n, err := strconv.ParseFloat(fmt.Sprint(v), 64)
	if err != nil {
		return math.NaN()
	}
	return n
}

// numbers returns values as numbers, NaN for those that are none.
func numbers(values []any) (all []float64) {
	for _, v := range values {
		all = append(all, number(v))
	}
	return all
}

// TestDefaultsOfDevosSettings looks for each default where the code or REFERENCE.md has it.
func TestDefaultsOfDevosSettings(t *testing.T) {
	t.Parallel()
	text := repositoryFile(t, "REFERENCE.md") + sources(t, "engine", "sinks")
	for _, table := range devoTables(t) {
		for _, r := range table.Rows {
			if r.Default == nil {
				continue
			}
			// The code adds the prefix that keys of outputs have among the globals.
			key := strings.TrimPrefix(r.Key[strings.LastIndex(r.Key, ".")+1:], "devo_sender_")
			def := regexp.QuoteMeta(fmt.Sprint(r.Default))
			// In code key and default follow each other; in a table they are in its first and another column.
			if !regexp.MustCompile(`"` + key + `", "?` + def + `"?\b|(?m)^\s+` + key + ` +` + def + `$|^\| .*` + "`" + `[\w.]*\b` + key + "`" + `.*\| ` + "`" + def + "`").MatchString(text) {
				t.Errorf("%s: its default is not %v, or cannot be found", r.Name, r.Default)
			}
		}
	}
}
