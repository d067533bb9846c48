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
		"retention": "30", "retired": "410", "paging": "offset", "empty-page": "3", "repeat-link": "5", "foreign-link": "5", "link-life": "1m", "principal": "2h",
		"token-life": "1m", "revoke": "9", "aadsts": "7000222", "token-omit": "expires_in,token_type"}
	for _, s := range Switches() {
		text := s.Name
		if s.Value != "" {
			text += "=" + examples[s.Name]
		}
		var o Options
		if err := SetSwitch(&o, text); err != nil || reflect.DeepEqual(o, Options{}) {
			t.Errorf("%s: got %v, and %v of the options changed", text, err, !reflect.DeepEqual(o, Options{}))
		}
		if s.Help == "" {
			t.Errorf("%s has no help", s.Name)
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
	} {
		if err := SetSwitch(&o, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	if err := SetSwitch(&o, "data=7:reset,bom"); err != nil || !reflect.DeepEqual(o.Faults, Faults{Every: 7, Kinds: []Fault{Reset, BOM}}) {
		t.Errorf("got %+v, %v", o.Faults, err)
	}
	if err := SetSwitch(&o, "throttle=20:3s"); err != nil || o.Throttle != (Throttle{Every: 20, Pause: 3 * time.Second}) {
		t.Errorf("got %+v, %v", o.Throttle, err)
	}
}
