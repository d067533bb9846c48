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
func (w *drafter) fieldKey() (engine.Key, bool) {
	return w.keyOfFirst(keyOfFields, len(w.run.asked)-w.firstKey())
}

// keyOf returns the hash of the first n of the fields that tell records apart.
func (w *drafter) keyOf(kind byte, n int) (engine.Key, error) {
	key, _ := w.keyOfFirst(kind, n)
	return key, w.run.err
}

// firstKey is where the fields of the key begin in what is asked of a record.
func (w *drafter) firstKey() int {
	if w.table.at != nil {
		return 1
	}
	return 0
}

func (w *drafter) keyOfFirst(kind byte, n int) (engine.Key, bool) {
	first := w.firstKey()
	some := false
	buf := w.keyPrefix(kind)
	for i := range n {
		c := w.run.ask(first + i)
		if c.missing() {
			buf = append(buf, 0)
			continue
		}
		some = some || i < len(w.table.keys)
		text, ok := c.scalar()
		if !ok {
			text = string(c.appendTo(nil))
		}
		buf = appendSized(append(buf, 1), text)
	}
	return w.hash(buf), some
}

// bodyKey returns the hash of an event.
func (w *drafter) bodyKey(body []byte) engine.Key {
	return w.hash(append(w.keyPrefix(keyOfBody), body...))
}

func (w *drafter) keyPrefix(kind byte) []byte {
	return appendSized(append(w.hashed[:0], kind), w.table.table.Tag)
}

func appendSized(buf []byte, text string) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(text))), text...)
}

func (w *drafter) hash(buf []byte) engine.Key {
	w.hashed = buf
	sum := sha256.Sum256(buf)
	return engine.Key(sum[:16])
}
