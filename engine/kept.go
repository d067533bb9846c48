package engine

import (
	"context"
	"encoding/json"
	"maps"
	"time"
)

// keptBy is what owns values that Pull.Keep keeps; it stands where cursors have the key of a collector,
// which has slashes in it.
const keptBy = "kept"

// keepFor is how long Keep waits for room on the disk.
const keepFor = 10 * time.Second

// Kept returns what was kept under name, by any collector, and whether there is something.
func (p *Pull) Kept(name string) (json.RawMessage, bool, error) {
	return p.env.Store.Cursor(keptBy, name)
}

// Keep makes a value durable at once, beside the pull's commits: for what is lost if it has to wait for
// one, such as a credential that the other side has replaced. All collectors share the names, so put
// the name of the builtin in front. The value is readable in the state directory: encrypt what is
// secret. It has the size of a cursor at most. Keep goes on for a while when the pull must end.
func (p *Pull) Keep(name string, value json.RawMessage) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), keepFor)
	defer cancel()
	return p.env.Store.submit(ctx, keptBy, staging{cursors: map[string]json.RawMessage{name: value}})
}

// KeepsForGood reports whether what is kept outlives the process.
func (p *Pull) KeepsForGood() bool { return p.env.Store.dir != "" }

func (s *Store) kept() (map[string]json.RawMessage, error) {
	all, err := s.Cursors()
	return all[keptBy], err
}

// returnKept copies what a pull in memory has kept into the state directory: such a pull leaves no other
// trace there, but what it keeps has replaced what is there.
func returnKept(config *Config, before map[string]json.RawMessage, memory *Store) error {
	now, err := memory.kept()
	same := maps.EqualFunc(before, now, func(a, b json.RawMessage) bool { return string(a) == string(b) })
	if err != nil || same || config.StateDir == "" {
		return err
	}
	state, err := OpenStore(config.StateDir, config.Limits.WithDefaults().OutboxBytes)
	if err != nil {
		return err
	}
	defer state.Close()
	return state.submit(context.Background(), keptBy, staging{cursors: now})
}
