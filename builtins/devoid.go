package builtins

import (
	"encoding/hex"
	"fmt"
	"regexp"
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

// appendID appends the id of a record. The hash of its key fields counts, if it has any; otherwise the record as
// it came, and not the event, in which a mapping may put what differs from pull to pull.
func (s *sender) appendID(dst []byte, d *draft) []byte {
	var buf []byte
	if d.keyed {
		buf = append(appendSized(s.keyPrefix(idOfKey), s.pull.Collector()), d.key[:]...)
	} else {
		buf = append(appendSized(s.keyPrefix(idOfRecord), s.pull.Collector()), s.doc(d).raw()...)
	}
	id := s.hash(buf)
	return hex.AppendEncode(dst, id[:])
}
