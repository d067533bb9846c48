package sinks

import "time"

// window holds the epochs that the receiver's kernel may have and its program may not have read. It is
// for receivers that do not answer a half-close. The kernel's word is all there is then; but a kernel
// holds a limited number of bytes unread, so an epoch is confirmed when size more bytes than its own
// have been taken on the same connection, or when the connection has gone on for age after it was
// taken. What is not confirmed when the connection breaks is offered again.
//
// It belongs to the goroutine that delivers.
type window struct {
	size int64
	age  time.Duration

	largest int64 // window that the receiver's kernel has offered on this connection
	epochs  []handed
}

// handed is an epoch that was written.
type handed struct {
	end   int64     // of its last byte on the connection
	since time.Time // when it was found to be taken; zero before
}

// confirm drops the epochs that are confirmed when the receiver's kernel has taken so many bytes and
// has room for so many more, and returns how many there are.
func (w *window) confirm(taken, room int64, now time.Time) (n uint64) {
	w.largest = max(w.largest, room)
	// A kernel gives a part of a buffer to its own book-keeping, so it can hold more than it offers.
	size := max(w.size, 2*w.largest)
	for i := range w.epochs {
		if h := &w.epochs[i]; h.end <= taken && h.since.IsZero() {
			h.since = now
		}
	}
	for len(w.epochs) > 0 {
		h := w.epochs[0]
		if taken < h.end+size && (h.since.IsZero() || now.Sub(h.since) < w.age) {
			break
		}
		w.epochs = w.epochs[1:]
		n++
	}
	return n
}

// settle drops all epochs, and returns how many there are.
func (w *window) settle() uint64 {
	n := uint64(len(w.epochs))
	w.epochs, w.largest = nil, 0
	return n
}
