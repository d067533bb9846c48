package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"strings"
	"time"
	"unicode"

	"starling/engine"
)

// Processes of Devo's collectors, before the names of threads in them. Here they are all one.
const (
	mainProcess   = "MainProcess::MainThread"
	inputProcess  = "InputProcess::"
	outputProcess = "OutputProcess::"
)

// devoEvery is how often Devo's collectors look after their memory.
const devoEvery = 5 * time.Minute

// devoLines returns the lines that Devo's collectors write where the same thing happens. What
// testdata/devo_lines.yaml lists as theirs and printed here is printed by one of these functions.
func devoLines(r devoRecord) []devoLine {
	translate, ok := map[string]func(devoRecord) []devoLine{
		"started":                       startedLines,
		"collector starts":              collectorLines,
		"pull starts":                   func(r devoRecord) []devoLine { return r.info("Pull Started") },
		"committed":                     func(r devoRecord) []devoLine { return r.info("(Partial) " + r.pullStatistics()) },
		"pull ended":                    pullEndedLines,
		"next pull":                     nextPullLines,
		"waits for its turn in a quota": limitLines,
		"state is forgotten, the pull starts from the beginning": changedLines,
		"output: what it has acknowledged":                       senderLines,
		"output did not acknowledge; its events stay in the outbox and are offered again": func(r devoRecord) []devoLine {
			wait := math.Round(r.number("next_try"))
			return []devoLine{{slog.LevelWarn, r.process(), fmt.Sprintf("Some error happened when creating sender, waiting %.0f seconds for a retry", wait)}, r.plain()}
		},
		"memory":        memoryLines,
		"asked to stop": signalLines,
		"stopped":       stoppedLines,
	}[r.Message]
	if !ok {
		return []devoLine{r.plain()}
	}
	return translate(r)
}

func (r devoRecord) info(text string) []devoLine {
	return []devoLine{{slog.LevelInfo, r.process(), text}}
}

// process names who speaks: the puller of a collector, the sender of an output, or the program.
func (r devoRecord) process() string {
	if key := r.text(string(engine.KeyCollector)); key != "" {
		return inputProcess + pullerOf(key)
	}
	if name := r.text(string(engine.KeySink)); name != "" {
		return outputProcess + fmt.Sprintf("%sSenderManager(standard_senders,%s)", r.senderOf(name), name)
	}
	return mainProcess
}

// pullerOf is the thread of a collector, whose key is input/id/service.
func pullerOf(key string) string {
	return fmt.Sprintf("%s(%s,predefined)", pullerClass(key), strings.ReplaceAll(key, "/", ","))
}

// pullerClass is the class that pulls, as Devo's collectors call theirs.
func pullerClass(key string) string {
	input, _, _ := strings.Cut(key, "/")
	if input == "office365_exchange_message" {
		return "Office365ExchangeMessageTracePuller"
	}
	return camel(input) + "Puller"
}

func camel(name string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r == '_' || r == '-' }) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// senderOf is what the classes that send to an output begin with.
func (r devoRecord) senderOf(name string) string {
	kind := r.text("type")
	for _, o := range r.log.config.Outputs {
		if o.Name == name {
			kind = cmp.Or(kind, o.Type)
		}
	}
	switch kind {
	case "devo_platform", "relay":
		return "Devo"
	case "syslog", "in_house_relay", "sidecar":
		return "Syslog"
	case "console", "stdout":
		return "Console"
	}
	return camel(kind)
}

func startedLines(r devoRecord) []devoLine {
	c := r.log.config
	version, system := r.text("version"), runtime.GOOS+"-"+runtime.GOARCH
	started := r.Time.UTC().Format("2006-01-02T15:04:05.000000Z")
	about := fmt.Sprintf("Build time: \"UNKNOWN\", OS: %q, collector(name:version): \"%s:%s\", owner: \"starling\", started at: %q", system, c.Name, version, started)
	if r.log.old {
		about = fmt.Sprintf(`{"build_time": "UNKNOWN", "os_info": %q, "collector_name": %q, "collector_version": %q, "collector_owner": "starling", "started_at": %q}`, system, c.Name, version, started)
	}
	outputs := map[string]any{}
	for _, o := range c.Outputs {
		outputs[o.Name] = map[string]string{"type": o.Type}
	}
	lines := []devoLine{r.plain(), {slog.LevelInfo, mainProcess, about},
		{slog.LevelInfo, mainProcess, "[OUTPUT] OutputMultiprocessingController::__init__ Configuration -> " + asJSON(outputs)}}
	for _, name := range []string{"OutputProcess", "InputProcess"} {
		lines = append(lines, devoLine{slog.LevelInfo, mainProcess, fmt.Sprintf("%s - Starting thread (executing_period=%.0fs)", name, devoEvery.Seconds())})
	}
	return append(lines, devoLine{slog.LevelInfo, outputProcess + "MainThread", "Process started"}, devoLine{slog.LevelInfo, inputProcess + "MainThread", "Process Started"})
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func collectorLines(r devoRecord) []devoLine {
	key := r.text(string(engine.KeyCollector))
	parts := strings.SplitN(key, "/", 3)
	for len(parts) < 3 {
		parts = append(parts, "")
	}
	input, id, service, period := parts[0], parts[1], parts[2], r.number("period")
	main := inputProcess + "MainThread"
	state := cmp.Or(r.text("cursors"), "None")
	lines := []devoLine{
		{slog.LevelInfo, main, fmt.Sprintf("InputThread(%s,%s) - Starting thread (execution_period=%.0fs)", input, id, period)},
		{slog.LevelInfo, main, fmt.Sprintf("ServiceThread(%s,%s,%s,predefined) - Starting thread (execution_period=%.0fs)", input, id, service, period)},
		{slog.LevelInfo, main, fmt.Sprintf("%sSetup(%s,%s#%s,%s#predefined) -> Starting thread", pullerClass(key), r.log.config.Name, input, id, service)},
		{slog.LevelInfo, main, pullerOf(key) + " - Starting thread"},
		{slog.LevelInfo, r.process(), "Reading persisted data"},
		{slog.LevelInfo, r.process(), "Data retrieved from the persistence: " + state},
	}
	if state == "None" {
		lines = append(lines, devoLine{slog.LevelWarn, r.process(), "Persistence will be overridden due to the retrieved state is empty"})
	}
	return append(lines, devoLine{slog.LevelInfo, r.process(), fmt.Sprintf("Starting data collection every %.0f seconds", period)})
}

// pullStatistics has the figures of a pull so far.
func (r devoRecord) pullStatistics() string {
	speed := 0.0
	if seconds := r.number("duration"); seconds > 0 {
		speed = r.number("events") / seconds
	}
	return fmt.Sprintf("Statistics for this pull cycle (@devo_pulling_id=%.0f):Number of requests made: %.0f; Number of events received: %.0f; "+
		"Number of duplicated events filtered out: %.0f; Number of events generated and sent: %.0f; Average of events per second: %.3f.",
		r.number("pulling_id"), r.number("requests"), r.number("rows"), r.number("skipped"), r.number("events"), speed)
}

// inTime is the share of a pull's time below which one that ends well has asked for everything.
const inTime = 0.8

func pullEndedLines(r devoRecord) []devoLine {
	lines := r.info(r.pullStatistics())
	if r.text("outcome") == "ok" && r.number("duration") < inTime*r.log.config.Limits.PullTimeout.Seconds() {
		lines = append(lines, r.info("The data is up to date!")...)
	}
	return lines
}

func nextPullLines(r devoRecord) []devoLine {
	elapsed, wait := r.number("elapsed"), r.number("wait")
	if wait > 0 {
		return r.info(fmt.Sprintf("Data collection completed. Elapsed time: %.3f seconds. Waiting for %.3f second(s) until the next one", elapsed, wait))
	}
	return r.info(fmt.Sprintf("Elapsed time: %.1f seconds. Last retrieval took too much time, no wait will be applied in this loop", elapsed))
}

func limitLines(r devoRecord) []devoLine {
	level, wait := slog.LevelDebug, r.number("wait")
	if wait >= 1 {
		level = slog.LevelInfo
	}
	return []devoLine{{level, r.process(), fmt.Sprintf("Local rate limit is blocking new calls for %.5f seconds", wait)}}
}

func changedLines(r devoRecord) []devoLine {
	name := r.text("because")
	return []devoLine{{slog.LevelWarn, r.process(), fmt.Sprintf(`Some changes have been detected and the persistence needs to be updated. Previous content: {%q: %s}. New content: {%q: %s}`,
		name, r.text("was"), name, r.text("is"))}}
}

// senderLines are the statistics of an output. Messages count when they are acknowledged, and a connection
// as open while the output acknowledges.
func senderLines(r devoRecord) []devoLine {
	name := r.text(string(engine.KeySink))
	class := r.senderOf(name)
	process := outputProcess + fmt.Sprintf("%sSenderManagerMonitor(standard_senders,%s)", class, name)
	waiting, open := r.number("events_wait"), "False"
	if r.text("state") == "ok" {
		open = "True"
	}
	queued := "{}"
	if waiting > 0 {
		queued = fmt.Sprintf(`{"max": %.3f}`, r.number("oldest_waits"))
	}
	since := r.value("since").Time().UTC()
	total := fmt.Sprintf(`Standard - Total number of messages: %.0f messages/bytes sent since "%s+00:00": %.0f/%.0f, (elapsed %.3f seconds)`,
		r.number("events"), since.Format("2006-01-02T15:04:05.000000"), r.number("events_since"), r.number("bytes_since"), r.number("seconds"))
	if r.log.old {
		total = fmt.Sprintf(`Standard - Total number of messages sent: %.0f, messages sent since "%s+00:00": %.0f (elapsed %.3f seconds)`,
			r.number("events"), since.Format("2006-01-02 15:04:05.000000"), r.number("events_since"), r.number("seconds"))
	}
	var lines []devoLine
	for _, text := range []string{
		fmt.Sprintf("Number of available senders: 1, sender manager internal queue size: %.0f", waiting),
		"enqueued_elapsed_times_in_seconds_stats: " + queued,
		fmt.Sprintf(`Sender: %sSender(standard_senders,%s_sender_0), status: {"internal_queue_size": %.0f, "is_connection_open": %s}`, class, strings.ToLower(class), waiting, open),
		total,
	} {
		lines = append(lines, devoLine{slog.LevelInfo, process, text})
	}
	return lines
}

func memoryLines(r devoRecord) []devoLine {
	return r.info(fmt.Sprintf("[GC] global: %.1f%% -> %.1f%%, process: RSS(%s -> %s), VMS(%s -> %s)", r.number("used_before"), r.number("used_after"),
		binarySize(r.number("rss_before")), binarySize(r.number("rss_after")), binarySize(r.number("vms_before")), binarySize(r.number("vms_after"))))
}

// binarySize writes a size with two decimals, such as 47.28MiB.
func binarySize(bytes float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for ; bytes >= 1024 && i < len(units)-1; i++ {
		bytes /= 1024
	}
	return fmt.Sprintf("%.2f%s", bytes, units[i])
}

// signalNames are the numbers of the signals that end the program, by their names in Go.
var signalNames = map[string]int{"terminated": 15, "interrupt": 2}

func signalLines(r devoRecord) []devoLine {
	r.log.asked = r.Time
	name := r.text("signal")
	shown := name
	if name != "" {
		shown = string(unicode.ToUpper(rune(name[0]))) + name[1:]
	}
	return r.info(fmt.Sprintf("Received the %q system signal (code: %d), all the processes will be gracefully stopped", shown, signalNames[name]))
}

func stoppedLines(r devoRecord) []devoLine {
	end := `[EXIT] Process "MainProcess" completely terminated`
	if !r.log.asked.IsZero() {
		end += fmt.Sprintf(" (elapsed time since the system signal was received: %.3fs)", r.Time.Sub(r.log.asked).Seconds())
	}
	lines := r.info("Finalizing the whole collector")
	lines = append(lines, r.info(fmt.Sprintf(`{"collector_name": %q, "stopped_at": %q}`, r.log.config.Name, r.Time.UTC().Format("2006-01-02T15:04:05.000000Z")))...)
	return append(lines, r.info(end)...)
}
