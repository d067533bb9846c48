package engine

import "time"

// A Table is where events of one kind go: Devo's tag and what the syslog header says beside it.
// Tables are made once, by a script's top level, and never change.
type Table struct {
	// Tag is Devo's name of the destination table, such as "cloud.office365.messagetracing".
	Tag string
	// Host is the host name in the header; empty means the name of the machine that sends.
	Host string
	// Priority is facility*8 + severity (RFC 5424, section 6.2.1). Devo's clients send 14, user.info.
	Priority int
}

// DefaultPriority is user.info, what Devo's own clients send when nothing else is asked for.
const DefaultPriority = 14

// An Event is one record on its way to the sinks.
type Event struct {
	Table *Table
	// Time is when it happened, UTC, to the millisecond. The zero time means unknown.
	Time time.Time
	// Body is what is delivered. It belongs to the engine: sinks must not change it or keep it after Flush.
	Body []byte
}
