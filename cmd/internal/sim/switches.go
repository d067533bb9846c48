package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Switch is a part of the behaviour that a person can choose by name.
type Switch struct {
	Name  string
	Value string // form of its value; empty if it takes none
	Help  string

	set func(o *Options, value string) error
}

// Switches lists what SetSwitch knows.
func Switches() []Switch {
	return slices.Concat(faultSwitches(), rowSwitches(), reportSwitches(), graphSwitches(), tokenSwitches())
}

// SetSwitch sets one switch, given as NAME or NAME=VALUE.
func SetSwitch(o *Options, text string) error {
	name, value, given := strings.Cut(text, "=")
	for _, s := range Switches() {
		if s.Name != name {
			continue
		}
		if given != (s.Value != "") {
			return fmt.Errorf("%s is given as %s", name, s)
		}
		if err := s.set(o, value); err != nil {
			return fmt.Errorf("%s: %w; it is given as %s", text, err, s)
		}
		return nil
	}
	return fmt.Errorf("there is no %q", name)
}

// String is how the switch is given.
func (s Switch) String() string {
	if s.Value == "" {
		return s.Name
	}
	return s.Name + "=" + s.Value
}

func faultSwitches() []Switch {
	return []Switch{
		{"data", "N[:KIND,...]", "every N-th answer with data goes wrong; KIND is one of " + kinds(AllFaults()), func(o *Options, v string) (err error) {
			o.Faults, err = parseFaults(v)
			return err
		}},
		{"tokens", "N[:KIND,...]", "every N-th answer of the sign-in goes wrong", func(o *Options, v string) (err error) {
			o.TokenFaults, err = parseFaults(v)
			return err
		}},
		{"throttle", "N[:PAUSE]", "every N-th request for data is answered with 429, and all others until the pause is over", setThrottle},
		{"repeat", "N", "every N-th row comes twice", count(func(o *Options, n int) { o.Repeat = n })},
		{"quota", "N", "requests a tenant may make in 5 minutes, of each API; Graph allows 100", count(func(o *Options, n int) {
			o.Quota.Requests, o.Graph.Quota.Requests = n, n
		})},
		{"others", "N", "requests that other tools take from the quota, at some moment of every 5 minutes", count(func(o *Options, n int) {
			o.Quota.Others, o.Graph.Quota.Others = n, n
		})},
		{"retry-after", "FORM", "how a 429 says when to come back: seconds, date, absent, zero or huge", choice(func(o *Options, v string) {
			form := RetryAfter(v)
			o.Quota.Form, o.Graph.Quota.Form, o.Throttle.Form = form, form, form
		}, string(Seconds), string(Date), string(Absent), string(Zero), string(TooLong))},
		{"latency", "DURATION", "before each answer with data", length(func(o *Options, d time.Duration) { o.Latency = d })},
		{"skew", "DURATION", "how far its clock is ahead; behind, when negative", length(func(o *Options, d time.Duration) { o.Skew = d })},
	}
}

func rowSwitches() []Switch {
	return []Switch{
		{"delays", "usual|none|DURATION", "how long after its reception a row appears; usual is 1 to 10 minutes for most and a day for some", func(o *Options, v string) error {
			switch v {
			case "usual":
				o.Rows.Delays = UsualDelays()
				return nil
			case "none":
				o.Rows.Delays = nil
				return nil
			}
			d, err := time.ParseDuration(v)
			o.Rows.Delays = []Delay{{1, d, d}}
			return err
		}},
		{"evolve", "SHARE", "share of the rows whose status changes within 2 hours after they appear", func(o *Options, v string) (err error) {
			o.Rows.EvolveBy = 2 * time.Hour
			o.Rows.Evolve, err = strconv.ParseFloat(v, 64)
			return err
		}},
		{"quantum", "DURATION", "many rows share a moment: it is rounded down to this", length(func(o *Options, d time.Duration) { o.Rows.Quantum = d })},
	}
}

func reportSwitches() []Switch {
	return []Switch{
		{"order", "ORDER", "of rows in the report: newest, oldest or shuffled", choice(func(o *Options, v string) {
			o.Order = map[string]Order{"newest": NewestFirst, "oldest": OldestFirst, "shuffled": Shuffled}[v]
		}, "newest", "oldest", "shuffled")},
		{"skiptoken", "key|offset", "what $skiptoken counts", choice(func(o *Options, v string) { o.SkipToken = v }, "key", "offset")},
		{"links", "relative|absolute", "the form of links", choice(func(o *Options, v string) { o.Links = v }, "relative", "absolute")},
		{"snapshot", "", "later pages show what the first page saw", func(o *Options, _ string) error { o.Snapshot, o.Graph.Paging = true, "snapshot"; return nil }},
		{"trailing-empty", "", "the last page has a link to an empty one", func(o *Options, _ string) error { o.TrailingEmpty = true; return nil }},
		{"overload", "ROWS", "the report refuses windows with more rows, with 500", count(func(o *Options, n int) { o.Overload.Rows = n })},
		{"retention", "DAYS", "how far back the report goes; default 10", count(func(o *Options, n int) { o.RetentionDays = n })},
		{"retired", "STATUS", "the report is gone: 401, 403, 404, 410, or 200 with a web page", choice(func(o *Options, v string) {
			o.Retired, _ = strconv.Atoi(v)
		}, "401", "403", "404", "410", "200")},
		{"no-role", "", "the application lacks the directory role", func(o *Options, _ string) error { o.NoRole = true; return nil }},
	}
}

func graphSwitches() []Switch {
	return []Switch{
		{"paging", "cursor|offset|snapshot", "what a link of Graph stands for", choice(func(o *Options, v string) { o.Graph.Paging = v }, "cursor", "offset", "snapshot")},
		{"empty-page", "N", "every N-th page of Graph is empty and has a link", count(func(o *Options, n int) { o.Graph.EmptyPage = n })},
		{"repeat-link", "N", "every N-th link of Graph is that of its own page", count(func(o *Options, n int) { o.Graph.RepeatLink = n })},
		{"foreign-link", "N", "every N-th link of Graph points to another host", count(func(o *Options, n int) { o.Graph.ForeignLink = n })},
		{"link-life", "DURATION", "after which a link of Graph is answered with 410", length(func(o *Options, d time.Duration) { o.Graph.LinkLife = d })},
		{"principal", "DURATION", "Graph has no service principal for the trace until then", func(o *Options, v string) error {
			d, err := time.ParseDuration(v)
			o.Graph.PrincipalFrom = time.Now().Add(d)
			return err
		}},
		{"no-permission", "", "the application lacks the permission for the trace", func(o *Options, _ string) error {
			o.NoPermission, o.Graph.NoPermission = true, true
			return nil
		}},
	}
}

func tokenSwitches() []Switch {
	return []Switch{
		{"token-life", "DURATION", "of each token; default 3599s", length(func(o *Options, d time.Duration) { o.TokenLifetime = d })},
		{"revoke", "N", "every N-th request for data finds all tokens revoked", count(func(o *Options, n int) { o.RevokeEvery = n })},
		{"aadsts", "NUMBER", "the sign-in refuses with this error", func(o *Options, v string) error {
			n, err := strconv.Atoi(v)
			if err == nil && !slices.Contains(Refusals(), n) {
				err = fmt.Errorf("it can be one of %v", Refusals())
			}
			o.Token.Refuse = n
			return err
		}},
		{"token-omit", "FIELD,...", "fields that are missing in the answers of the sign-in", func(o *Options, v string) error {
			o.Token.Omit = strings.Split(v, ",")
			return nil
		}},
		{"no-life", "", "tokens say that they live for 0 seconds", func(o *Options, _ string) error { o.Token.NoLife = true; return nil }},
	}
}

func parseFaults(v string) (Faults, error) {
	every, list, given := strings.Cut(v, ":")
	n, err := strconv.Atoi(every)
	if err != nil || n < 1 {
		return Faults{}, fmt.Errorf("%q is not a number of answers", every)
	}
	f := Faults{Every: n}
	if !given {
		return f, nil
	}
	for kind := range strings.SplitSeq(list, ",") {
		if !slices.Contains(AllFaults(), Fault(kind)) {
			return Faults{}, fmt.Errorf("there is no kind %q", kind)
		}
		f.Kinds = append(f.Kinds, Fault(kind))
	}
	return f, nil
}

func kinds(all []Fault) string {
	var names []string
	for _, f := range all {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

func setThrottle(o *Options, v string) (err error) {
	every, pause, given := strings.Cut(v, ":")
	o.Throttle.Pause = time.Second
	if given {
		if o.Throttle.Pause, err = time.ParseDuration(pause); err != nil {
			return err
		}
	}
	return count(func(o *Options, n int) { o.Throttle.Every = n })(o, every)
}

// count, length and choice make setters out of what is done with a good value.

func count(do func(*Options, int)) func(*Options, string) error {
	return func(o *Options, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is not a number above 0", v)
		}
		do(o, n)
		return nil
	}
}

func length(do func(*Options, time.Duration)) func(*Options, string) error {
	return func(o *Options, v string) error {
		d, err := time.ParseDuration(v)
		if err == nil {
			do(o, d)
		}
		return err
	}
}

func choice(do func(*Options, string), values ...string) func(*Options, string) error {
	return func(o *Options, v string) error {
		if !slices.Contains(values, v) {
			return fmt.Errorf("%q is none of %s", v, strings.Join(values, ", "))
		}
		do(o, v)
		return nil
	}
}
