package lsp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"starling/engine"
)

// A Check loads scripts as starling check does, and returns what is wrong with those that are open, by their files, and remarks for the
// client's log, such as that a configuration cannot be read. open are texts by absolute file, config the configuration that the client
// names, or "". It ends soon when ctx does.
type Check func(ctx context.Context, config string, open map[string][]byte) (found map[string][]Mistake, remarks []string)

// A Mistake is what is wrong at a line, which counts from 1.
type Mistake struct {
	Line int
	Text string
}

// checkTimeout bounds how long all scripts that a client has open are loaded.
const checkTimeout = 30 * time.Second

// A checker runs checks beside the answers to the client, which never wait for one. The server's lock guards its fields.
type checker struct {
	check   Check
	config  string
	turn    chan struct{}      // holds one: a check begins when the one before it is over
	cancel  context.CancelFunc // of the latest check
	running sync.WaitGroup
	found   map[string][]Mistake
	remarks []string
}

func newChecker(check Check) *checker {
	return &checker{check: check, turn: make(chan struct{}, 1), cancel: func() {}}
}

// recheck begins a check of the documents as they are now. What is under way is for nothing: it ends.
func (s *server) recheck() {
	c := s.checker
	if c.check == nil {
		return
	}
	c.cancel()
	open, config := map[string][]byte{}, c.config
	for _, d := range s.open {
		if filepath.IsAbs(d.file) && strings.HasSuffix(d.file, ".star") && len(d.text) <= engine.MaxScriptFile && !s.own(d.file) {
			open[d.file] = d.text
		}
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), checkTimeout, fmt.Errorf("the scripts together ran longer than %v", checkTimeout))
	c.cancel = cancel
	c.running.Go(func() {
		defer cancel()
		select {
		case c.turn <- struct{}{}:
			defer func() { <-c.turn }()
		case <-ctx.Done():
			return
		}
		found, remarks := c.run(ctx, config, open)
		s.mu.Lock()
		defer s.mu.Unlock()
		if !errors.Is(ctx.Err(), context.Canceled) {
			s.checked(found, remarks)
		}
	})
}

// run runs a check. No panic of it ends the server.
func (c *checker) run(ctx context.Context, config string, open map[string][]byte) (found map[string][]Mistake, remarks []string) {
	defer func() {
		if r := recover(); r != nil {
			found, remarks = nil, []string{fmt.Sprintf("starling check: a mistake of the program: %v", r)}
		}
	}()
	return c.check(ctx, config, open)
}

// checked tells the client what is other than before.
func (s *server) checked(found map[string][]Mistake, remarks []string) {
	before := s.checker.found
	s.checker.found = found
	for _, d := range s.open {
		if !slices.Equal(before[d.file], found[d.file]) {
			s.publish(d)
		}
	}
	for _, text := range remarks {
		if !slices.Contains(s.checker.remarks, text) {
			s.notify("window/logMessage", map[string]any{"type": 2, "message": text})
		}
	}
	s.checker.remarks = remarks
}

// end ends the checks, and waits for them: no longer than a moment, as the program ends then anyway.
func (s *server) end() {
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.mu.Lock() // whoever holds it may be writing to a client that does not read
		s.checker.cancel()
		s.mu.Unlock()
		s.checker.running.Wait()
	}()
	select {
	case <-over:
	case <-time.After(time.Second):
	}
}

// loadErrors are what loading a document has found, unless its line has an error already.
func (s *server) loadErrors(d *document, told map[int]bool) []any {
	var all []any
	for _, m := range s.checker.found[d.file] {
		if told[m.Line] {
			continue
		}
		text := line(d.text, m.Line-1)
		first := len([]rune(text)) - len([]rune(strings.TrimLeft(text, " \t"))) + 1
		all = append(all, diagnostic(1, "check", m.Text, Range{toPosition(d.text, m.Line, first), toPosition(d.text, m.Line, len([]rune(text))+1)}))
	}
	return all
}

// initialize reads which configuration the client wants: its initialization option config, relative to the folder that is open.
func (s *server) initialize(data json.RawMessage) {
	var p struct {
		RootURI               string `json:"rootUri"`
		InitializationOptions struct {
			Config string `json:"config"`
		} `json:"initializationOptions"`
	}
	if json.Unmarshal(data, &p) != nil || p.InitializationOptions.Config == "" {
		return
	}
	s.checker.config = p.InitializationOptions.Config
	if root := fileOf(p.RootURI); !filepath.IsAbs(s.checker.config) && filepath.IsAbs(root) {
		s.checker.config = filepath.Join(root, s.checker.config)
	}
}
