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
	Group string // what it is about
	Name  string
	Value string // form of its value; empty if it takes none
	Help  string

	set func(o *Options, value string) error
}

// Switches lists what SetSwitch knows, group by group.
func Switches() []Switch {
	var all []Switch
	for _, group := range []struct {
		name     string
		switches []Switch
	}{
		{"what goes wrong", faultSwitches()},
		{"quotas", quotaSwitches()},
		{"the mail", rowSwitches()},
		{"the report", reportSwitches()},
		{"Graph", graphSwitches()},
		{"permissions and the sign-in", tokenSwitches()},
	} {
		for _, s := range group.switches {
			s.Group = group.name
			all = append(all, s)
		}
	}
	return all
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

// parseFaults reads N or P%, and kinds after a colon.
func parseFaults(v string) (f Faults, err error) {
	every, list, given := strings.Cut(v, ":")
	if percent, is := strings.CutSuffix(every, "%"); is {
		f.Share, err = strconv.ParseFloat(percent, 64)
		f.Share /= 100
	} else {
		f.Every, err = strconv.Atoi(every)
	}
	if err != nil || f.Every < 0 || !(f.Share >= 0 && f.Share <= 1) || f.Every == 0 && f.Share == 0 {
		return Faults{}, fmt.Errorf("%q is neither a number of answers nor a share of them", every)
	}
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

func setThrottle(o *Options, v string) (err error) {
	every, pause, given := strings.Cut(v, ":")
	o.Throttle.Pause = time.Second
	if given {
		if o.Throttle.Pause, err = duration(pause); err != nil {
			return err
		}
	}
	return count(func(o *Options, n int) { o.Throttle.Every = n })(o, every)
}

// count, length, plain and choice make setters out of what is done with a good value.

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
		d, err := duration(v)
		if err == nil {
			do(o, d)
		}
		return err
	}
}

// duration reads a time that does not run backwards.
func duration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err == nil && d < 0 {
		err = fmt.Errorf("%q is less than nothing", v)
	}
	return d, err
}

// plain makes a switch without a value.
func plain(do func(*Options)) func(*Options, string) error {
	return func(o *Options, _ string) error { do(o); return nil }
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
