package sinks

import (
	"time"

	"starling/engine"
)

const (
	// maxAge is how long a connection may last over epochs. The next one resolves the receiver's name anew.
	maxAge = time.Hour
	// maxIdle is how long a connection may wait for more: Devo's balancer drops idle ones after 30 s.
	maxIdle = 20 * time.Second
)

// lifetime is how long connections may last that no epoch ends.
type lifetime struct{ age, idle time.Duration }

func newLifetime(c *engine.Section) lifetime {
	return lifetime{
		age:  c.Seconds("connection_max_age", maxAge, time.Second, 7*24*time.Hour),
		idle: c.Seconds("connection_max_idle", maxIdle, time.Second, time.Hour),
	}
}

// over reports whether l is to be renewed.
func (t lifetime) over(l *link) bool {
	return time.Since(l.made) > t.age || time.Since(l.used) > t.idle
}
