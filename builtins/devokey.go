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
	keyOfRecord = 5 // without what tells versions of it apart
	keyOfStatus = 6 // with the status
)

// fieldKey returns the hash of the key fields, and false if the record has none of them.
func (s *sender) fieldKey() (engine.Key, bool) {
	return s.keyOfFirst(keyOfFields, len(s.run.asked)-s.firstKey())
}

// keyOf returns the hash of the first n of the fields that tell records apart.
func (s *sender) keyOf(kind byte, n int) (engine.Key, error) {
	key, _ := s.keyOfFirst(kind, n)
	return key, s.run.err
}

// firstKey is where the fields of the key begin in what is asked of a record.
func (s *sender) firstKey() int {
	if s.table.at != nil {
		return 1
	}
	return 0
}

func (s *sender) keyOfFirst(kind byte, n int) (engine.Key, bool) {
	first := s.firstKey()
	some := false
	buf := s.keyPrefix(kind)
	for i := range n {
		c := s.run.ask(first + i)
		if c.missing() {
			buf = append(buf, 0)
			continue
		}
		some = some || i < len(s.table.keys)
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
