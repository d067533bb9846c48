package builtins

import (
	"net/http"
	"time"

	"go.starlark.net/starlark"

	"starling/engine"
)

// noteClock compares the clocks of an answer and of this machine. What a cache kept has an old date.
func noteClock(p *engine.Pull, h http.Header, sent time.Time) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil || h.Get("Age") != "" {
		p.APIClock().Silent(p.Now(), p.Clock())
		return
	}
	if skew, tell := p.APIClock().Note(date, sent, p.Now(), p.Clock()); tell {
		p.Logger().Warn("the clock of this machine and that of the API differ; the API's is used for what is asked for: set this machine's", "api_is_ahead_by", skew.Round(time.Second).String())
	}
}

func clientNow(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := unpack(b, args, kwargs, 0); err != nil {
		return nil, err
	}
	p, err := pullFor(thread, b)
	if err != nil {
		return nil, err
	}
	return timeValue(p.APINow()), nil
}
