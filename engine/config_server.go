package engine

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// ConfigFiles are the files that a configuration is read from: Config, in Devo's on-premise form, or the
// two that Devo's Collector Server puts into a container. Job has the inputs, as a person wrote them;
// Collector has the name, the state and the outputs. A configuration is in the latter form if both are named.
type ConfigFiles struct {
	Config         string
	Job, Collector string
	NoState        bool // state is kept in memory, whatever the files say
}

func (f ConfigFiles) server() bool { return f.Job != "" && f.Collector != "" }

// Name is the file that a person edits.
func (f ConfigFiles) Name() string {
	if f.server() {
		return f.Job
	}
	return f.Config
}

// Load reads and checks a configuration. The error is an *Error with CodeConfig that lists everything
// that is wrong, one "file:line:col: key: …" to a line.
func (f ConfigFiles) Load() (*Config, error) { return f.load(os.LookupEnv) }

func (f ConfigFiles) load(env func(string) (string, bool)) (*Config, error) {
	read := readServerConfig
	if !f.server() {
		read = readOneFile
	}
	config, err := read(f, env)
	if err != nil {
		return nil, err
	}
	config.from = f
	if f.NoState {
		config.StateDir = ""
	}
	return config, nil
}

// Again reads the files of the configuration once more, as they are now.
func (c *Config) Again() (*Config, error) { return c.from.Load() }

// readServerConfig makes a Config of two files. Relative names start at the working directory: the files
// lie where the Collector Server mounts them, and nothing else does.
func readServerConfig(f ConfigFiles, env func(string) (string, bool)) (*Config, error) {
	base, err := filepath.Abs(".")
	if err != nil {
		return nil, &Error{Code: CodeConfig, Err: err}
	}
	config := &Config{Base: base}
	named := []string{f.Job, f.Collector}
	before := hashFiles(named)
	var readers [2]configReader
	var roots [2]*node
	for i, name := range named {
		ps := &problems{file: name}
		if readers[i], roots[i], err = readerOf(config, name, i == 0, ps, env); err != nil {
			return nil, err
		}
	}
	job, collector := &readers[0], &readers[1]
	config.File = absolute(f.Job)
	whole := job.isMapping(roots[0])
	if collector.isMapping(roots[1]) && whole {
		job.readJob(roots[0], collector, roots[1])
	}
	if err := job.problems.and(collector.problems); err != nil {
		return nil, err
	}
	config.Files = append([]string{config.File, absolute(f.Collector)}, append(job.expander.files, collector.expander.files...)...)
	config.Secrets = append(job.expander.secrets, collector.expander.secrets...)
	config.Warnings = append(config.Warnings, append(job.expander.warnings, collector.expander.warnings...)...)
	// What is compared with later looks at the files is what was read, even if someone saves just now.
	if config.sum = hashFiles(config.Files); hashFiles(named) != before {
		config.sum = [sha256.Size]byte{}
	}
	return config, nil
}

func absolute(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return name
}

func readerOf(config *Config, name string, job bool, ps *problems, env func(string) (string, bool)) (configReader, *node, error) {
	r := configReader{Config: config, expander: &expander{base: config.Base, env: env, problems: ps}, problems: ps}
	data, err := readAtMost(name, maxConfigBytes)
	if err != nil {
		noFile, missing := 2, 3
		if !job {
			noFile, missing = 4, 5
		}
		return r, nil, unreadable(name, err, configurationID(noFile, ""), configurationID(missing, ""), "read the configuration of the Collector Server", nameFiles)
	}
	ids := syntaxIDs
	if job {
		ids = jobSyntaxIDs
	}
	root, err := parse(name, data, ps, ids)
	if err != nil {
		return r, nil, &Error{Code: CodeConfig, Err: err}
	}
	return r, root, nil
}

func (r *configReader) isMapping(root *node) bool {
	if root == nil { // it has been said why
		return false
	}
	if root.kind == mappingNode {
		return true
	}
	n := len(r.problems.list)
	r.problems.add(root.line, root.col, "", "got %s, want a mapping", root.shown())
	r.problems.name(n, configurationID(0, wrongStructure))
	return false
}

// readJob fills the Config from both files.
func (r *configReader) readJob(root *node, c *configReader, collector *node) {
	root = wholeJob(root)
	r.secretsFolder(root)
	c.expander.folder = r.expander.folder
	for _, e := range root.entries {
		if e.key != "inputs" {
			r.expander.expand(e.value, join("", e.key), e.key)
		}
	}
	c.expander.expand(collector, "", "")

	top := newSection(r.problems, r.Base, "", root.line, root.col, root)
	c.collectorFile(collector, func() {
		r.overrides(top)
		r.starling(top)
		if r.general != nil {
			c.general = r.general
		}
	})
	for _, key := range []string{"globals", "outputs"} {
		if top.Has(key) {
			top.Errorf(key, "the Collector Server says this, in its own file; take it out here")
		}
	}
	r.persistentInputs(root)
	r.inputs(top)
	r.nameAddresses()
	top.unknown(r.problems)
}

// wholeJob returns the job as a mapping with inputs; a job may also be what stands below inputs alone.
func wholeJob(root *node) *node {
	for _, key := range []string{"inputs", "global_overrides", "starling"} {
		if _, ok := root.find(key); ok {
			return root
		}
	}
	return &node{line: root.line, col: root.col, kind: mappingNode, entries: []entry{{"inputs", root.line, root.col, root}}}
}

// collectorFile reads what the Collector Server says, with other words than in the on-premise form. Between
// are what the job says about the whole, on which outputs depend.
func (r *configReader) collectorFile(root *node, between func()) {
	n := len(r.problems.list)
	for _, key := range []string{"job_id", "job_name", "loggers"} {
		if _, ok := root.find(key); !ok {
			r.problems.add(root.line, root.col, key, "the Collector Server writes it")
		}
	}
	r.problems.name(n, configurationID(6, ""))
	if r.problems.err() != nil {
		return
	}
	var ignored []string
	globals := &node{line: root.line, col: root.col, kind: mappingNode}
	whole := &node{line: root.line, col: root.col, kind: mappingNode, entries: []entry{{"globals", root.line, root.col, globals}}}
	for _, e := range root.entries {
		switch e.key {
		case "job_id":
			globals.entries = append(globals.entries, renamed(e, "id"))
		case "job_name":
			globals.entries = append(globals.entries, renamed(e, "name"))
		case "debug":
			globals.entries = append(globals.entries, e)
		case "state_store":
			e.value = serverWords(e.value)
			globals.entries = append(globals.entries, renamed(e, "persistence"))
		case "loggers":
			e.value = r.loggers(e.value)
			whole.entries = append(whole.entries, renamed(e, "outputs"))
		default:
			ignored = append(ignored, e.key)
		}
	}
	if ignored != nil {
		r.warn(root.line, root.col, "", "%s", withoutEffect(ignored))
	}
	top := newSection(r.problems, r.Base, "", root.line, root.col, whole)
	r.globals(top)
	between()
	r.outputs(top)
}

func renamed(e entry, key string) entry {
	e.key = key
	return e
}

// loggers returns outputs by name. In a list they have none, and are called after their type and place.
func (r *configReader) loggers(n *node) *node {
	all := &node{line: n.line, col: n.col, kind: mappingNode}
	for _, e := range n.entries {
		e.value = serverWords(e.value)
		all.entries = append(all.entries, e)
	}
	for i, item := range n.items {
		kind, ok := item.find("type")
		if !ok || !plainName.MatchString(kind.value.text) {
			r.problems.add(item.line, item.col, fmt.Sprintf("loggers[%d]", i), "want a mapping with type and config")
			continue
		}
		all.entries = append(all.entries, entry{fmt.Sprintf("%s_%d", kind.value.text, i), item.line, item.col, serverWords(item)})
	}
	if n.kind == scalarNode && !n.isNull() {
		return n // outputs says that it is no mapping
	}
	return all
}

// The Collector Server's words for keys below config.
var serverKeys = map[string]string{"dir": "directory_name", "chain_loc": "chain", "cert_loc": "cert", "key_loc": "key", "location": "address", "url": "address"}

// serverWords returns n, which has type and config, with the on-premise words for what stands in config.
func serverWords(n *node) *node {
	i := slices.IndexFunc(n.entries, func(e entry) bool { return e.key == "config" })
	if i < 0 || n.entries[i].value.kind != mappingNode {
		return n
	}
	if kind, _ := n.find("type"); kind.value != nil && slices.Contains([]string{"http", "devo_http"}, kind.value.text) {
		return n // these have an url of their own
	}
	out, config := *n, *n.entries[i].value
	out.entries = slices.Clone(n.entries)
	config.entries = slices.Clone(config.entries)
	for j, e := range config.entries {
		if key, ok := serverKeys[e.key]; ok {
			config.entries[j].key = key
		}
	}
	out.entries[i].value = &config
	return &out
}

// overrides reads the globals that a job may set.
func (r *configReader) overrides(top *Section) {
	if !top.Has("global_overrides") {
		return
	}
	s := top.sub("global_overrides")
	if s.mapping == nil {
		return
	}
	r.Debug = debugOf(s, r.Debug)
	r.general = s.mapping
	r.senders(s)
	r.ignoredGlobals(s)
	r.illegal(s, "override")
}

// persistentInputs takes persistence out of the inputs: the Collector Server says where state is.
func (r *configReader) persistentInputs(root *node) {
	inputs, _ := root.find("inputs")
	if inputs.value == nil {
		return
	}
	for i, input := range inputs.value.entries {
		if e, ok := input.value.find("persistence"); ok {
			r.warn(e.line, e.col, join(join("inputs", input.key), "persistence"), "accepted, without effect here: state is where the Collector Server says")
			inputs.value.entries[i].value = input.value.without("persistence")
		}
	}
}
