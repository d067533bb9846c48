package builtins

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"

	"go.starlark.net/starlark"

	"starling/engine"
)

// pages are the answers of an API to one question, page by page, as a value to loop over. Each loop
// begins at the first page.
type pages struct {
	thread   *starlark.Thread
	pull     *engine.Pull
	call     call
	next     pager
	max      int
	xml      bool // pages may be XML too
	strict   bool // what only a broken transport makes is no page
	prefetch bool // the page after the one that the script has is asked for
}

var _ starlark.Iterable = (*pages)(nil)

func (ps *pages) String() string        { return fmt.Sprintf("pages(%q)", ps.call.path) }
func (ps *pages) Type() string          { return "pages" }
func (ps *pages) Freeze()               {}
func (ps *pages) Truth() starlark.Bool  { return true }
func (ps *pages) Hash() (uint32, error) { return 0, errors.New("unhashable: pages") }

// Iterate begins at the first page.
func (ps *pages) Iterate() starlark.Iterator {
	return &pageIterator{pages: ps, call: ps.call, seen: map[[32]byte]bool{}}
}

func clientPages(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	ps := &pages{thread: thread, max: 10_000, prefetch: true, call: call{client: b.Receiver().(*client), method: http.MethodGet}}
	var next starlark.Value
	err := ps.call.unpack(b, args, kwargs, "next", &next, "json??", &ps.call.json, "method??", &ps.call.method, "max_pages??", &ps.max, "xml??", &ps.xml, "strict??", &ps.strict, "prefetch??", &ps.prefetch)
	if err != nil {
		return nil, err
	}
	if ps.pull, err = engine.PullOf(thread); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	if ps.next, err = pagerOf(thread, next); err != nil {
		return nil, fmt.Errorf("%s: next: %w", b.Name(), err)
	}
	switch {
	case ps.max < 1:
		return nil, fmt.Errorf("%s: max_pages: got %d, want at least 1", b.Name(), ps.max)
	case ps.call.method != http.MethodGet && ps.call.method != http.MethodPost:
		return nil, fmt.Errorf(`%s: method: got %q, want "GET" or "POST"`, b.Name(), ps.call.method)
	case ps.call.json != nil && ps.call.method != http.MethodPost:
		return nil, fmt.Errorf(`%s: json needs method = "POST"`, b.Name())
	}
	r, err := ps.call.request()
	if err == nil && ps.call.json != nil { // what the loop does to it has no part in what is asked
		ps.call.json, err = NewDocument(r.body)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return ps, nil
}

// A pageIterator goes through pages. An iterator of Starlark cannot fail, so a failure is left on the
// thread and stops it at its next instruction.
type pageIterator struct {
	pages *pages
	call  call // that led to the last page; changed by cursors
	last  *response
	ahead *fetch // of the page after the last one, if that was asked for
	count int
	seen  map[[32]byte]bool
	done  bool
}

// Next gets the next page.
func (it *pageIterator) Next(v *starlark.Value) bool {
	if it.done {
		return false
	}
	page, err := it.step()
	if err != nil {
		engine.FailIterator(it.pages.thread, err)
	}
	if err != nil || page == nil {
		it.done, it.last = true, nil
		return false
	}
	it.last, *v = page, page
	it.goAhead()
	return true
}

// Done ends the loop.
func (it *pageIterator) Done() {
	if f := it.ahead; f != nil {
		it.ahead = nil
		f.work.Cancel(errLeft)
	}
	it.done, it.last = true, nil
}

// step returns the next page, nil at the end.
func (it *pageIterator) step() (*response, error) {
	f := it.ahead
	it.ahead = nil
	switch {
	case f != nil:
		f.work.Wait()
	default:
		var err error
		if f, err = it.plan(); err != nil || f == nil {
			return nil, err
		}
		if f.page == nil {
			f.get(it.pages.pull, it.pages)
		}
	}
	return it.take(f)
}

// plan says how to ask for the next page, nil when there is none.
func (it *pageIterator) plan() (*fetch, error) {
	f := &fetch{call: it.call}
	var err error
	if f.request, err = it.request(&f.call); err != nil || f.request == nil {
		return nil, err
	}
	r, p := f.request, it.pages.pull
	if it.count == it.pages.max {
		f.page, err = it.tooMany(p, r)
		return f, err
	}
	f.key = sha256.Sum256(append([]byte(r.method+" "+r.url.String()+"\n"), r.body...))
	if it.seen[f.key] {
		return nil, &engine.Error{Code: engine.CodeUpstream, Op: r.op(p), Err: errors.New("the API's pages go round in a circle: this one was read before in the same loop")}
	}
	return f, nil
}

// take returns the page that came, nil if it says that it is the end.
func (it *pageIterator) take(f *fetch) (*response, error) {
	if f.err != nil {
		return nil, f.err
	}
	p := it.pages.pull
	it.call, it.seen[f.key] = f.call, true
	f.page.pull = p
	if f.page.failed != nil {
		it.done = true
		return f.page, nil
	}
	it.count++
	p.Stats.Pages++
	p.Env().Telemetry.Pages.Add(p.Context(), 1, collectorAttr(p))
	if f.page.answer.status == http.StatusNoContent {
		return nil, nil
	}
	return f.page, nil
}

// check finds fault with a page that cannot be read.
func (ps *pages) check(r *request, a *answer) error {
	if a.status == http.StatusNoContent {
		return nil
	}
	return ps.parse(r, a)
}

func (ps *pages) parse(r *request, a *answer) (err error) {
	switch {
	case ps.xml && saysXML(a.header):
	case ps.strict:
		if a.doc, err = strictDocument(a.body); err != nil {
			return unreadable(ps.pull, r, a, "JSON", err)
		}
		return nil
	default:
		return parseBody(ps.pull, r, a)
	}
	if a.xml, err = decodeXML(a.body); err != nil {
		return unreadable(ps.pull, r, a, "XML", err)
	}
	return nil
}

func (it *pageIterator) tooMany(p *engine.Pull, r *request) (*response, error) {
	f := &failure{err: &engine.Error{Code: engine.CodeTooLarge, Op: r.op(p), Err: fmt.Errorf("there are more than %d pages", it.pages.max),
		Hint: "ask for less at a time, or raise max_pages in the script"}}
	if !it.call.catch {
		return nil, f.err
	}
	return caught(p, r, f), nil
}

// request returns the request of the next page, nil when there is none. It changes the call, which is that of the last page.
func (it *pageIterator) request(c *call) (*request, error) {
	if it.last == nil {
		return c.request()
	}
	place := it.last.request.op(it.pages.pull)
	step, err := it.pages.next.find(it.last, *c)
	if err != nil {
		return nil, pageError(place, err)
	}
	switch {
	case step.link != "":
		r := *it.last.request
		if r.url, err = r.scope.resolve(it.last.answer.url, step.link); err != nil {
			return nil, pageError(place, fmt.Errorf("next page: %w", err))
		}
		return &r, nil
	case step.change != nil:
		if err := c.change(step.change); err != nil {
			return nil, pageError(place, fmt.Errorf("next page: %w", err))
		}
		return c.request()
	}
	return nil, nil
}

// change sets parameters for the next page: in the JSON if that is what the call sends, in the query
// otherwise.
func (c *call) change(with *starlark.Dict) error {
	if c.json == nil {
		more, err := paramsOf("params", with)
		c.params = c.params.merge(more)
		return err
	}
	old, ok := c.json.(starlark.IterableMapping)
	if !ok {
		return fmt.Errorf("json: got %s, want a dict to change", c.json.Type())
	}
	merged := new(starlark.Dict)
	for _, items := range [][]starlark.Tuple{old.Items(), with.Items()} {
		for _, item := range items {
			if err := merged.SetKey(item[0], item[1]); err != nil {
				return err
			}
		}
	}
	c.json = merged
	return nil
}

// pageError says at which page the next one could not be found. Errors of the script's own functions
// keep their backtrace.
func pageError(place string, err error) error {
	if _, ok := errors.AsType[*starlark.EvalError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*engine.Error](err); ok {
		return err
	}
	return &engine.Error{Code: engine.CodeUpstream, Op: place, Err: err}
}
