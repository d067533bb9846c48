package sim

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// Every switch changes something, with an example of its value, and refuses what is none.
func TestEverySwitchChangesTheOptions(t *testing.T) {
	t.Parallel()
	examples := map[string]string{"data": "7:reset,bom", "tokens": "2", "throttle": "20:3s", "quota": "50", "others": "60", "retry-after": "date", "latency": "2s",
		"skew": "-5m", "delays": "usual", "evolve": "0.3", "quantum": "1m", "order": "shuffled", "skiptoken": "offset", "links": "absolute", "overload": "1000",
		"retention": "30", "retired": "410", "paging": "offset", "empty-page": "3", "repeat-link": "5", "foreign-link": "5", "principal": "2h",
		"token-life": "1m", "revoke": "9", "aadsts": "7000222", "token-omit": "expires_in,token_type", "error-body": "html", "token-quota": "3",
		"incident": "36h:2h:30m", "burst": "250:1h:30m", "recipients": "32", "page-size": "500", "link-life": "1m:400", "digits": "7", "max-url": "500",
		"page-time": "2s-4s", "repeat": "3", "token-latency": "1s", "secret-life": "1h", "identity": "404,410,429"}
	for _, s := range Switches() {
		text := s.Name
		if s.Value != "" {
			text += "=" + examples[s.Name]
		}
		var o Options
		if err := SetSwitch(&o, text); err != nil || reflect.DeepEqual(o, Options{}) {
			t.Errorf("%s: got %v, and %v of the options changed", text, err, !reflect.DeepEqual(o, Options{}))
		}
		if s.Help == "" || s.Group == "" {
			t.Errorf("%s has no help or no group", s.Name)
		}
		bad := s.Name + "=" // no value is empty
		if s.Name == "token-omit" {
			bad = s.Name
		}
		if err := SetSwitch(&o, bad); err == nil || !strings.Contains(err.Error(), s.String()) {
			t.Errorf("%s: got %v, want an error with %s", bad, err, s)
		}
	}
	var o Options
	for text, want := range map[string]string{
		"nonsense":        `there is no "nonsense"`,
		"data=3:nonsense": `there is no kind "nonsense"`,
		"aadsts=1":        "it can be one of",
		"quota=-1":        "not a number above 0",
		"order=upwards":   "newest, oldest, shuffled",
		"data=0":          "neither a number of answers nor a share",
		"data=200%":       "neither a number of answers nor a share",
		"latency=-1s":     "less than nothing",
		"delays=-1h":      "less than nothing",
		"evolve=5":        "not a share from 0 to 1",
		"evolve=NaN":      "not a share from 0 to 1",
		"token-omit=foo":  `"foo" is none of token_type,`,
		"burst=x:1h:1h":   "not a number of rows",
		"burst=1:1h":      "invalid duration",
		"overload=10:503": "neither 500 nor 504",
		"link-life=1s:20": "not the status of an error",
		"identity=200":    "not the status of an error",
		"empty-page=1":    "no other page",
	} {
		if err := SetSwitch(&o, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	if err := SetSwitch(&o, "data=7:reset,bom"); err != nil || !reflect.DeepEqual(o.Faults, Faults{Every: 7, Kinds: []Fault{Reset, BOM}}) {
		t.Errorf("got %+v, %v", o.Faults, err)
	}
	if err := SetSwitch(&o, "data=2.5%:cut"); err != nil || !reflect.DeepEqual(o.Faults, Faults{Share: 0.025, Kinds: []Fault{Cut}}) {
		t.Errorf("got %+v, %v", o.Faults, err)
	}
	if err := SetSwitch(&o, "throttle=20:3s"); err != nil || o.Throttle != (Throttle{Every: 20, Pause: 3 * time.Second}) {
		t.Errorf("got %+v, %v", o.Throttle, err)
	}
}

// Times are given by how long ago they began; those of a burst follow each other.
func TestTimesOfSwitches(t *testing.T) {
	t.Parallel()
	var o Options
	began := time.Now()
	for _, text := range []string{"burst=0:2h:1h", "burst=250:30m:1h", "burst=9:-1h:1h", "incident=36h:3h:1h"} {
		if err := SetSwitch(&o, text); err != nil {
			t.Fatal(err)
		}
	}
	near := func(got time.Time, after time.Duration) bool {
		return !got.Before(began.Add(after)) && !got.After(time.Now().Add(after))
	}
	for i, want := range []struct {
		rate     float64
		from, to time.Duration
	}{{0, -2 * time.Hour, -time.Hour}, {250, -30 * time.Minute, 30 * time.Minute}, {9, time.Hour, 2 * time.Hour}} {
		if b := o.Rows.Bursts[i]; b.PerSecond != want.rate || !near(b.From, want.from) || !near(b.To, want.to) {
			t.Errorf("burst %d: got %+v", i, b)
		}
	}
	if n := o.Rows.Incidents[0]; n.Delay != 36*time.Hour || !near(n.From, -3*time.Hour) || !near(n.To, -2*time.Hour) {
		t.Errorf("got %+v", n)
	}
	if err := SetSwitch(&o, "burst=1:90m:1h"); err == nil {
		t.Error("a burst may begin within another")
	}
}

func TestEveryFaultIsDescribed(t *testing.T) {
	t.Parallel()
	for _, f := range AllFaults() {
		if f.Describe() == "" {
			t.Errorf("%s has no description", f)
		}
	}
}
