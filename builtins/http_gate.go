package builtins

import (
	"errors"
	"fmt"
	"time"

	"go.starlark.net/starlark"

	"starling/engine"
)

// A gate is what lets the requests of all who share a quota through.
type gate = engine.Quota

// gate returns the gate of the client's quota: that of its rate, or one for its credentials at its
// origin, where somebody else's Retry-After counts for it too.
func (c *client) gate(p *engine.Pull) (*gate, error) {
	if c.rate != nil {
		return c.rate.gate(p)
	}
	who := ""
	if c.auth != nil {
		who = c.auth.identity()
	}
	key := "http.origin:" + origin(c.scope.base) + " " + who
	return p.Env().Shared.Get(key, func() any { return new(gate) }).(*gate), nil
}

// A rate is how many requests may be sent. It is a value of scripts.
type rate struct {
	n    int
	per  time.Duration
	name string
	own  *gate
}

func (r *rate) String() string        { return fmt.Sprintf("http.rate(%d, %q)", r.n, Duration(r.per)) }
func (r *rate) Type() string          { return "http.rate" }
func (r *rate) Freeze()               {}
func (r *rate) Truth() starlark.Bool  { return true }
func (r *rate) Hash() (uint32, error) { return 0, errors.New("unhashable: http.rate") }

func (r *rate) gate(p *engine.Pull) (*gate, error) {
	if r.name == "" {
		return r.own, nil
	}
	return p.Env().Store.Quota(r.name, p.QuotaClock())
}

// pace is what a call of the client has to keep to. Each request keeps to the numbers of its own script.
func (c *client) pace(share float64) engine.Pace {
	if c.rate == nil {
		return engine.Pace{}
	}
	return engine.Pace{N: c.rate.n, Per: c.rate.per, Share: share}
}

func httpRate(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	r := &rate{per: time.Second, own: new(gate)}
	var per starlark.Value
	if err := unpack(b, args, kwargs, 2, "n", &r.n, "per?", &per, "name??", &r.name); err != nil {
		return nil, err
	}
	const most = 100_000 // the time of each send is kept
	if r.n < 1 || r.n > most {
		return nil, fmt.Errorf("%s: n: got %d, want 1 to %d", b.Name(), r.n, most)
	}
	if err := positive(b, "per", per, &r.per); err != nil {
		return nil, err
	}
	if load, err := engine.LoadOf(thread); err == nil {
		load.Rates = append(load.Rates, engine.Rate{Name: r.name, Pace: engine.Pace{N: r.n, Per: r.per}})
	}
	return r, nil
}

// A shareArg reads the share of a quota that a call may use.
type shareArg float64

func (s *shareArg) Unpack(v starlark.Value) error {
	f, ok := starlark.AsFloat(v)
	if !ok || !(f > 0 && f <= 1) {
		return fmt.Errorf("got %s, want a number above 0 and up to 1", engine.Show(v))
	}
	*s = shareArg(f)
	return nil
}
