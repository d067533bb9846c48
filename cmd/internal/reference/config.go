package reference

import (
	"regexp"
	"strings"
)

// configuration describes the configuration file. The keys of outputs and the limits come from the
// source; a test compares the others with it.
func configuration(root string) (string, error) {
	var b strings.Builder
	b.WriteString(`## Configuration

A YAML file, or a JSON file with the same keys; the form is that of Devo's collectors. Relative paths start at the directory of the
file, or at the one above if that is called "config". A key that nothing knows is an error, with its line and what was probably meant.

`)
	b.WriteString("### globals\n\n" + table([]string{"key", "default", "what it says"}, globals))
	b.WriteString("\n### starling\n\n" + table([]string{"key", "default", "what it says"}, starling))
	bounds, err := limits(root)
	if err != nil {
		return "", err
	}
	b.WriteString("\n### starling.limits\n\n" + bounds)
	b.WriteString("\n### inputs\n\n`inputs.<name>` is an input; `services.<name>` below it a service, which runs as the collector `input/id/service`.\n\n" +
		table([]string{"key", "default", "what it says"}, inputs))
	b.WriteString("\n### outputs\n\n`outputs.<name>` has `type` and `config`, which holds the keys of that type. Every output gets every event. Beside `type` and `config` there is\n`oversized`: what becomes of an event that this output refuses, if not what `starling.limits.oversized` says, and\n`outbox_full`: `drop_oldest` has this output alone fall behind when the outbox is full, if `starling.limits.outbox_full` is `wait`.\n")
	kinds, err := outputs(root)
	if err != nil {
		return "", err
	}
	b.WriteString("\n" + kinds)
	variables, err := comments(root, "engine/expand.go", "expander")
	if err != nil {
		return "", err
	}
	_, variables, _ = strings.Cut(variables, "\n")
	b.WriteString("### Variables\n\nTexts of the configuration may hold environment variables and files:\n" + variables)
	return b.String(), nil
}

var globals = [][]string{
	{"`name`", "must be set", "name of the installation: letters, digits, - and _; others become _"},
	{"`id`", "must be set", "any number or text"},
	{"`debug`", "`false`", "logs more: the default of `starling.log.level` becomes debug. `debug_status` and `enable_debug_logs` are other names of it"},
	{"`persistence.type`", "`filesystem`", "`filesystem`, or `memory`, which forgets everything at the end"},
	{"`persistence.config.directory_name`", "`state`", "the directory of the state"},
	{"`devo_sender_threshold_for_using_gzip_in_transport_layer`, `devo_sender_compression_level`, `devo_sender_compression_buffer_in_bytes`",
		"`1.1` (never), `6`, `51200`", "the defaults of these keys, without `devo_sender_`, of outputs of the types `devo_platform` and `relay`"},
	{"`sender_stats_period_in_sec`", "`300`", "60 to 1800: how often the log says what each output has acknowledged; `period_sender_stats_in_seconds` of an output says it for that one"},
	{"`queue_max_size_in_mb`, `queue_max_size_in_messages`, `queue_wrap_max_size_in_messages`, `queue_max_elapsed_time_in_sec`, " +
		"`queue_generate_metrics`, `generate_collector_details`",
		"", "of Devo's collectors: checked and accepted, without effect here"},
	{"any other key", "", "is passed over with a warning, as by Devo's collectors"},
}

var starling = [][]string{
	{"`scripts`", "`scripts`, if there is such a directory", "the folder of scripts, which stand in front of the built-in ones"},
	{"`secrets_folder`", "`/run/secrets`", "the folder of `${secret:NAME}`"},
	{"`listen`", "`127.0.0.1:9464`", "address of the status server; `off` for none"},
	{"`status.token`", "", "what who asks must send, as a bearer token; at least 16 characters. It or `client_ca` must be set where other machines can reach `listen`. `/healthz` is open anyway"},
	{"`status.certificate`, `status.key`", "", "PEM files, relative or in `certs`: the status server speaks TLS; they are read again for each connection"},
	{"`status.client_ca`", "", "PEM file of authorities: a client certificate of theirs is as good as the token"},
	{"`status.pprof`", "`false`", "the status server answers `/debug/pprof` as well, for `go tool pprof`. Whoever may ask for the status may ask for that: on `127.0.0.1`, everybody on the machine, unless there is a token. " +
		"Profiles name functions and sizes, no data; who asks for them slows the program down"},
	{"`log.level`", "`info`", "`debug`, `info`, `warn` or `error`"},
	{"`log.format`", "`text`", "`text`, `json`, or `devo`: lines in the form of Devo's collectors, and theirs where the same thing happens"},
	{"`log.devo_form`", "`new`", "with `devo`: the lines of Devo's SDK as of 1.7, or those of 1.6 and before (`old`), where they differ"},
	{"`internal_events`", "`true`", "lines of the log, as `devo.collectors.out.local.<level>`, and figures of outputs each `sender_stats_period_in_sec`, as `devo.collector.metric.message_sent`, " +
		"go to the outputs that lead to Devo as well, with the keys of Devo's collectors. They are kept in memory only, at most 1000 for an output; what is too much, or in an epoch that fails, is counted and forgotten. " +
		"`false` turns them off: it is data that Devo counts"},
	{"`network.allow_hosts`", "every host that a script declares", "the only hosts that scripts may reach: `api.example.com`, or `*.example.com` for all below it. Redirects and links may lead to them too, " +
		"over https and without credentials"},
	{"`network.private`", "none", "hosts, addresses and ranges such as `10.1.0.0/16` that may be private. An address that a setting of an input names with its scheme, such as " +
		"`http://127.0.0.1:8080`, is allowed as well, at that port. Link-local and metadata addresses must be listed as addresses"},
	{"`network.proxy`", "none", "`http://`, `https://` or `socks5://` URL of a proxy for everything but this machine; it then decides what names lead to. `HTTP_PROXY` and the like are not used"},
	{"`network.ca`", "none", "PEM file of authorities that are trusted besides the system's, relative or in `certs`; it is watched"},
	{"`recordings.folder`", "none", "the folder that pulls which failed are recorded in, as [cases](docs/recordings.md). Cases hold what the API answered, without secrets: they are off unless a folder is named"},
	{"`recordings.keep`", "`20`", "how many cases the folder holds; the oldest are deleted"},
	{"`recordings.size`", "`16MiB`", "how many bytes of requests and answers, as they come over the network, are kept of a pull. What is longer is cut off, and the case says so. Every pull that runs holds so much at most in memory"},
	{"`recordings.personal`", "none", "names of fields, at any depth of JSON or XML, and of settings, whose values are masked in cases: the same value gets the same mask within a case"},
	{"`limits`", "", "see below"},
}

var inputs = [][]string{
	{"`id`", "must be set", "a number or a text without spaces and slashes; with another id the state begins anew"},
	{"`enabled`", "`true`", "whether the input runs; without it there is a warning"},
	{"`request_period_in_seconds`", "`60`", "from the start of one pull to the start of the next; a service may have its own"},
	{"`environment`", "", "free text, which scripts may read; the built-in ones add it to events as `@devo_environment`. A service may have its own"},
	{"`requests_limits`", "none", "list of `{period: 1h, number_of_requests: 100}`: at most so many requests of a service in any such stretch; units are s, m, h, d, w, M (30 days) and y; -1 is any number. A service may have its own"},
	{"`retries`, `use_time_slots_for_retrievals`, `autoconfig`", "", "of Devo's collectors: accepted, without effect here; an edited configuration is always noticed"},
	{"`obfuscation_data`", "", "of Devo's collectors, in a form that is published nowhere: refused, as nothing would be hidden; leave out or change fields in a copy of the script. " +
		"Whatever is set, settings whose names end in `tenant_id`, `client_id` and all secrets are `****SANITIZED****` in logs, traces, status and errors"},
	{"`credentials`", "", "settings that all services of the input share"},
	{"`services.<name>.enabled`", "`true`", "whether the service runs"},
	{"`services.<name>.script`", "the name of the service", "the script, with or without .star"},
	{"any other key", "", "a setting of the script; those of the service win over those of the input"},
}

// beginnings is how the comments of Go functions begin, which means nothing to a reader of the reference.
var beginnings = regexp.MustCompile(`^(new\w+ makes a|lineFormat reads the) `)

func outputs(root string) (string, error) {
	var b strings.Builder
	for _, part := range []struct{ title, file, function string }{
		{"devo_platform, relay", "sinks/devo.go", "newDevo"},
		{"syslog, in_house_relay, sidecar", "sinks/syslog.go", "newSyslog"},
		{"relp", "sinks/relp.go", "newRelp"},
		{"http", "sinks/http.go", "newHTTP"},
		{"devo_http", "sinks/http.go", "newDevoHTTP"},
		{"kafka", "sinks/kafka.go", "newKafka"},
		{"nats", "sinks/nats.go", "newNATS"},
		{"console, stdout", "sinks/console.go", "newConsole"},
		{"file", "sinks/file.go", "newFile"},
		{"format of http, kafka, nats, console and file", "sinks/lines.go", "lineFormat"},
		{"discard", "sinks/discard.go", "newDiscard"},
	} {
		text, err := comments(root, part.file, part.function)
		if err != nil {
			return "", err
		}
		begin := "A "
		if part.function == "lineFormat" {
			begin = "The "
		}
		text = strings.ReplaceAll(beginnings.ReplaceAllString(text, begin), "see lineFormat", "see below")
		b.WriteString("#### " + part.title + "\n\n" + text + "\n")
	}
	return b.String(), nil
}
