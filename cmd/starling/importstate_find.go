package main

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"starling/cmd/internal/pickle"
	"starling/engine"
)

// devoService is the service of Devo's collector for the message trace, the only one it has, and
// devoDelay how far behind it stays unless it is told otherwise.
const (
	devoService = "office365_exchange_message_service"
	devoDelay   = 25 * time.Hour
)

// An importTarget is a collector of the configuration that may have had state with Devo's.
type importTarget struct {
	input, id, service string
	delay              time.Duration // how far behind Devo's stays
	period             time.Duration // between its pulls
}

func (t importTarget) key() string {
	return engine.CollectorConfig{Input: t.input, ID: t.id, Service: t.service}.Key()
}

func targetNames(targets []importTarget) []string {
	var names []string
	for _, t := range targets {
		names = append(names, t.key())
	}
	return names
}

// importTargets returns the collectors of a configuration.
func importTargets(config *engine.Config) []importTarget {
	var all []importTarget
	for _, c := range config.Collectors {
		t := importTarget{input: c.Input, id: c.ID, service: c.Service, period: c.Period}
		if strings.HasPrefix(c.Service, "office365_exchange_message_") {
			t.delay = devoDelay
			for _, key := range []string{"override_delay_in_seconds", "override_time_delay_in_seconds"} {
				v, _ := c.Settings.Lookup(key)
				if seconds, err := strconv.ParseUint(fmt.Sprint(v.Go()), 10, 31); err == nil {
					t.delay = time.Duration(seconds) * time.Second
				}
			}
		}
		all = append(all, t)
	}
	return all
}

// chosenTargets returns the one that is named, all without a name.
func chosenTargets(all []importTarget, args []string) ([]importTarget, error) {
	if len(args) == 0 {
		return all, nil
	}
	chosen := slices.DeleteFunc(slices.Clone(all), func(t importTarget) bool { return t.key() != args[0] && t.service != args[0] })
	if len(chosen) != 1 {
		return nil, usage("which collector is %q? There are: %s", args[0], strings.Join(targetNames(all), ", "))
	}
	return chosen, nil
}

// importState is what was found of one collector.
type importState struct {
	Collector string          `json:"collector"`
	File      string          `json:"file"`               // its name, also if it is not there
	StateOf   string          `json:"state_of,omitempty"` // the service that it is of, if it is another one
	Bytes     int64           `json:"bytes"`
	Written   *time.Time      `json:"written,omitempty"`
	Problem   string          `json:"problem,omitempty"` // why nothing is known of it
	State     any             `json:"state,omitempty"`   // without secrets
	Times     []importPlace   `json:"times"`
	Choice    *importPlace    `json:"choice,omitempty"` // where to go on
	Window    json.RawMessage `json:"window,omitempty"` // where it goes on already
	Set       bool            `json:"set"`
	Do        string          `json:"do"`

	lines []string // State, for people
}

// stateFile is the name of the file in which Devo's collectors keep the state of a service.
func stateFile(input, id, service string) string {
	sum := md5.Sum([]byte(input + ";" + id + ";" + service + ";None"))
	return hex.EncodeToString(sum[:])
}

// stateFiles returns the names in folder that are such as Devo's collectors use.
func stateFiles(folder string) (map[string]bool, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("%w; name the folder state of the old collector", err)
	}
	files := map[string]bool{}
	for _, e := range entries {
		if raw, err := hex.DecodeString(e.Name()); err == nil && len(raw) == md5.Size && !e.IsDir() {
			files[e.Name()] = true
		}
	}
	return files, nil
}

// find returns which file has the state of a collector, and takes it from files. One whose service is
// new goes on where Devo's own one ended, unless that is configured, too.
func (t importTarget) find(folder string, all []importTarget, files map[string]bool) *importState {
	s := &importState{Collector: t.key(), File: stateFile(t.input, t.id, t.service), Times: []importPlace{}}
	old := stateFile(t.input, t.id, devoService)
	taken := slices.ContainsFunc(all, func(o importTarget) bool { return o.input == t.input && o.id == t.id && o.service == devoService })
	if !files[s.File] && files[old] && !taken && strings.HasPrefix(t.service, "office365_exchange_message_") {
		s.File, s.StateOf = old, devoService
	}
	if !files[s.File] {
		s.Problem = "there is no file " + s.File + " in " + folder + ": it is named after input, id and service, which must be those of the old collector; or that one never pulled, or kept its state elsewhere"
	}
	delete(files, s.File)
	return s
}

// read reads the file, and finds the times in it.
func (s *importState) read(folder string, t importTarget, now time.Time) {
	if s.Problem != "" {
		s.Do = "choose where to go on with --from: " + newestOfDevo
		return
	}
	data, info, err := readState(filepath.Join(folder, s.File))
	var value any
	if info != nil {
		written := info.ModTime().UTC().Truncate(time.Second)
		s.Bytes, s.Written = info.Size(), &written
	}
	if err == nil {
		value, err = pickle.Read(data)
	}
	dict, isDict := value.(*pickle.Dict)
	if err == nil && !isDict {
		err = fmt.Errorf("it holds %s, and not the dict that state is", kindOf(value))
	}
	if err != nil {
		s.Problem = fmt.Sprintf("cannot be read: %v", err)
		s.Do = "choose where to go on with --from: " + newestOfDevo
		if s.Written != nil {
			s.Do += fmt.Sprintf(", or, if the date of the file is when it was written, and the collector was not late then, --from %s, which is %s before and may repeat some hours",
				rfc(s.Written.Add(-t.behind()).Truncate(time.Minute)), ageText(t.behind().Round(time.Minute)))
		}
		return
	}
	shown := showState(dict)
	s.State, s.lines = shown, stateLines(dict)
	latest := s.Written.Add(-t.delay).Add(time.Minute)
	s.Times = append(s.Times, timesOf(dict, latest, now)...)
	s.Do = "no value of it is sure to be the end of what was pulled; choose a time with --from: " + newestOfDevo
	if slices.ContainsFunc(s.Times, func(p importPlace) bool { return p.Likely != doubtful }) {
		s.Do = "several values are times: choose one with --key, or any time with --from. The earliest misses nothing, and what was sent after it comes twice"
	}
}

// newestOfDevo says how to find out what no file tells.
const newestOfDevo = "the time of the newest event that Devo has from the old collector, less an hour, so that nothing is missed"

// behind is how long before a file was written the pulls had ended that it tells of, at most, for a
// collector that is not late.
func (t importTarget) behind() time.Duration { return t.delay + 2*t.period + time.Hour }

// readState reads a file of state, if it is one that can be.
func readState(name string) ([]byte, os.FileInfo, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, nil, err
	case !info.Mode().IsRegular():
		return nil, info, errors.New("it is no regular file")
	case info.Size() > pickle.MaxBytes:
		return nil, info, fmt.Errorf("%d bytes are more than state has", info.Size())
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, info, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, pickle.MaxBytes))
	return data, info, err
}

// An otherFile is one that belongs to no collector of the configuration.
type otherFile struct {
	File    string    `json:"file"`
	Bytes   int64     `json:"bytes"`
	Written time.Time `json:"written"`
	Holds   string    `json:"holds"`
}

// otherFiles looks at what is left of files.
func otherFiles(folder string, files map[string]bool) []otherFile {
	all := []otherFile{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		o := otherFile{File: name}
		data, info, err := readState(filepath.Join(folder, name))
		if info != nil {
			o.Bytes, o.Written = info.Size(), info.ModTime().UTC().Truncate(time.Second)
		}
		var value any
		if err == nil {
			value, err = pickle.Read(data)
		}
		if o.Holds = kindOf(value); err != nil {
			o.Holds = fmt.Sprintf("cannot be read: %v", err)
		}
		all = append(all, o)
	}
	return all
}
