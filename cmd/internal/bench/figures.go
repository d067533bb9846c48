package bench

import "fmt"

// A Figure is something that can be measured.
type Figure struct {
	Name, Help string
	run        func(b *bench) (result, error)
}

// Figures lists what can be measured; the first is what is measured if nothing is named.
func Figures() []Figure {
	return []Figure{
		{"pipeline", "cost and speed of the whole path, beside two hand-written Go programs", pipeline},
	}
}

// A result can be printed for people; for programs it is encoded as it is.
type result interface{ print(o *Options) }

// Run measures one figure and returns what was found.
func Run(o Options, name string) (found any, err error) {
	for _, f := range Figures() {
		if f.Name != name {
			continue
		}
		b, err := begin(o)
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
