package engine

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
	"go.opentelemetry.io/otel/trace"
)

// groupLimit bounds how many commits share one transaction and so one sync of the disk.
const groupLimit = 64

var errStoreClosed = errors.New("the store is closed")

// commit makes c durable and returns when it is. It waits while the outbox or the disk is full: the API
// keeps the data meanwhile.
func (s *Store) commit(ctx context.Context, c *commitRequest) error {
	if err := s.fitsMemory(c); err != nil {
		return err
	}
	for {
		if err := s.room(ctx, c.size, c.held); err != nil {
			return err
		}
		err := s.submitAndWait(ctx, c)
		if errors.Is(err, errNoSpace) {
			continue // the disk filled up while c was in the queue
		}
		if err == nil {
			s.remember(c)
		}
		return err
	}
}

// fitsMemory refuses what Badger does not take in memory. Its own error shows the beginning of the value.
func (s *Store) fitsMemory(c *commitRequest) error {
	for _, chunk := range c.chunks {
		if s.dir == "" && len(chunk.data) > chunkMost {
			return &Error{Code: CodeTooLarge, Op: "commit", Err: fmt.Errorf("an event takes %d bytes, compressed; without a state directory it may take %d", len(chunk.data), chunkMost),
				Hint: "leave fields out in the script, or lower starling.limits.event_bytes and set starling.limits.oversized to cut"}
		}
	}
	return nil
}

func (s *Store) submitAndWait(ctx context.Context, c *commitRequest) error {
	select {
	case <-s.closed: // nobody reads the queue any more, and it has room
		return storeError("commit", errStoreClosed, "")
	default:
	}
	select {
	case s.queue <- c:
	case <-s.closed:
		return storeError("commit", errStoreClosed, "")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	// From here on the commit happens or not whatever the context says, so wait for the answer.
	switch err := <-c.done; {
	case errors.Is(err, badger.ErrTxnTooBig):
		return &Error{Code: CodeTooLarge, Op: "commit", Err: fmt.Errorf("its events are of %d different hours and it sets %d cursors, which is too much for one commit", len(c.seen), len(c.cursors)),
			Hint: "call checkpoint.commit more often, pull shorter ranges, or keep less in cursors; nothing of it was kept"}
	case err != nil:
		return storeError("commit", err, "nothing of it was kept; check the disk's free space and health")
	}
	return nil
}

// room waits until the outbox has place for size more bytes, and the disk for those that are still held in memory.
// An empty outbox takes a commit of any size.
func (s *Store) room(ctx context.Context, size, held int64) error {
	if size == 0 && s.space.fits(0) {
		return nil
	}
	// One waits at a time, the others behind it: otherwise small commits would pass a large one for ever.
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return outboxFull()
	}
	if err := s.waitForSpace(ctx, held); err != nil || size == 0 {
		return err
	}
	for {
		s.mu.Lock()
		err := s.dropFor(size)
		free, changed := s.fits(size), s.changed
		s.mu.Unlock()
		if free || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return outboxFull()
		case <-s.closed:
			return storeError("commit", errStoreClosed, "")
		}
	}
}

func outboxFull() error {
	return &Error{Code: CodeSink, Op: "commit", Err: errors.New("the outbox is full: outputs take events more slowly than they are pulled, or not at all"),
		Hint: "see the outputs' state in /status; raise starling.limits.outbox_bytes if the disk has room, or outbox_age if that is set"}
}

// committer is the only writer of head, chunks, cursors and seen keys.
func (s *Store) committer() {
	for {
		select {
		case c := <-s.queue:
			s.commitGroup(s.gather(c))
		case <-s.closed:
			s.refuse()
			return
		}
	}
}

// gather takes what waits in the queue along, so that it shares one sync.
func (s *Store) gather(c *commitRequest) []*commitRequest {
	group := []*commitRequest{c}
	for len(group) < groupLimit {
		select {
		case c := <-s.queue:
			group = append(group, c)
		default:
			return group
		}
	}
	return group
}

func (s *Store) refuse() {
	for {
		select {
		case c := <-s.queue:
			c.done <- errStoreClosed
		default:
			return
		}
	}
}

func (s *Store) commitGroup(group []*commitRequest) {
	s.at(stepCommit)
	if !s.space.fits(heldBy(group)) {
		answer(group, errNoSpace)
		return
	}
	if group = s.placeChunks(group); len(group) == 0 {
		return
	}
	now := time.Now()
	s.mu.Lock()
	plan := commitPlan{head: s.head, block: s.block, outbox: s.edge()}
	s.mu.Unlock()
	start := plan.head
	for _, c := range group {
		plan.add(c, now)
	}
	err := s.apply(&plan, group)
	if errors.Is(err, badger.ErrTxnTooBig) && len(group) > 1 { // nothing of it was committed
		for _, c := range group {
			s.commitGroup([]*commitRequest{c})
		}
		return
	}
	switch {
	case err == nil:
		s.mu.Lock()
		if len(s.sizes) == 0 {
			s.first = start
		}
		for _, info := range plan.chunks {
			s.keep(info)
		}
		s.head, s.block = plan.head, plan.block
		s.wake()
		s.mu.Unlock()
		s.segments.committed(plan.placed)
		s.at(stepAnswer)
	case !errors.Is(err, badger.ErrTxnTooBig):
		for _, c := range group {
			s.segments.hold(c.chunks)
		}
	}
	answer(group, err)
}

func answer(group []*commitRequest, err error) {
	for _, c := range group {
		c.done <- err
	}
}

func sizeOf(group []*commitRequest) (size int64) {
	for _, c := range group {
		size += c.size
	}
	return size
}

// heldBy returns how many bytes of chunks of a group are still to be written.
func heldBy(group []*commitRequest) (size int64) {
	for _, c := range group {
		size += c.held
	}
	return size
}

// A commitPlan gathers what a group of commits writes: chunks and blocks past the head, and what makes
// them count.
type commitPlan struct {
	head, block uint64
	outbox      outboxEdge  // before it
	data        []keyValue  // chunks or their locations, in order
	chunks      []chunkInfo // the same
	placed      int64       // bytes of those in segments
	blocks      []keyValue
	point       []keyValue // cursors and pointers to blocks
}

type keyValue struct{ key, value []byte }

func (p *commitPlan) add(c *commitRequest, now time.Time) {
	for _, chunk := range c.chunks {
		p.addChunk(chunk, now, c.pull)
	}
	c.next = p.head
	for hour, keys := range c.seen {
		block := make([]byte, 0, keys.len()*len(Key{}))
		for key := range keys.all() {
			block = append(block, key[:]...)
		}
		for part := range slices.Chunk(block, blockBytes) {
			p.blocks = append(p.blocks, keyValue{blockKey(p.block), part})
			p.point = append(p.point, keyValue{seenKey(c.collector, hour, p.block), nil})
			p.block++
		}
	}
	for name, value := range c.cursors {
		p.point = append(p.point, keyValue{[]byte(prefCursor + c.collector + "\x00" + name), value})
	}
}

func (p *commitPlan) addChunk(c sealedChunk, now time.Time, pull trace.SpanContext) {
	var value []byte
	info := chunkInfo{committed: now, segment: c.at.segment}
	if c.at.segment > 0 {
		value = c.at.stamped(now, pull).encode()
		info.size, info.events = int64(c.at.size), c.at.events
		p.placed += info.size
	} else {
		value = c.data
		stampChunk(value, now, pull)
		info.size, info.events = int64(len(value)), chunkEvents(value)
	}
	p.data, p.chunks = append(p.data, keyValue{chunkKey(p.head), value}), append(p.chunks, info)
	p.head++
}

// apply writes the data past the head where it is too much for one transaction, and then moves the
// head, the cursors and the pointers together.
func (s *Store) apply(p *commitPlan, group []*commitRequest) error {
	data := slices.Concat(p.data, p.blocks)
	size := 0
	for _, w := range data {
		size += len(w.key) + len(w.value)
	}
	if size > txnBytes || len(data)+len(p.point) > txnEntries {
		if err := s.write(func(w *badger.WriteBatch) error {
			for _, kv := range data {
				s.at(stepPart)
				if err := w.Set(kv.key, kv.value); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		s.at(stepPastHead)
		data = nil
	}
	for _, c := range group {
		if c.wipe { // keys that are forgotten before the cursors are only make rows come twice
			if err := s.forget(c.collector, func(int64) bool { return true }); err != nil {
				return err
			}
			s.at(stepWiped)
		}
	}
	err := s.update(func(t *testimony) { t.head, t.block = p.head, p.block }, func(txn *badger.Txn) error {
		for _, c := range group {
			if err := wipeCursors(txn, c); err != nil {
				return err
			}
		}
		for _, kv := range slices.Concat(data, p.point) {
			if kv.value == nil && kv.key[0] == prefCursor[0] {
				if err := txn.Delete(kv.key); err != nil {
					return err
				}
				continue
			}
			if err := txn.Set(kv.key, kv.value); err != nil {
				return err
			}
		}
		for _, c := range group {
			if err := noteLedger(txn, c, p.outbox); err != nil {
				return err
			}
		}
		s.at(stepInside)
		head := binary.BigEndian.AppendUint64(nil, p.head)
		return txn.Set([]byte(keyHead), binary.BigEndian.AppendUint64(head, p.block))
	})
	if err != nil {
		return err
	}
	s.at(stepCommitted)
	for _, c := range group {
		if c.forget == 0 && !c.sweep {
			continue
		}
		// The commit has happened. Keys that this fails to delete are deleted by a later one.
		s.forget(c.collector, c.forgets)
		s.at(stepForgotten)
	}
	return nil
}

// forget deletes the remembered keys of the buckets that old picks.
func (s *Store) forget(collector string, old func(bucket int64) bool) error {
	var keys [][]byte
	err := s.view(func(txn *badger.Txn) error {
		return scan(txn, prefSeen+collector+"\x00", false, func(key string, item *badger.Item) error {
			if len(key) == 16 && old(int64(binary.BigEndian.Uint64([]byte(key)))) {
				keys = append(keys, item.KeyCopy(nil), blockKey(binary.BigEndian.Uint64([]byte(key[8:]))))
			}
			return nil
		})
	})
	if err != nil || len(keys) == 0 {
		return err
	}
	s.at(stepForget)
	return s.write(func(w *badger.WriteBatch) error {
		for _, key := range keys {
			if err := w.Delete(key); err != nil {
				return err
			}
		}
		return nil
	})
}

// wipeCursors deletes the cursors and the ledger of a collector that starts over.
func wipeCursors(txn *badger.Txn, c *commitRequest) error {
	if !c.wipe {
		return nil
	}
	old, err := ledgerKeys(txn, c.collector)
	if err != nil {
		return err
	}
	err = scan(txn, prefCursor+c.collector+"\x00", false, func(_ string, item *badger.Item) error {
		old = append(old, item.KeyCopy(nil))
		return nil
	})
	for _, key := range old {
		err = cmp.Or(err, txn.Delete(key))
	}
	return err
}

// Remembered keys of an hour stay in memory while commits use them, and for some commits more: windows of
// several lanes may take turns. Others are read again.
const (
	cachedHours   = 72 // at most
	cachedCommits = 4
)

// A keyCache has the remembered keys of a collector that are in memory.
type keyCache struct {
	commits int64 // since it was made
	hours   map[int64]*cachedHour
}

type cachedHour struct {
	keys *keySet
	used int64 // the number of commits then
}

// seen returns the committed keys of an hour. The set is shared with later calls for the same
// collector, which has only one pull at a time.
func (s *Store) seen(collector string, hour int64) (*keySet, error) {
	s.seenMu.Lock()
	defer s.seenMu.Unlock()
	cache := s.hours[collector]
	if cache == nil {
		cache = &keyCache{hours: map[int64]*cachedHour{}}
		s.hours[collector] = cache
	}
	if h := cache.hours[hour]; h != nil {
		h.used = cache.commits
		return h.keys, nil
	}
	keys := newKeySet(0)
	err := s.view(func(txn *badger.Txn) error {
		prefix := string(binary.BigEndian.AppendUint64([]byte(prefSeen+collector+"\x00"), uint64(hour)))
		return scan(txn, prefix, false, func(key string, _ *badger.Item) error {
			block, err := get(txn, prefBlock+key)
			for part := range slices.Chunk(block, len(Key{})) {
				keys.add(Key(part))
			}
			return err
		})
	})
	if err != nil {
		return nil, storeError("read remembered keys", err, "")
	}
	if len(cache.hours) >= cachedHours {
		clear(cache.hours)
	}
	cache.hours[hour] = &cachedHour{keys, cache.commits}
	return keys, nil
}

// remember brings the keys in memory up to what c committed.
func (s *Store) remember(c *commitRequest) {
	s.seenMu.Lock()
	defer s.seenMu.Unlock()
	if c.wipe {
		delete(s.hours, c.collector)
	}
	cache := s.hours[c.collector]
	if cache == nil {
		return
	}
	cache.commits++
	for hour, h := range cache.hours {
		if (c.forget != 0 || c.sweep) && c.forgets(hour) || cache.commits-h.used > cachedCommits {
			delete(cache.hours, hour)
		}
	}
	for hour, keys := range c.seen {
		h := cache.hours[hour]
		switch {
		case h == nil:
		case h.keys.len() == 0:
			h.keys = keys // the commit needs them no more
		default:
			for key := range keys.all() {
				h.keys.add(key)
			}
		}
	}
}

// seenHours lists the hours of which a collector has remembered keys.
func (s *Store) seenHours(collector string) ([]int64, error) {
	var hours []int64
	err := s.view(func(txn *badger.Txn) error {
		return scan(txn, prefSeen+collector+"\x00", false, func(key string, _ *badger.Item) error {
			if len(key) != 16 {
				return nil
			}
			if h := int64(binary.BigEndian.Uint64([]byte(key))); !slices.Contains(hours, h) {
				hours = append(hours, h)
			}
			return nil
		})
	})
	if err != nil {
		return nil, storeError("read remembered keys", err, "")
	}
	return hours, nil
}
