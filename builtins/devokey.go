package builtins

import (
	"crypto/sha256"
	"encoding/binary"

	"starling/engine"
)

// What a key is the hash of begins with the kind of key, and the tag, so that one record can go to
// two tables.
const (
	keyOfFields = 1
	keyOfBody   = 2
)

// fieldKey returns the hash of the key fields, and false if the record has none of them.
func (s *sender) fieldKey() (engine.Key, bool) {
	first := len(s.run.asked) - len(s.table.keys)
	some := false
	buf := s.keyPrefix(keyOfFields)
	for i := range s.table.keys {
		c := s.run.ask(first + i)
		if c.missing() {
			buf = append(buf, 0)
			continue
		}
		some = true
		text, ok := c.scalar()
		if !ok {
			text = string(c.appendTo(nil))
		}
		buf = appendSized(append(buf, 1), text)
	}
	return s.hash(buf), some
}

// bodyKey returns the hash of the event.
func (s *sender) bodyKey() engine.Key {
	return s.hash(append(s.keyPrefix(keyOfBody), s.body...))
}

func (s *sender) keyPrefix(kind byte) []byte {
	return appendSized(append(s.hashed[:0], kind), s.table.table.Tag)
}

func appendSized(buf []byte, text string) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(text))), text...)
}

func (s *sender) hash(buf []byte) engine.Key {
	s.hashed = buf
	sum := sha256.Sum256(buf)
	return engine.Key(sum[:16])
}
