package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

func faultSwitches() []Switch {
	return []Switch{
		{Name: "data", Value: "N[:KIND,...]", Help: "every N-th answer with data goes wrong, or P% of them; see the kinds below", set: func(o *Options, v string) (err error) {
			o.Faults, err = parseFaults(v)
			return err
		}},
		{Name: "tokens", Value: "N[:KIND,...]", Help: "every N-th answer of the sign-in goes wrong, or P% of them", set: func(o *Options, v string) (err error) {
			o.TokenFaults, err = parseFaults(v)
			return err
		}},
		{Name: "error-body", Value: "odata|html|empty", Help: "what errors such as 429, 500 and 503 look like", set: choice(func(o *Options, v string) { o.ErrorBody = v }, "odata", "html", "empty")},
		{Name: "latency", Value: "DURATION", Help: "before each answer with data", set: length(func(o *Options, d time.Duration) { o.Latency = d })},
		{Name: "skew", Value: "DURATION", Help: "how far its clock is ahead; behind, when negative", set: func(o *Options, v string) (err error) {
			o.Skew, err = time.ParseDuration(v)
			return err
		}},
	}
}

func quotaSwitches() []Switch {
	return []Switch{
		{Name: "quota", Value: "N", Help: "requests a tenant may make in 5 minutes, of each API; Graph allows 100, the report any number", set: count(func(o *Options, n int) {
			o.Quota.Requests, o.Graph.Quota.Requests = n, n
		})},
		{Name: "others", Value: "N", Help: "requests that other tools take from the quota, at some moment of every 5 minutes", set: count(func(o *Options, n int) {
			o.Quota.Others, o.Graph.Quota.Others = n, n
		})},
		{Name: "lenient", Help: "requests that are answered with 429 do not count", set: plain(func(o *Options) { o.Quota.Lenient, o.Graph.Quota.Lenient = true, true })},
		{Name: "retry-after", Value: "FORM", Help: "how a 429 says when to come back: seconds, date, absent, zero or huge", set: choice(func(o *Options, v string) {
			form := RetryAfter(v)
			o.Quota.Form, o.Graph.Quota.Form, o.Throttle.Form, o.Token.Quota.Form = form, form, form, form
		}, string(Seconds), string(Date), string(Absent), string(Zero), string(TooLong))},
		{Name: "throttle", Value: "N[:PAUSE]", Help: "every N-th request for data is answered with 429, and all others until the pause is over", set: setThrottle},
		{Name: "own-details", Help: "getDetailsByRecipient has a quota of its own", set: plain(func(o *Options) { o.Graph.OwnDetails = true })},
		{Name: "token-quota", Value: "N", Help: "requests in 5 minutes after which the sign-in answers 429", set: count(func(o *Options, n int) { o.Token.Quota.Requests = n })},
	}
}

func rowSwitches() []Switch {
	return []Switch{
		{Name: "delays", Value: "usual|none|DURATION", Help: "how long after its reception a row appears; usual (default) is 1 to 10 minutes for most and a day for some", set: func(o *Options, v string) error {
			switch v {
			case "usual":
				o.Rows.Delays = UsualDelays()
				return nil
			case "none":
				o.Rows.Delays = nil
				return nil
			}
			d, err := duration(v)
			o.Rows.Delays = []Delay{{1, d, d}}
			return err
		}},
		{Name: "incident", Value: "DELAY:AGO:LENGTH", Help: "rows received in a time that began so long ago appear no earlier than DELAY later", set: func(o *Options, v string) error {
			delay, rest, _ := strings.Cut(v, ":")
			d, err := duration(delay)
			if err != nil {
				return err
			}
			from, to, err := span(rest)
			o.Rows.Incidents = append(o.Rows.Incidents, Incident{from, to, d})
			return err
		}},
		{Name: "evolve", Value: "SHARE", Help: "share of the rows, 0 to 1, whose status changes within 2 hours after they appear; default 0.2", set: func(o *Options, v string) error {
			share, err := strconv.ParseFloat(v, 64)
			if err != nil || !(share >= 0 && share <= 1) {
				return fmt.Errorf("%q is not a share from 0 to 1", v)
			}
			o.Rows.Evolve, o.Rows.EvolveBy = share, 2*time.Hour
			return nil
		}},
		{Name: "burst", Value: "RATE:AGO:LENGTH", Help: "another rate for a time that began so long ago, or begins when AGO is negative; 0 is quiet", set: setBurst},
		{Name: "recipients", Value: "N", Help: "most recipients of a message, up to 64; default 8", set: count(func(o *Options, n int) { o.Rows.Recipients = n })},
		{Name: "quantum", Value: "DURATION", Help: "many rows share a moment: it is rounded down to this", set: length(func(o *Options, d time.Duration) { o.Rows.Quantum = d })},
		{Name: "repeat", Value: "N", Help: "every N-th row comes twice", set: count(func(o *Options, n int) { o.Repeat = n })},
		{Name: "raw", Help: "characters beyond ASCII are written as they are, not as \\u escapes", set: plain(func(o *Options) { o.RawUnicode = true })},
		{Name: "full-fraction", Help: "moments have all digits of their fraction, also zeros", set: plain(func(o *Options) { o.FullFraction = true })},
	}
}

func reportSwitches() []Switch {
	return []Switch{
		{Name: "page-size", Value: "ROWS", Help: "of a page; default 2000", set: count(func(o *Options, n int) { o.PageSize = n })},
		{Name: "order", Value: "ORDER", Help: "of rows: newest (default), oldest or shuffled", set: choice(func(o *Options, v string) {
			o.Order = map[string]Order{"newest": NewestFirst, "oldest": OldestFirst, "shuffled": Shuffled}[v]
		}, "newest", "oldest", "shuffled")},
		{Name: "skiptoken", Value: "key|offset", Help: "what $skiptoken counts; default key", set: choice(func(o *Options, v string) { o.SkipToken = v }, "key", "offset")},
		{Name: "links", Value: "relative|absolute", Help: "the form of links; by default the light form has relative ones", set: choice(func(o *Options, v string) { o.Links = v }, "relative", "absolute")},
		{Name: "snapshot", Help: "later pages show what the first page saw, those of Graph too", set: plain(func(o *Options) { o.Snapshot, o.Graph.Paging = true, "snapshot" })},
		{Name: "trailing-empty", Help: "the last page has a link to an empty one", set: plain(func(o *Options) { o.TrailingEmpty = true })},
		{Name: "open-end", Help: "EndDate is exclusive", set: plain(func(o *Options) { o.OpenEnd = true })},
		{Name: "zone", Help: "Received ends in Z", set: plain(func(o *Options) { o.Zone = true })},
		{Name: "gzip", Help: "it compresses, as Graph always does", set: plain(func(o *Options) { o.Gzip = true })},
		{Name: "overload", Value: "ROWS[:504]", Help: "it refuses windows with more rows, with 500 or 504", set: func(o *Options, v string) error {
			rows, status, given := strings.Cut(v, ":")
			if given && status != "500" && status != "504" {
				return fmt.Errorf("%q is neither 500 nor 504", status)
			}
			o.Overload.Status, _ = strconv.Atoi(status)
			return count(func(o *Options, n int) { o.Overload.Rows = n })(o, rows)
		}},
		{Name: "retention", Value: "DAYS", Help: "how far back it goes; default 10", set: count(func(o *Options, n int) { o.RetentionDays = n })},
		{Name: "retired", Value: "STATUS", Help: "it is gone, or a new tenant never had it: 401, 403, 404, 410, or 200 with a web page", set: choice(func(o *Options, v string) {
			o.Retired, _ = strconv.Atoi(v)
		}, "401", "403", "404", "410", "200")},
	}
}

func graphSwitches() []Switch {
	return []Switch{
		{Name: "paging", Value: "cursor|offset|snapshot", Help: "what a link stands for; default cursor", set: choice(func(o *Options, v string) { o.Graph.Paging = v }, "cursor", "offset", "snapshot")},
		{Name: "empty-page", Value: "N", Help: "every N-th page is empty and has a link; 2 or more", set: func(o *Options, v string) error {
			if v == "1" {
				return fmt.Errorf("there would be no other page")
			}
			return count(func(o *Options, n int) { o.Graph.EmptyPage = n })(o, v)
		}},
		{Name: "repeat-link", Value: "N", Help: "every N-th link is that of its own page", set: count(func(o *Options, n int) { o.Graph.RepeatLink = n })},
		{Name: "foreign-link", Value: "N", Help: "every N-th link points to another host", set: count(func(o *Options, n int) { o.Graph.ForeignLink = n })},
		{Name: "link-life", Value: "DURATION[:STATUS]", Help: "after which a link is answered with 410, or another status", set: setLinkLife},
		{Name: "link-first", Help: "@odata.nextLink stands before the rows", set: plain(func(o *Options) { o.Graph.LinkFirst = true })},
		{Name: "digits", Value: "N", Help: "of the fraction of receivedDateTime, 1 to 7; default 3", set: choice(func(o *Options, v string) {
			o.Graph.Digits, _ = strconv.Atoi(v)
		}, "1", "2", "3", "4", "5", "6", "7")},
		{Name: "plain", Help: "it never compresses", set: plain(func(o *Options) { o.Graph.Plain = true })},
		{Name: "refuse-future", Help: "a filter may not end after today", set: plain(func(o *Options) { o.Graph.RefuseFuture = true })},
		{Name: "max-url", Value: "BYTES", Help: "longest query that is not answered with 404; default 2048", set: count(func(o *Options, n int) { o.Graph.MaxURL = n })},
		{Name: "page-time", Value: "LEAST-MOST", Help: "what a page of 5000 rows takes, and smaller ones in proportion; 2s-4s was measured", set: func(o *Options, v string) (err error) {
			least, most, _ := strings.Cut(v, "-")
			if o.Graph.Latency[0], err = duration(least); err != nil {
				return err
			}
			o.Graph.Latency[1], err = duration(most)
			return err
		}},
	}
}

func tokenSwitches() []Switch {
	return []Switch{
		{Name: "no-permission", Help: "the application lacks the permission for the trace: 403 of Graph, 401 of the report", set: plain(func(o *Options) {
			o.NoPermission, o.Graph.NoPermission = true, true
		})},
		{Name: "no-role", Help: "it lacks the directory role: 403 of the report", set: plain(func(o *Options) { o.NoRole = true })},
		{Name: "principal", Value: "DURATION", Help: "Graph has no service principal for the trace until then: 401", set: func(o *Options, v string) error {
			d, err := duration(v)
			o.Graph.PrincipalFrom = time.Now().Add(d)
			return err
		}},
		{Name: "token-life", Value: "DURATION", Help: "of each token; default 3599s", set: length(func(o *Options, d time.Duration) { o.TokenLifetime = d })},
		{Name: "no-life", Help: "tokens say that they live for 0 seconds", set: plain(func(o *Options) { o.Token.NoLife = true })},
		{Name: "token-omit", Value: "FIELD,...", Help: "fields that are missing in the answers of the sign-in, such as expires_in", set: func(o *Options, v string) error {
			o.Token.Omit = strings.Split(v, ",")
			for _, field := range o.Token.Omit {
				if !slices.Contains(tokenFields, field) {
					return fmt.Errorf("%q is none of %s", field, strings.Join(tokenFields, ", "))
				}
			}
			return nil
		}},
		{Name: "token-latency", Value: "DURATION", Help: "before each answer of the sign-in", set: length(func(o *Options, d time.Duration) { o.Token.Latency = d })},
		{Name: "revoke", Value: "N", Help: "every N-th request for data finds all tokens revoked", set: count(func(o *Options, n int) { o.RevokeEvery = n })},
		{Name: "secret-life", Value: "DURATION", Help: "after which the client secret has expired", set: func(o *Options, v string) error {
			d, err := duration(v)
			o.Token.SecretUntil = time.Now().Add(d)
			return err
		}},
		{Name: "aadsts", Value: "NUMBER", Help: "the sign-in refuses with this error, such as 7000215", set: func(o *Options, v string) error {
			n, err := strconv.Atoi(v)
			if err == nil && !slices.Contains(Refusals(), n) {
				err = fmt.Errorf("it can be one of %v", Refusals())
			}
			o.Token.Refuse = n
			return err
		}},
		{Name: "identity", Value: "STATUS,...", Help: "what the first requests for a managed identity's token are answered with, such as 404, 410 and 429", set: func(o *Options, v string) error {
			for text := range strings.SplitSeq(v, ",") {
				status, err := strconv.Atoi(text)
				if err != nil || status < 400 || status > 599 {
					return fmt.Errorf("%q is not the status of an error", text)
				}
				o.Token.Identity.Fail = append(o.Token.Identity.Fail, status)
			}
			return nil
		}},
	}
}

func setBurst(o *Options, v string) error {
	text, rest, _ := strings.Cut(v, ":")
	rate, err := strconv.ParseFloat(text, 64)
	if err != nil || !(rate >= 0 && rate <= 1e6) {
		return fmt.Errorf("%q is not a number of rows in a second", text)
	}
	from, to, err := span(rest)
	if err != nil {
		return err
	}
	if n := len(o.Rows.Bursts); n > 0 && from.Before(o.Rows.Bursts[n-1].To) {
		return fmt.Errorf("it begins before the one before it is over")
	}
	o.Rows.Bursts = append(o.Rows.Bursts, Burst{from, to, rate})
	return nil
}

// span reads AGO:LENGTH.
func span(v string) (from, to time.Time, err error) {
	ago, text, _ := strings.Cut(v, ":")
	before, err := time.ParseDuration(ago)
	if err != nil {
		return from, to, err
	}
	length, err := duration(text)
	from = time.Now().Add(-before).UTC()
	return from, from.Add(length), err
}

func setLinkLife(o *Options, v string) error {
	life, text, given := strings.Cut(v, ":")
	if given {
		status, err := strconv.Atoi(text)
		if err != nil || status < 400 || status > 599 {
			return fmt.Errorf("%q is not the status of an error", text)
		}
		o.Graph.LinkGone = status
	}
	return length(func(o *Options, d time.Duration) { o.Graph.LinkLife = d })(o, life)
}
