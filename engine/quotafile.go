package engine

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A quota with a name is kept in a file of its own below the state directory, so that no restart and no
// crash loop sends more than it allows. Each send is one line, written before the request and not
// synced: what the kernel has survives a kill. A power cut can take lines along, so a file that was not
// closed, and was written by another boot of the machine, or that is damaged, says only that the quota
// counts as used up at the start that finds it.
//
//	quota "name"       the first line
//	boot 3f0c…         of the machine that writes what follows
//	send 1764230400123 a send, milliseconds since 1970
//	share 17642304…    a send that uses a share
//	pause 17642304…    no send before
//	full 17642304…     counts as used up at that time
//	end                closed; what is in the file is all there was
const quotaDir = "quotas"

// quotaFileBytes is from which size on a file is written anew, without what nobody looks back to.
const quotaFileBytes = 64 << 10

type quotaFile struct {
	path string
	f    *os.File
	size int64
	next int64 // the size at which it is written anew
}

// quotas are the quotas with names of one state directory.
type quotas struct {
	dir string // empty: not kept
	mu  sync.Mutex
	all map[string]*Quota
	end bool
}

// Quota returns the quota of a name, which all collectors of the process share and the state directory
// keeps. Now is the time of whoever asks.
func (s *Store) Quota(name string, now time.Time) (*Quota, error) {
	s.quotas.mu.Lock()
	defer s.quotas.mu.Unlock()
	if q := s.quotas.all[name]; q != nil {
		return q, nil
	}
	if s.quotas.end {
		return nil, storeError("read the quota "+name, errStoreClosed, "")
	}
	q := &Quota{name: name}
	if s.quotas.dir != "" {
		if err := q.open(filepath.Join(s.quotas.dir, quotaDir), now); err != nil {
			return nil, storeError("read what was sent of the quota "+name, err, "check the free space and the health of the state directory's disk")
		}
	}
	if s.quotas.all == nil {
		s.quotas.all = map[string]*Quota{}
	}
	s.quotas.all[name] = q
	return q, nil
}

// close makes durable what was sent, and says so.
func (qs *quotas) close() (err error) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	qs.end = true
	for _, q := range qs.all {
		q.mu.Lock()
		err = errors.Join(err, q.kept.close())
		q.mu.Unlock()
	}
	return err
}

// open reads what the file of the quota says, and begins it anew.
func (q *Quota) open(dir string, now time.Time) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(q.name))
	path := filepath.Join(dir, hex.EncodeToString(sum[:8]))
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		q.read(data, now, bootID())
	}
	if err := writeDurable(path, q.lines()); err != nil {
		return err
	}
	q.kept = &quotaFile{path: path}
	return q.kept.append()
}

// read takes what a file says. What lies in the future is of a clock that was set back since, and
// happened now at the latest.
func (q *Quota) read(data []byte, now time.Time, boot string) {
	same, closed, whole := false, false, len(data) > 0 && data[len(data)-1] == '\n'
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		closed = verb == "end" && rest == ""
		switch verb {
		case "quota", "end":
		case "boot":
			same = rest == boot && boot != ""
		case "send", "share", "pause", "full":
			ms, err := strconv.ParseInt(rest, 10, 64)
			if err != nil {
				whole = false
				continue
			}
			q.take(verb, time.UnixMilli(ms), now)
		default:
			whole = false
		}
	}
	if lines.Err() != nil || !whole || !same && !closed {
		q.full = now
	}
}

func (q *Quota) take(verb string, at, now time.Time) {
	if verb == "pause" {
		if most := now.Add(maxPause + 2*afterPause); at.After(most) {
			at = most
		}
		q.paused, q.doubt = at, at.After(now)
		return
	}
	if at.After(now) {
		at = now
	}
	switch verb {
	case "send":
		q.all = insert(q.all, at)
	case "share":
		q.all, q.shared = insert(q.all, at), insert(q.shared, at)
	case "full":
		q.full = at
	}
}

// lines is all that is known, as a file.
func (q *Quota) lines() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "quota %s\nboot %s\n", strconv.Quote(q.name), bootID())
	shared := q.shared
	for _, at := range q.all {
		verb := "send"
		if len(shared) > 0 && shared[0].Equal(at) {
			verb, shared = "share", shared[1:]
		}
		quotaLine(&b, verb, at)
	}
	if !q.full.IsZero() {
		quotaLine(&b, "full", q.full)
	}
	if !q.paused.IsZero() {
		quotaLine(&b, "pause", q.paused)
	}
	return b.Bytes()
}

// quotaLine rounds up: what is read again must not look older than it was.
func quotaLine(b *bytes.Buffer, verb string, at time.Time) {
	ms := at.UnixMilli()
	if time.UnixMilli(ms).Before(at) {
		ms++
	}
	fmt.Fprintf(b, "%s %d\n", verb, ms)
}

// append opens the file to go on at its end.
func (k *quotaFile) append() error {
	f, err := os.OpenFile(k.path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	k.f, k.size = f, info.Size()
	k.next = max(quotaFileBytes, 2*k.size)
	return nil
}

// note keeps a send, q with it if the file is to be written anew. A nil file keeps nothing.
func (k *quotaFile) note(q *Quota, at time.Time, share bool) error {
	if k == nil {
		return nil
	}
	if k.size > k.next {
		return k.rewrite(q)
	}
	verb := "send"
	if share {
		verb = "share"
	}
	return k.write(verb, at)
}

func (k *quotaFile) pause(until time.Time) {
	if k != nil {
		k.write("pause", until)
	}
}

func (k *quotaFile) write(verb string, at time.Time) error {
	if k.f == nil {
		return errStoreClosed
	}
	var b bytes.Buffer
	quotaLine(&b, verb, at)
	n, err := k.f.Write(b.Bytes())
	k.size += int64(n)
	return err
}

// rewrite needs no sync: after a power cut, whatever is there, the quota counts as used up.
func (k *quotaFile) rewrite(q *Quota) error {
	if k.f == nil {
		return errStoreClosed
	}
	temp := k.path + ".new"
	if err := os.WriteFile(temp, q.lines(), 0o600); err != nil {
		return err
	}
	if err := os.Rename(temp, k.path); err != nil {
		return err
	}
	k.f.Close()
	k.f = nil
	return k.append()
}

// close says that nothing is missing. What is sent afterwards fails.
func (k *quotaFile) close() error {
	if k == nil || k.f == nil {
		return nil
	}
	f := k.f
	k.f = nil
	_, err := f.WriteString("end\n")
	return errors.Join(err, f.Sync(), f.Close())
}

// bootID names this run of the machine's kernel; empty where nothing does.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
