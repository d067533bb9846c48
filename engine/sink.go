package engine

import (
	"context"
	"time"
)

// A Sink is where events go: one entry under outputs in the configuration file.
//
// The engine offers events in order, from one goroutine, and forgets them only when Flush has said
// that the other side has them. What was sent since the last successful Flush is one epoch. After
// any error the engine drops the epoch, waits, and offers all of it again, same bytes, same order:
// so a sink may lose everything between two successful calls of Flush without an event being lost,
// and must not acknowledge by any other way.
//
// Send and Flush end early, with an error, when their context ends.
type Sink interface {
	// Send hands events to the transport. Returning nil promises nothing about their delivery.
	// The events and their bodies are valid until the next Flush returns, or either method fails: then
	// their memory serves other events. What a sink needs longer, it copies.
	Send(ctx context.Context, events []Event) error

	// Flush ends the epoch and returns nil only on evidence that the other side has every event
	// sent since the last successful Flush: its answer where the protocol has one, an orderly end
	// of the stream where it has none. A nil from a mere write is a defect.
	Flush(ctx context.Context) error

	// Close releases connections and files. Events not flushed are offered again by the engine's
	// next start, so Close need not deliver them.
	Close() error
}

// A Refused is the error with which Send, Flush or Settle says that the other side refuses an event
// itself, whenever it is offered: it is too large, or not well formed. It is not for an output that
// refuses everything, such as one with wrong credentials. The engine offers the epoch again in parts,
// so that the others arrive, and the event alone; if it is refused again while others are taken, it
// is cut or set aside as the configuration says.
type Refused struct {
	// Index is the event's place in the epoch, from 0. Below 0 it is not known: the engine then finds
	// the event by halves.
	Index int
	// Limit is how many bytes of body would be taken, if size is the reason; otherwise 0.
	Limit int
	// Err is the reason, such as the other side's answer.
	Err error
}

func (r *Refused) Error() string { return "the event is refused: " + r.Err.Error() }
func (r *Refused) Unwrap() error { return r.Err }

// A Lagging is a Sink that has its evidence some time after Flush returned, such as one that keeps a
// window of what the other side may not have read yet. Flush returning nil then says only that the
// sink took the epoch, and that it will be confirmed, or an error reported, later on.
//
// The engine acknowledges epochs as Confirmed counts them, in order. After an error of Send, Flush or
// Settle the sink forgets every epoch that it has not confirmed, and the engine offers them again.
// What the sink holds unconfirmed is what may arrive twice, so the sink bounds it: Flush waits, or
// ends a connection, when there is too much.
type Lagging interface {
	Sink

	// Confirmed returns how many epochs the other side has, of all that Flush took since the sink was
	// made. It counts them in the order in which they were offered, never goes back, and never counts
	// an epoch that an error made it forget. It does not wait. It is asked from the goroutine that
	// calls Send and Flush, after every call of Flush and after every error.
	Confirmed() uint64

	// Settle returns nil when every epoch that Flush took is confirmed, for which it may end the
	// connection. It is called between epochs: when nothing new has come for a second, and at a stop.
	// It ends early, with an error, when its context ends.
	Settle(ctx context.Context) error
}

// A Loaded is a Sink that does something else while much waits for it, such as one that compresses then.
type Loaded interface {
	Sink

	// Load says, before the first Send of an epoch, which share of outbox_bytes waits for the sink: 0 is
	// nothing, 1 a full outbox.
	Load(share float64)
}

// A Copier is a Sink that has no use of events once Send has returned, so that their memory can serve the
// next ones at once, and not only when the epoch has ended.
type Copier interface {
	Sink

	// CopiesEvents says so, and does nothing.
	CopiesEvents()
}

// CertificateWarning is how long before the end of a certificate Starling begins to speak of it.
const CertificateWarning = 14 * 24 * time.Hour

// An Expirer is a Sink with a certificate of its own, which ends some day.
type Expirer interface {
	// Expires returns when; the zero time means that there is none. It may be called from any goroutine.
	Expires() time.Time
}

// A Reloader is a Sink that reads files which people replace while it runs, such as certificates.
type Reloader interface {
	// Files lists the files, as absolute paths.
	Files() []string
	// Reload reads them again. On an error the sink goes on with what it had; the error says which
	// file is wrong, why, and what to do.
	Reload() error
}
