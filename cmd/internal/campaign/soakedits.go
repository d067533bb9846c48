package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"starling/engine"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// stream is a source of draws of its own, for what runs beside the rest.
func (r *round) stream(n uint64) *rand.Rand { return rand.New(rand.NewPCG(r.seed, n)) }

func (k *soaker) copyScripts(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, k.Starling, "scripts", "copy", k.scripts).CombinedOutput()
	if err != nil {
		return fmt.Errorf("copy the scripts: %w: %s", err, out)
	}
	return nil
}

// nearSide kills, restarts and edits.
func (k *soaker) nearSide(ctx context.Context) error {
	random := k.stream(2)
	script := filepath.Join(k.scripts, "office365_exchange_message_service.star")
	config := k.world.ConfigFile()
	goodScript, err := os.ReadFile(script)
	if err != nil {
		return err
	}
	goodConfig, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	n := 0
	replace := func(text []byte, old, new string) string {
		if !strings.Contains(string(text), old) {
			panic(fmt.Sprintf("the text to edit does not contain %q", old))
		}
		n++
		return strings.Replace(string(text), old, new, 1) + fmt.Sprintf("\n# edit %d\n", n)
	}
	deeds := []struct {
		kind string
		do   func() error
	}{
		{"collector killed", func() error { return errors.Join(k.collector.kill(), k.again()) }},
		{"collector restarted", func() error { return errors.Join(k.collector.stop(), k.again()) }},
		{"good script", func() error { return k.accepted(ctx, script, "script", replace(goodScript, "", "")) }},
		{"good configuration", func() error {
			return k.accepted(ctx, config, "config", replace(goodConfig, "request_period_in_seconds: 1\n", fmt.Sprintf("request_period_in_seconds: %d\n", 1+n%2)))
		}},
		{"broken script", func() error {
			b := brokenScripts()[random.IntN(len(brokenScripts()))]
			return k.refused(ctx, script, "script", replace(goodScript, b[0], b[1]), goodScript)
		}},
		{"broken configuration", func() error {
			b := brokenConfigs()[random.IntN(len(brokenConfigs()))]
			return k.refused(ctx, config, "config", replace(goodConfig, b[0], b[1]), goodConfig)
		}},
		{"certificate renewed", func() error {
			if err := errors.Join(k.collector.ready(), k.world.Certs.Renew()); err != nil {
				return err
			}
			saved := time.Now()
			if err := k.world.Certs.Write(k.world.CertsDir()); err != nil {
				return err
			}
			return k.outcome(ctx, "certificate", saved)
		}},
		{"SIGHUP", func() error { return k.collector.hangup() }},
	}
	for k.running(ctx) {
		wait(ctx, 500*time.Millisecond+time.Duration(random.Int64N(int64(4*time.Second))))
		from := 2 // only edits
		if k.first() {
			from = 0
		}
		deed := deeds[from+random.IntN(len(deeds)-from)]
		if err := deed.do(); err != nil {
			return fmt.Errorf("%s: %w", deed.kind, err)
		}
		if err := k.collector.alive(); err != nil {
			return fmt.Errorf("after %s: %w", deed.kind, err)
		}
		k.hit(deed.kind)
	}
	return nil
}

// brokenScripts are texts of the script and what they become.
func brokenScripts() [][2]string {
	return [][2]string{
		{"def pull():", "def pull(:"},
		{"timeout = timeout,", "timeout = undefined_name,"},
		{"days_back_setting()", "days_back_setting() // 0"},
		{`path = "/ecp`, `pth = "/ecp`},
		{`load("lib/message_trace.star"`, `load("lib/mesage_trace.star"`},
		{`"Accept": "application/json"`, `"Accept": "text/html"`}, // its test fails
	}
}

// brokenConfigs are texts of the configuration and what they become.
func brokenConfigs() [][2]string {
	return [][2]string{
		{"request_period_in_seconds: 1\n", "request_period_in_seconds: often\n"},
		{"    credentials:\n", "    credentals:\n"},
		{"inputs:\n", "inputs: [\n"},
		{"cert: demo.crt", "cert: missing.crt"},
	}
}

// accepted saves a text that works and waits until it is in use.
func (k *soaker) accepted(ctx context.Context, file, kind, text string) error {
	if err := k.collector.ready(); err != nil { // a start that has begun may read the old one or the new one
		return err
	}
	saved := time.Now()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	return k.outcome(ctx, kind, saved)
}

// refused saves a text that does not work, waits until that is noticed, and mends it.
func (k *soaker) refused(ctx context.Context, file, kind, text string, good []byte) error {
	if err := k.collector.ready(); err != nil { // a start would refuse it, rightly
		return err
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	err := k.until(ctx, "the refusal of a "+kind, func(s engine.Status) bool { return refusals(s, kind) > 0 })
	if err := errors.Join(err, os.WriteFile(file, good, 0o600)); err != nil {
		return err
	}
	return k.until(ctx, "the "+kind+" to be mended", func(s engine.Status) bool { return refusals(s, kind) == 0 })
}

func refusals(s engine.Status, kind string) (n int) {
	for _, r := range s.Reloads {
		if r.Kind == kind && r.Error != "" {
			n++
		}
	}
	return n
}

// outcome waits until what was saved at a moment is in use: reloaded, or read by a start.
func (k *soaker) outcome(ctx context.Context, kind string, saved time.Time) error {
	return k.until(ctx, "the reload of a "+kind, func(s engine.Status) bool {
		fresh := func(r engine.ReloadStatus) bool { return r.Kind == kind && r.When.After(saved) && r.Error == "" }
		return s.Started.After(saved) || slices.ContainsFunc(s.Reloads, fresh)
	})
}

// until waits until the status is as ok wants.
func (k *soaker) until(ctx context.Context, what string, ok func(engine.Status) bool) error {
	var last engine.Status
	told := func() bool {
		s, err := k.status(ctx)
		if err != nil {
			return k.collector.alive() != nil
		}
		last = s
		return ok(s)
	}
	if !poll(ctx, standstill, told) && ctx.Err() == nil {
		return fmt.Errorf("waited in vain for %s: %+v", what, last.Reloads)
	}
	return k.collector.alive()
}

func (k *soaker) status(ctx context.Context) (s engine.Status, err error) {
	body, err := get(ctx, k.url+"/status")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(body, &s)
}
