package engine

import (
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestNewSettings(t *testing.T) {
	t.Parallel()
	s := NewSettings(map[string]any{"text": "x", "date": "2023-01-01", "int": 5, "float": 1.5, "bool": true, "nothing": nil,
		"list": []string{"a", "b"}, "map": map[string]any{"k": 1}})
	for key, want := range map[string]any{"text": "x", "date": "2023-01-01", "int": int64(5), "float": 1.5, "bool": true} {
		if v, ok := s.Lookup(key); !ok || v.Go() != want {
			t.Errorf("%s: got %v, want %v", key, v.Go(), want)
		}
	}
	if v, ok := s.Lookup("nothing"); ok || v.Go() != nil {
		t.Errorf("got %v, want a key without a value to be absent", v.Go())
	}
	if v, _ := s.Lookup("list"); len(v.Go().([]any)) != 2 {
		t.Errorf("got list %v", v.Go())
	}
	if v, _ := s.Lookup("map"); v.Go().(map[string]any)["k"] != int64(1) {
		t.Errorf("got map %v", v.Go())
	}
	if v, _ := s.Lookup("int"); v.Errorf("got %d", 5).Error() != "settings: int: got 5" {
		t.Errorf("got %q", v.Errorf("got %d", 5))
	}
	if err := s.Unknown(); err != nil {
		t.Errorf("got %v, want nil: every key was looked up", err)
	}
	if err := s.Fresh().Unknown(); err == nil || strings.Count(err.Error(), "\n") != 7 {
		t.Errorf("got %v, want all eight keys unknown to a fresh copy", err)
	}
	if v, ok := NewSettings(nil).Lookup("x"); ok || v.Go() != nil {
		t.Error("found something in nothing")
	}
}

func TestValueOfAbsentKeyHasThePlaceOfItsService(t *testing.T) {
	t.Parallel()
	s := settingsOf(t, "    services:\n      a: {}\n")[0]
	v, ok := s.Lookup("tenant_id")
	if ok {
		t.Fatal("found")
	}
	err := v.Errorf("is missing")
	if got, want := err.Error(), "config.yaml:9:7: tenant_id: is missing"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if CodeOf(err, "") != CodeConfig {
		t.Errorf("got code %q, want config", CodeOf(err, ""))
	}
}

// settingsOf returns the settings of the collectors of one enabled input, which ends in rest.
func settingsOf(t *testing.T, rest string) []*Settings {
	t.Helper()
	c, err := readConfig("config.yaml", []byte(`globals: {id: 1, name: emt}
outputs:
  console_1: {type: console}
inputs:
  mail:
    id: 1
    enabled: true
`+rest), lookupIn(map[string]string{"DIGITS": "0123", "PORT": "514", "YES": "true", "EMPTY": ""}))
	if err != nil {
		t.Fatal(err)
	}
	var all []*Settings
	for _, collector := range c.Collectors {
		all = append(all, collector.Settings)
	}
	return all
}

func TestUnknownSettings(t *testing.T) {
	t.Parallel()
	s := settingsOf(t, `    environment: prod
    window: 1
    credentials:
      tenantid: x
    services:
      a:
        wndow: 2
        enabled: true
`)[0]
	s.Lookup("window")
	s.Lookup("tenant_id")
	want := `config.yaml:11:7: inputs.mail.credentials.tenantid: unknown key, did you mean "tenant_id"?
config.yaml:14:9: inputs.mail.services.a.wndow: unknown key, did you mean "window"?`
	if got := errorText(s.Unknown()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if v, _ := s.Lookup("environment"); v.Go() != "prod" {
		t.Errorf("got environment %v, want prod: scripts may read it", v.Go())
	}
}

func sorted(keys []string, more ...string) string {
	return strings.Join(slices.Sorted(slices.Values(slices.Concat(keys, more))), ", ")
}

// TestUnknownSettingsAreComparedWithTheKeysOfTheEngine tries typing mistakes in keys that no script declares.
func TestUnknownSettingsAreComparedWithTheKeysOfTheEngine(t *testing.T) {
	t.Parallel()
	s := settingsOf(t, `    request_limits: []
    credentials: {request_period_in_second: 5}
    services:
      a: {request_period_in_second: 5, enable: false}
`)[0]
	s.Lookup("window")
	want := `config.yaml:8:5: inputs.mail.request_limits: unknown key, did you mean "requests_limits"?
config.yaml:9:19: inputs.mail.credentials.request_period_in_second: unknown key, known are window
config.yaml:11:11: inputs.mail.services.a.request_period_in_second: unknown key, did you mean "request_period_in_seconds"?
config.yaml:11:40: inputs.mail.services.a.enable: unknown key, did you mean "enabled"?`
	if got := errorText(s.Unknown()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSharedKeysAreKnownWhenAnyServiceDeclaresThem(t *testing.T) {
	t.Parallel()
	all := settingsOf(t, `    only_a: 1
    only_b: 1
    nobody: 1
    services:
      b: {}
      a: {own: 1}
      c: {enabled: false}
`)
	if len(all) != 2 {
		t.Fatalf("got %d collectors, want 2", len(all))
	}
	a, b := all[0], all[1]
	a.Lookup("only_a")
	b.Lookup("only_b")
	if got, want := errorText(a.Unknown()), "config.yaml:13:11: inputs.mail.services.a.own: unknown key, known are "+sorted(serviceKeys, "only_a"); got != want {
		t.Errorf("got %q, want %q: keys that b may declare have to wait for b", got, want)
	}
	if got, want := errorText(b.Unknown()), "config.yaml:10:5: inputs.mail.nobody: unknown key, known are "+sorted(inputKeys, "only_a", "only_b"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	again := a.Fresh() // a new version of its script, which has forgotten only_a
	again.Lookup("own")
	if got := errorText(again.Unknown()); !strings.Contains(got, "inputs.mail.only_a: unknown key") || !strings.Contains(got, "inputs.mail.nobody") {
		t.Errorf("got %q, want only_a and nobody unknown", got)
	}
}

func TestSettingsFromTheEnvironment(t *testing.T) {
	t.Parallel()
	s := settingsOf(t, `    digits: ${DIGITS}
    port: ${PORT}
    quoted: "${PORT}"
    mixed: 1${PORT}
    yes: ${YES}
    empty: ${EMPTY:-}
    client_secret: ${PORT}
    default: ${NONE:-1.5}
    literal: 514
    services: {a: {}}
`)[0]
	for key, want := range map[string]struct {
		value  any
		text   string
		isText bool
	}{
		"digits":        {"0123", "0123", true},
		"port":          {int64(514), "514", true},
		"quoted":        {"514", "514", true},
		"mixed":         {"1514", "1514", true},
		"yes":           {true, "true", true},
		"empty":         {"", "", true},
		"client_secret": {"514", "514", true},
		"default":       {1.5, "1.5", true},
		"literal":       {int64(514), "514", false},
	} {
		v, ok := s.Lookup(key)
		if !ok || v.Go() != want.value {
			t.Errorf("%s: got %#v, want %#v", key, v.Go(), want.value)
		}
		if text, isText := v.Text(); isText != want.isText || (isText && text != want.text) {
			t.Errorf("%s: got text %q %t, want %q %t", key, text, isText, want.text, want.isText)
		}
	}
}

func TestSettingsMayBeReadFromSeveralGoroutines(t *testing.T) {
	t.Parallel()
	all := settingsOf(t, "    x: 1\n    services: {a: {}, b: {}}\n")
	var wg sync.WaitGroup
	for range 4 {
		for _, s := range all {
			wg.Go(func() {
				s.Lookup("x")
				if err := s.Fresh().Unknown(); err != nil && !strings.Contains(err.Error(), "inputs.mail.x") {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
}
