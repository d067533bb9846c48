package sim

import (
	"bytes"
	"encoding/json"
	"hash/maphash"
	"iter"
)

// tally counts identities by a 128-bit hash, so that millions of them need some 40 bytes each.
type tally struct {
	seeds [2]maphash.Seed
	seen  map[[2]uint64]uint32
	more  int // sightings after the first

	newest   string // stamp of the newest event so far
	disorder int    // first sightings that are older than an event before them
}

func newTally() tally {
	return tally{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, seen: map[[2]uint64]uint32{}}
}

func (t *tally) key(identity string) [2]uint64 {
	return [2]uint64{maphash.String(t.seeds[0], identity), maphash.String(t.seeds[1], identity)}
}

func (t *tally) add(identity string, stamp []byte) {
	k := t.key(identity)
	n := t.seen[k]
	t.seen[k] = n + 1
	switch {
	case n > 0:
		t.more++
	case string(stamp) < t.newest: // stamps sort as text
		t.disorder++
	default:
		t.newest = string(stamp)
	}
}

// compare holds what was counted against the truth, in which every identity comes once.
func (t *tally) compare(truth iter.Seq[string]) (missing, extra, duplicates int) {
	found := 0
	for identity := range truth {
		if t.seen[t.key(identity)] > 0 {
			found++
		} else {
			missing++
		}
	}
	return missing, len(t.seen) - found, t.more
}

// TraceIdentity is the identity of a message trace event: the values of MessageTraceId and RecipientAddress joined by "|", in
// lower case, as [Row.Identity] writes it. It is empty when the event lacks one. The scan is exact on valid JSON of one level: a
// quote inside a text is escaped, so a key cannot be found there.
func TraceIdentity(event []byte) string {
	trace, ok := textOf(event, `"MessageTraceId"`)
	if !ok {
		return ""
	}
	recipient, ok := textOf(event, `"RecipientAddress"`)
	if !ok {
		return ""
	}
	return identity(trace, recipient)
}

// textOf finds the text that belongs to a key, given with its quotes.
func textOf(event []byte, key string) (string, bool) {
	for {
		i := bytes.Index(event, []byte(key))
		if i < 0 {
			return "", false
		}
		event = event[i+len(key):]
		rest := bytes.TrimLeft(event, " ")
		if len(rest) == 0 || rest[0] != ':' { // the text of another key
			continue
		}
		rest = bytes.TrimLeft(rest[1:], " ")
		if len(rest) == 0 || rest[0] != '"' {
			return "", false
		}
		return unquote(rest)
	}
}

// unquote reads the JSON text at the start of b.
func unquote(b []byte) (string, bool) {
	escaped := false
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			if !escaped {
				return string(b[1:i]), true
			}
			var s string
			err := json.Unmarshal(b[:i+1], &s)
			return s, err == nil
		}
	}
	return "", false
}
