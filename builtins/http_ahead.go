package builtins

import (
	"errors"

	"go.starlark.net/starlark"

	"starling/engine"
)

// A fetch is one page of a loop: how it is asked for, and what came.
type fetch struct {
	call    call // with the parameters of this page
	request *request
	key     [32]byte // tells requests apart
	page    *response
	err     error
	work    *engine.Work // nil if it is not asked for ahead
}

// get asks for the page.
func (f *fetch) get(p *engine.Pull, ps *pages) {
	f.page, f.err = f.call.send(p, ps.thread, f.request, func(a *answer) error { return ps.check(f.request, a) })
}

// maxAhead is how long a page may be so that the next is asked for while the script has it: there is not to be room
// for two that are longer.
const maxAhead = 8 << 20

var errLeft = errors.New("the script has left the loop")

// goAhead asks for the page after the last one while the script has that, if the script cannot have a say in which it is. What
// is wrong with it is told when the script comes to it. What a function of the script signs is not asked for ahead: it runs where the
// script does.
func (it *pageIterator) goAhead() {
	ps := it.pages
	if _, signs := ps.call.client.auth.(*signedAuth); signs || !ps.prefetch || it.done || !ps.next.pure || len(it.last.answer.body) > maxAhead {
		return
	}
	var f *fetch
	err := engine.WithoutPull(ps.thread, func() (err error) {
		f, err = it.plan()
		return err
	})
	if err != nil || f == nil || f.page != nil {
		return // it comes to the same when the script asks for it
	}
	f.work = ps.pull.Beside(func(p *engine.Pull) { f.get(p, ps) })
	it.ahead = f
}

// isPure reports whether what a function returns can depend on nothing but its arguments and what it calls: it
// uses no variables of other functions, and no defaults that can change.
func isPure(fn starlark.Callable) bool {
	f, ok := fn.(*starlark.Function)
	if !ok || f.NumFreeVars() > 0 {
		return false
	}
	for i := range f.NumParams() {
		switch f.ParamDefault(i).(type) {
		case nil, starlark.NoneType, starlark.Bool, starlark.Int, starlark.Float, starlark.String, starlark.Bytes:
		default:
			return false
		}
	}
	return true
}
