package builtins

import (
	"encoding/hex"
	"fmt"
	"regexp"

	"starling/engine"
)

var idPattern = regexp.MustCompile(`^[A-Za-z0-9_@.-]{1,100}$`)

func (t *devoTable) setID(name string) error {
	if name == "" {
		return nil
	}
	if !idPattern.MatchString(name) {
		return fmt.Errorf("id: got %.80q, want the name of a field: letters, digits, \"_\", \"@\", \".\" and \"-\"", name)
	}
	t.id = `"` + name + `":"`
	return nil
}

// Ids are hashes of what no key is one of.
const (
	idOfKey    = 3
	idOfRecord = 4
)

// identify puts the id of the record in front of the event, where it stays if the event is cut. key
// is the hash of the record's key fields, if it is keyed; otherwise the record as it came counts, and not
// the event, in which a mapping may put what differs from pull to pull.
func (s *sender) identify(key engine.Key, keyed bool) {
	if s.table.id == "" {
		return
	}
	var buf []byte
	if keyed {
		buf = append(appendSized(s.keyPrefix(idOfKey), s.pull.Collector()), key[:]...)
	} else {
		buf = append(appendSized(s.keyPrefix(idOfRecord), s.pull.Collector()), s.run.json.raw()...)
	}
	id := s.hash(buf)
	s.putInFront(s.table.id, hex.EncodeToString(id[:]))
}
