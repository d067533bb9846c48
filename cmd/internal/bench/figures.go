package bench

import (
	"context"
	"fmt"
)

// A Figure is something that can be measured.
type Figure struct {
	Name, Help string
	run        func(b *bench) (result, error)
}

// Figures lists what can be measured; the first is what is measured if nothing is named.
func Figures() []Figure {
	return []Figure{
		{"pipeline", "cost and speed of the whole path, beside two hand-written Go programs", pipeline},
		{"allocs", "what is allocated for an event, without what a start takes", allocs},
		{"start", "from the start of the process to its first request", start},
		{"idle", "memory with 1, 100 and 1,000 collectors that have nothing to do", idle},
		{"lag", "how late rows arrive while 100 collectors pull 2,000 new ones a second", lag},
		{"drain", "how fast a backlog goes out, see --backlog", drain},
	}
}

// A result can be printed for people; for programs it is encoded as it is.
type result interface{ print(o *Options) }

// Run measures one figure and returns what was found. It ends early, with an error, when ctx ends.
func Run(ctx context.Context, o Options, name string) (found any, err error) {
	for _, f := range Figures() {
		if f.Name != name {
			continue
		}
		b, err := begin(ctx, o)
		if err != nil {
			return nil, err
		}
		r, err := f.run(b)
		if ended := b.end(); err == nil {
			err = ended
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if o.Out != nil {
			r.print(&o)
		}
		return r, nil
	}
	return nil, fmt.Errorf("%s: no such figure", name)
}
