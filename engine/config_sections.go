package engine

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	plainName   = regexp.MustCompile(`^[0-9A-Za-z_-]{1,100}$`)
	identifier  = regexp.MustCompile(`^[^/\s\pC]{1,100}$`)
	replaceable = strings.NewReplacer(".", "_", "#", "_", " ", "_")
)

// defaultState is where state is kept, below the base directory, if the file does not say.
const defaultState = "state"

func (r *configReader) globals(top *Section) {
	s, ok := r.section(top, "globals", "globals with name and id")
	if !ok {
		return
	}
	r.ID = r.globalID(s)
	r.Debug = debugOf(s, false)
	if name := s.Required("name"); name != "" {
		r.Name = replaceable.Replace(name)
		if r.Name != name {
			line, col := s.placeOf("name")
			r.warn(line, col, "globals.name", "%q is used as %q", name, r.Name)
		}
		if !plainName.MatchString(r.Name) {
			e, _ := s.find("name")
			n := len(r.problems.list)
			s.wrong(e, "letters, digits, - and _ only, at most 100")
			r.problems.name(n, configurationID(13, ""))
		}
	}
	r.persistence(s)
	r.general = s.mapping
	r.senders(s)
	r.ignoredGlobals(s)
	r.illegal(s, "global")
}

// globalID returns the text of globals.id, which may be anything: it only has to be there.
func (r *configReader) globalID(s *Section) string {
	e, ok := s.find("id")
	switch {
	case !ok:
		s.missing("id", "")
		return ""
	case e.value.kind != scalarNode:
		s.wrong(e, "a number or a text")
	}
	return e.value.text
}

// debugOf reads globals.debug, which the documents of Devo's collector also call by two other names.
func debugOf(s *Section, otherwise bool) bool {
	for _, key := range []string{"enable_debug_logs", "debug_status", "debug"} {
		otherwise = s.Bool(key, otherwise)
	}
	return otherwise
}

// illegal warns of the keys of s that nothing knows, with the words of Devo's collectors, which pass over
// them as well.
func (r *configReader) illegal(s *Section, kind string) {
	known := slices.Sorted(maps.Keys(s.asked))
	for _, e := range s.mapping.entries {
		if s.asked[e.key] {
			continue
		}
		n := *e.value
		n.secret = n.secret || looksSecret(e.key) || namesIdentity(e.key)
		value, near := n.shown(), Nearest(e.key, known)
		if text, err := strconv.Unquote(value); err == nil {
			value = text
		}
		if near != "" {
			value += fmt.Sprintf("; did you mean %q?", near)
		}
		r.warn(e.line, e.col, join(s.path, e.key), "Illegal %s setting has been ignored -> %s: %s", kind, e.key, value)
	}
}

// senders checks the globals that are defaults of outputs.
func (r *configReader) senders(s *Section) {
	s.Float(generalPrefix+"threshold_for_using_gzip_in_transport_layer", 1.1, -1, 1.1)
	s.Int(generalPrefix+"compression_level", 6, 1, 9)
	s.Int(generalPrefix+"compression_buffer_in_bytes", 51200, 1, 10485760)
	r.statsPeriod = s.Int("sender_stats_period_in_sec", cmp.Or(r.statsPeriod, defaultStatsPeriod), minStatsPeriod, maxStatsPeriod)
}

// Bounds of the time between two statistics of an output, in seconds.
const (
	minStatsPeriod     = 60
	defaultStatsPeriod = 300
	maxStatsPeriod     = 1800
)

// ignoredGlobals checks the globals that only Devo's own collectors use, so that their files work here.
func (r *configReader) ignoredGlobals(s *Section) {
	s.Int("queue_max_size_in_mb", 1024, 1, 5120)
	messages := s.Int("queue_max_size_in_messages", 10000, 1, 100000)
	if batch := s.Int("queue_wrap_max_size_in_messages", 100, 1, 500); messages <= batch {
		s.Errorf("queue_max_size_in_messages", "got %d, want more than queue_wrap_max_size_in_messages, which is %d", messages, batch)
	}
	s.Int("queue_max_elapsed_time_in_sec", 60, 1, 600)
	s.Bool("queue_generate_metrics", false)
	s.Bool("generate_collector_details", false)
	s.WithoutEffect("queue_max_size_in_mb", "queue_max_size_in_messages", "queue_wrap_max_size_in_messages", "queue_max_elapsed_time_in_sec",
		"queue_generate_metrics", "generate_collector_details")
	r.warnOf(s)
}

func (r *configReader) persistence(globals *Section) {
	s := globals.sub("persistence")
	kind := s.Text("type", "filesystem")
	config := s.sub("config")
	switch kind {
	case "filesystem":
		r.StateDir = config.Path("directory_name", defaultState)
	case "memory":
		config.Ignore("directory_name")
	case "redis":
		s.Errorf("type", "redis is not supported; use filesystem, with directory_name on a disk that outlives the machine")
		return
	default:
		e, _ := s.find("type")
		s.wrong(e, "filesystem or memory")
		return
	}
	config.unknown(r.problems)
	s.unknown(r.problems)
}

func (r *configReader) starling(top *Section) {
	s := top.sub("starling")
	r.ScriptsDir = r.scripts(s)
	s.Path("secrets_folder", defaultSecrets)
	r.status(s)
	level := "info"
	if r.Debug {
		level = "debug"
	}
	log := s.sub("log")
	r.LogLevel = log.Choice("level", level, "debug", "info", "warn", "error")
	r.LogFormat = log.Choice("format", "text", "text", "json", "devo")
	r.LogDevoOld = log.Choice("devo_form", "new", "new", "old") == "old"
	log.unknown(r.problems)
	r.InternalEvents = s.Bool("internal_events", true)
	r.network(s.sub("network"))
	r.recordings(s.sub("recordings"))
	r.limits(s.sub("limits"))
	s.unknown(r.problems)
}

func isAddress(text string) bool {
	_, port, err := net.SplitHostPort(text)
	n, notNumber := strconv.ParseUint(port, 10, 16)
	return err == nil && notNumber == nil && n <= math.MaxUint16
}

func (r *configReader) scripts(s *Section) string {
	dir := s.Path("scripts", "scripts")
	info, err := os.Stat(dir)
	if err == nil && info.IsDir() {
		return dir
	}
	switch e, ok := s.find("scripts"); {
	case ok && e.value.secret:
		s.wrong(e, "the name of a directory that exists")
	case ok && dir != "":
		s.Errorf("scripts", "there is no directory %s", dir)
	}
	return ""
}

// limits reads Limits. Upper bounds are what could still be meant; lower ones are what a pull needs.
func (r *configReader) limits(s *Section) {
	const day = 24 * time.Hour
	l := Limits{}.WithDefaults()
	r.Limits = Limits{
		PullTimeout:      s.Seconds("pull_timeout", l.PullTimeout, time.Second, 7*day),
		Steps:            uint64(s.Int("steps", int64(l.Steps), 1000, math.MaxInt64)),
		LoadSteps:        uint64(s.Int("load_steps", int64(l.LoadSteps), 1000, math.MaxInt64)),
		ScriptMemory:     s.Bytes("script_memory", l.ScriptMemory, 16<<20, 1<<40),
		ResponseBytes:    s.Bytes("response_bytes", l.ResponseBytes, 1<<10, 1<<40),
		EventBytes:       int(s.Bytes("event_bytes", int64(l.EventBytes), 1<<10, 1<<30)),
		Oversized:        Oversized(s.Choice("oversized", string(l.Oversized), string(Cut), string(SetAside), string(Fail))),
		AsideBytes:       s.Bytes("aside_bytes", l.AsideBytes, 1<<10, 1<<50),
		StagedBytes:      s.Bytes("staged_bytes", l.StagedBytes, 1<<10, 1<<40),
		HTTPTimeout:      s.Seconds("http_timeout", l.HTTPTimeout, time.Millisecond, day),
		OutboxBytes:      s.Bytes("outbox_bytes", l.OutboxBytes, 1<<10, 1<<50),
		OutboxAge:        s.Seconds("outbox_age", 0, 0, 365*day),
		OutboxFull:       OutboxFull(s.Choice("outbox_full", string(l.OutboxFull), string(Wait), string(DropOldest))),
		OutboxAlarm:      s.Float("outbox_alarm", l.OutboxAlarm, 0.01, 1),
		DiskReserve:      s.Bytes("disk_reserve", l.DiskReserve, 32<<20, 1<<50),
		LogLinesPerPull:  int(s.Int("log_lines_per_pull", int64(l.LogLinesPerPull), 1, 1e9)),
		TestTimeout:      s.Seconds("test_timeout", l.TestTimeout, time.Millisecond, day),
		ShutdownDelivery: s.Seconds("shutdown_delivery", l.ShutdownDelivery, time.Millisecond, day),
	}
	s.unknown(r.problems)
}

// id returns the text of s's id. People write numbers there, and 007 is not 7.
func (r *configReader) id(s *Section) string {
	e, ok := s.find("id")
	if !ok {
		s.missing("id", "")
		return ""
	}
	if _, isBool := e.value.value.(bool); isBool || e.value.kind != scalarNode || !identifier.MatchString(e.value.text) {
		s.wrong(e, "a number or a text without spaces and slashes, at most 100 long")
	}
	return e.value.text
}

// Bounds of a collector's period: Devo's default, and a year.
const (
	defaultPeriod = 60
	maxPeriod     = 365 * 24 * 60 * 60
)

const periodKey = "request_period_in_seconds"

func (r *configReader) input(name string, input *Section) {
	id := r.id(input)
	input.Text(environmentKey, "")
	every := period(input, defaultPeriod)
	limits := r.requestLimits(input, nil)
	r.generic(input)
	credentials := r.credentials(input)
	services := input.sub("services")
	if services.mapping == nil || len(services.mapping.entries) == 0 {
		if !input.Has("services") || services.mapping != nil {
			input.missing("services", "name what to collect, such as office365_exchange_message_service: {}")
		}
		return
	}
	shared := []level{
		{input.path, input.mapping.without(inputKeys...), inputKeys},
		{credentials.path, credentials.mapping, nil},
	}
	family := &family{declared: map[string]map[string]bool{}}
	for _, e := range services.mapping.entries {
		service := services.sub(e.key)
		r.name(service, e)
		c := CollectorConfig{Input: name, ID: id, Service: e.key, Place: place(r.problems.file, e.line, e.col) + service.path}
		if !service.Bool("enabled", true) {
			r.Disabled = append(r.Disabled, c.Key())
			continue
		}
		service.Text(environmentKey, "")
		c.Period = time.Duration(period(service, every)) * time.Second
		c.Limits = r.requestLimits(service, limits)
		r.generic(service)
		c.Script = r.script(service, e.key)
		c.Settings = &Settings{file: r.problems.file, path: service.path, line: e.line, col: e.col,
			service: service.mapping.without(serviceKeys...), shared: shared, family: family, base: r.Base}
		family.services++
		r.Collectors = append(r.Collectors, c)
	}
}

func (r *configReader) credentials(input *Section) *Section {
	if e, ok := input.find("credentials"); ok {
		e.value.secret = true // who writes something else than a section there may have written a secret
	}
	n := len(r.problems.list)
	s := input.sub("credentials")
	id := ErrorID{Class: initVariables, Number: 1}.About("credentials")
	r.problems.name(n, &id)
	return s
}

func (r *configReader) script(s *Section, service string) string {
	name := strings.TrimSuffix(s.Text("script", service), ".star") + ".star"
	if e, ok := s.find("script"); ok && (!fs.ValidPath(name) || filepath.Base(name) == ".star") {
		s.wrong(e, "the name of a script, such as "+cut(service, 60)+".star; it may lie in a folder, but not outside of the scripts")
	}
	return name
}
