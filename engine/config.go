package engine

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Config is a configuration file, read, expanded and checked. Its form is that of Devo's on-premise
// collectors (globals, outputs, inputs) with a section of our own, starling. Nothing in it changes.
type Config struct {
	// File is the file it came from; Base is where relative names start: the directory of the file,
	// or the one above if that is called "config". Both are absolute, as are all paths below.
	File, Base string

	Name, ID string // globals.name, globals.id
	Debug    bool   // globals.debug

	// StateDir is where state is kept; empty means in memory only. Devo's collectors forget their
	// state if globals.persistence is missing; ours keep it in Base/state then.
	StateDir string
	// ScriptsDir holds scripts that stand in front of the built-in ones; empty means none. Without
	// starling.scripts it is Base/scripts, if there is such a directory.
	ScriptsDir string
	// Listen is the address of the status server; empty means none.
	Listen string
	// Status says who may ask it.
	Status StatusAccess
	// LogLevel is debug, info, warn or error. Without starling.log.level, globals.debug decides.
	LogLevel string
	// LogFormat is text, json or devo; LogDevoOld asks for lines as of Devo's older collectors.
	LogFormat  string
	LogDevoOld bool
	// InternalEvents has lines of the log and figures of outputs go to Devo as well.
	InternalEvents bool
	Limits         Limits // complete
	// Recordings says what becomes of recordings of pulls.
	Recordings Recordings
	// Network says what scripts may reach.
	Network *Network

	Outputs    []Output          // in the order of the file
	Collectors []CollectorConfig // those that run, by key
	Disabled   []string          // keys of those that do not

	Files    []string // what was read: File and every ${file:…}
	Secrets  []string // what a Redactor should know
	Warnings []string // what is accepted but should be known, each with its place

	from        ConfigFiles
	statsPeriod int64             // seconds
	sum         [sha256.Size]byte // of Files
}

// An Output is one entry under outputs.
type Output struct {
	Name, Type string
	Config     *Section
	// Oversized says what becomes of an event that the output refuses; without a word on it, what
	// starling.limits.oversized says.
	Oversized Oversized
	// OutboxFull says what becomes of what waits for the output when the outbox is full; without a word
	// on it, what starling.limits.outbox_full says.
	OutboxFull OutboxFull
	// StatsPeriod is how often the log is told what the output has acknowledged.
	StatsPeriod time.Duration
	// Place is where the type stands, "file:line:col: outputs.<name>.type", for errors about it.
	Place string
}

// placed puts the output's place in front of an error that names none.
func (o Output) placed(err error) error {
	where := strings.TrimSuffix(o.Place, ".type")
	file, _, _ := strings.Cut(where, ":")
	if strings.HasPrefix(err.Error(), file+":") {
		return err
	}
	return &Error{Code: CodeConfig, Op: where, Err: err}
}

// Fingerprint changes when anything about the output does, secrets included. Keep it out of logs.
func (o Output) Fingerprint() [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q\n", o.Name, o.Type, o.Oversized)
	o.Config.mapping.write(h)
	if o.Config.general != nil {
		for _, e := range o.Config.general.entries {
			if strings.HasPrefix(e.key, generalPrefix) {
				fmt.Fprintf(h, "%q ", e.key)
				e.value.write(h)
			}
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// A CollectorConfig is one configured use of a script: a service of an input.
type CollectorConfig struct {
	Input, ID, Service string
	// Script is the name of the script's file, below ScriptsDir or among the built-in ones.
	Script   string
	Period   time.Duration // from the start of one pull to the start of the next
	Limits   []RequestLimit
	Settings *Settings
	// Place is where the service stands, "file:line:col: path", for errors about it.
	Place string
}

// Key is the name of the collector and of its state, "input/id/service".
func (c CollectorConfig) Key() string { return c.Input + "/" + c.ID + "/" + c.Service }

// Fingerprint changes when anything does that the collector's script was initialised with, secrets
// included. Keep it out of logs.
func (c CollectorConfig) Fingerprint() [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q %d %v\n", c.Input, c.ID, c.Service, c.Script, c.Period, c.Limits)
	for _, l := range c.Settings.levels() {
		l.mapping.write(h)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// LoadConfig reads a configuration file, YAML or JSON by its name. The error is an *Error with
// CodeConfig that lists everything that is wrong, one "file:line:col: key: …" to a line.
func LoadConfig(path string) (*Config, error) { return ConfigFiles{Config: path}.Load() }

func readOneFile(f ConfigFiles, env func(string) (string, bool)) (*Config, error) {
	path := f.Config
	data, err := readAtMost(path, maxConfigBytes)
	if err != nil {
		return nil, unreadable(path, err, configurationID(0, notAFile), configurationID(0, notAFile), "read the configuration", nameTheFile)
	}
	config, err := readConfig(path, data, env)
	if err != nil {
		return nil, err
	}
	// What is compared with later looks at the files is what was read, even if someone saves just now.
	config.sum = hashFiles(config.Files)
	if again, err := readAtMost(path, maxConfigBytes); err != nil || !bytes.Equal(again, data) {
		config.sum = [sha256.Size]byte{}
	}
	return config, nil
}

// unreadable is the error of a file that cannot be read: one that is none, or that does not exist.
func unreadable(name string, err error, noFile, missing *ErrorID, op, hint string) error {
	e := &Error{Code: CodeConfig, Op: op, Err: err, Hint: hint}
	info, notThere := os.Stat(name)
	switch {
	case errors.Is(notThere, fs.ErrNotExist):
		e.ID = missing
	case notThere == nil && info.IsDir():
		e.ID = noFile
	}
	if e.ID != nil {
		e.ID.Message = strings.Replace(e.ID.Message, "<f>", name, 1)
	}
	return e
}

func readAtMost(path string, max int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > max {
		return nil, fmt.Errorf("%s: longer than %d bytes, which no configuration is", path, max)
	}
	return data, nil
}

// readConfig makes a Config of data. path is named in errors as the caller wrote it.
func readConfig(path string, data []byte, env func(string) (string, bool)) (*Config, error) {
	file, err := filepath.Abs(path)
	if err != nil {
		return nil, &Error{Code: CodeConfig, Err: err}
	}
	base := filepath.Dir(file)
	if filepath.Base(base) == "config" {
		base = filepath.Dir(base)
	}
	ps := &problems{file: path}
	root, err := parse(path, data, ps, syntaxIDs)
	if err != nil {
		return nil, &Error{Code: CodeConfig, Err: err}
	}
	r := configReader{
		Config:   &Config{File: file, Base: base},
		expander: &expander{base: base, env: env, problems: ps},
		problems: ps,
	}
	if root != nil {
		r.read(root)
	}
	if err := ps.err(); err != nil {
		return nil, err
	}
	return r.Config, nil
}

// The numbers of what is wrong with the text of a file: its YAML, what is read from that, and its JSON.
var (
	syntaxIDs    = [3]int{7, 8, 9}
	jobSyntaxIDs = [3]int{10, 11, 12}
)

func parse(path string, data []byte, ps *problems, ids [3]int) (root *node, err error) {
	data = []byte(strings.TrimPrefix(string(data), "\ufeff"))
	n, id := len(ps.list), ids[0]
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml":
		if root = parseYAML(data, ps); !ps.broken {
			id = ids[1]
		}
	case ".json":
		root, id = parseJSON(data, ps), ids[2]
	default:
		return nil, errors.New(path + ":1:1: the name of a configuration file ends in .yaml, .yml or .json")
	}
	ps.name(n, configurationID(id, ""))
	return root, nil
}

// A configReader fills a Config from the tree of a file.
type configReader struct {
	*Config
	expander *expander
	problems *problems
	general  *node // globals that are defaults of outputs
}

func (r *configReader) read(root *node) {
	if root.kind != mappingNode {
		n := len(r.problems.list)
		r.problems.add(root.line, root.col, "", "got %s, want a mapping with globals, outputs and inputs", root.shown())
		r.problems.name(n, configurationID(0, wrongStructure))
		return
	}
	r.secretsFolder(root)
	for _, e := range root.entries {
		if e.key != "inputs" { // those are expanded one by one, if enabled
			r.expander.expand(e.value, join("", e.key), e.key)
		}
	}
	top := newSection(r.problems, r.Base, "", root.line, root.col, root)
	r.globals(top)
	r.starling(top)
	r.outputs(top)
	r.inputs(top)
	r.nameAddresses()
	top.unknown(r.problems)
	r.Files = append([]string{r.File}, r.expander.files...)
	r.Secrets = r.expander.secrets
	r.Warnings = append(r.Warnings, r.expander.warnings...)
}

// defaultSecrets is where Docker puts secrets.
const defaultSecrets = "/run/secrets"

// secretsFolder reads starling.secrets_folder ahead of the rest, which may name secrets in it.
func (r *configReader) secretsFolder(root *node) {
	r.expander.folder = defaultSecrets
	starling, ok := root.find("starling")
	if !ok {
		return
	}
	if e, ok := starling.value.find("secrets_folder"); ok {
		r.expander.expand(e.value, "starling.secrets_folder", e.key)
		r.expander.folder, r.expander.done = e.value.text, e.value
	}
}

func (r *configReader) warn(line, col int, path, format string, args ...any) {
	if path != "" {
		path += ": "
	}
	r.Warnings = append(r.Warnings, place(r.problems.file, line, col)+path+fmt.Sprintf(format, args...))
}

// warnOf warns of the keys of s that are without effect.
func (r *configReader) warnOf(s *Section) {
	if text := s.warning(); text != "" {
		r.Warnings = append(r.Warnings, text)
	}
}

// section returns the section below key of the top level, which must not be empty.
func (r *configReader) section(top *Section, key, add string) (*Section, bool) {
	n := len(r.problems.list)
	defer func() { r.problems.name(n, configurationID(0, wrongStructure)) }()
	s := top.sub(key)
	if e, ok := top.mapping.find(key); ok && e.value.kind != mappingNode {
		return s, false // sub has said so
	}
	if s.mapping == nil || len(s.mapping.entries) == 0 {
		top.Errorf(key, "is missing or empty; add %s", add)
		return s, false
	}
	return s, true
}

func (r *configReader) outputs(top *Section) {
	s, ok := r.section(top, "outputs", "at least one output, such as console_1: {type: console}")
	if !ok {
		return
	}
	for _, e := range s.mapping.entries {
		output := s.sub(e.key)
		r.name(output, e)
		if output.mapping == nil && !e.value.isNull() {
			continue // sub has said that it is no mapping
		}
		kind := output.Required("type")
		config := output.sub("config")
		config.problems = &problems{file: r.problems.file}
		period := r.outputPeriod(kind, config)
		config.general = r.general
		oversized := output.Choice("oversized", string(r.Limits.Oversized), string(Cut), string(SetAside), string(Fail))
		full := output.Choice("outbox_full", string(r.Limits.OutboxFull), string(Wait), string(DropOldest))
		output.unknown(r.problems)
		line, col := output.placeOf("type")
		r.Outputs = append(r.Outputs, Output{Name: e.key, Type: kind, Config: config, Oversized: Oversized(oversized), OutboxFull: OutboxFull(full), StatsPeriod: period,
			Place: place(r.problems.file, line, col) + join(output.path, "type")})
	}
}

// senderTypes are the types of outputs that Devo's collectors send to Devo with.
var senderTypes = []string{"devo_platform", "relay", "syslog", "in_house_relay", "sidecar"}

// outputPeriod reads how often an output of Devo's types tells its statistics; the others go by the whole.
func (r *configReader) outputPeriod(kind string, config *Section) time.Duration {
	seconds := r.statsPeriod
	if slices.Contains(senderTypes, kind) {
		seconds = config.Int("period_sender_stats_in_seconds", seconds, minStatsPeriod, maxStatsPeriod)
	}
	return time.Duration(seconds) * time.Second
}

// name checks the name of an output, input or service: it becomes part of keys, paths and metrics.
func (r *configReader) name(s *Section, e entry) {
	if !plainName.MatchString(e.key) {
		r.problems.add(e.line, e.col, s.path, "a name has letters, digits, - and _ only, at most 100")
	}
}

// inputs reads what runs. Of an input that is not enabled, only the names of its services are read:
// it may still have placeholders and variables that nothing sets.
func (r *configReader) inputs(top *Section) {
	s, ok := r.section(top, "inputs", "at least one input, with id, enabled and services")
	if !ok {
		return
	}
	for _, e := range s.mapping.entries {
		input := s.sub(e.key)
		r.name(input, e)
		if input.mapping == nil && !e.value.isNull() {
			continue // sub has said that it is no mapping
		}
		if enabled, ok := input.find("enabled"); ok {
			r.expander.expand(enabled.value, join(input.path, "enabled"), "enabled")
		} else {
			r.warn(input.line, input.col, input.path, "enabled is missing, so the input runs, as with Devo's collectors; write it")
		}
		if input.Bool("enabled", !input.Has("enabled")) {
			r.expander.expand(e.value, input.path, e.key)
			r.input(e.key, input)
			continue
		}
		services, _ := input.mapping.find("services")
		id, _ := input.mapping.find("id")
		if services.value != nil && id.value != nil {
			for _, service := range services.value.entries {
				r.Disabled = append(r.Disabled, CollectorConfig{Input: e.key, ID: id.value.text, Service: service.key}.Key())
			}
		}
	}
	slices.SortFunc(r.Collectors, func(a, b CollectorConfig) int { return strings.Compare(a.Key(), b.Key()) })
	slices.Sort(r.Disabled)
	if len(r.Collectors) == 0 {
		r.warn(s.line, s.col, "inputs", "nothing is enabled, so nothing will be collected")
	}
}
