package sim

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Order is the order of rows in an answer.
type Order int

const (
	NewestFirst Order = iota
	OldestFirst
	Shuffled // by a hash of the row, so that a row that appears moves the others by one place at most
)

// result is the answer to one query at one moment, as a list of row positions. Rows below settled are all in it, so that only
// those that may still be on their way are listed one by one.
type result struct {
	lo, settled int   // every row of [lo, settled)
	rest        []int // and these, upwards
	order       Order
}

// find evaluates a query anew, as the service does for every page: what is visible at one moment, with the statuses of another.
// Both bounds are inclusive, unless the end is open.
func (g *generator) find(q *query, o *Options, visible, now time.Time) result {
	order := o.Order
	r := result{lo: g.search(ticks(q.start)), order: order}
	end := ticks(q.end) + 1
	if o.OpenEnd {
		end--
	}
	hi := max(r.lo, g.search(end))
	r.settled = r.lo
	if len(q.terms) == 0 && order != Shuffled {
		r.settled = max(r.lo, min(hi, g.search(ticks(visible)-g.lateBy)))
	}
	hi = max(r.settled, min(hi, g.search(ticks(visible)+1)))
	at := reader{g: g}
	for i := r.settled; i < hi; i++ {
		if row := at.row(i); !row.Visible.After(visible) && row.matches(q.terms, now) {
			r.rest = append(r.rest, i)
		}
	}
	if order == Shuffled {
		slices.SortFunc(r.rest, func(a, b int) int { return cmp.Compare(mix(uint64(a)), mix(uint64(b))) })
	}
	return r
}

// mix scatters neighbouring numbers (the finaliser of splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (r *result) len() int { return r.settled - r.lo + len(r.rest) }

// at returns the row at a position of the answer.
func (r *result) at(position int) int {
	if r.order == NewestFirst {
		position = r.len() - 1 - position
	}
	if sure := r.settled - r.lo; position >= sure {
		return r.rest[position-sure]
	}
	return r.lo + position
}

// page is the rows of one page, without what surrounds them.
type page struct {
	body  []byte
	count int // rows on it
	total int // rows of the whole answer
}

// render makes the rows of a page, or takes them from the cache.
func (m *Microsoft) render(q *query, o *Options, base string, visible, now time.Time) page {
	all := m.rows.find(q, o, visible, now)
	limit := o.PageSize
	if q.top >= 0 {
		limit = min(limit, q.top)
	}
	p := page{total: all.len()}
	p.count = max(0, min(limit, p.total-q.skip))
	settled := len(q.terms) == 0 && ticks(q.end) < ticks(visible)-m.rows.lateBy
	keep := o.CacheBytes > 0 && settled && o.Order != Shuffled && o.Repeat == 0
	key := pageKey{shape: q.shape, start: ticks(q.start), end: ticks(q.end), skip: q.skip, count: p.count, order: o.Order, raw: o.RawUnicode, zone: o.Zone, open: o.OpenEnd, full: o.FullFraction}
	if q.shape != light { // the light form names the host in its envelope only
		key.base = base
	}
	if keep {
		if p.body = m.cache.get(key); p.body != nil {
			return p
		}
	}
	render := newRenderer(q, base, o, now)
	at := reader{g: m.rows}
	p.body = make([]byte, 0, p.count*700)
	for i := q.skip; i < q.skip+p.count; i++ {
		if i > q.skip && q.shape != atom {
			p.body = append(p.body, ',')
		}
		p.body = render.row(p.body, at.row(all.at(i)), i)
		if q.shape != atom && m.repeats(o.Repeat) {
			p.body = render.row(append(p.body, ','), at.row(all.at(i)), i)
		}
	}
	if keep {
		m.cache.put(key, p.body, o.CacheBytes)
	}
	return p
}

// repeats reports whether the row that was just written comes once more.
func (m *Microsoft) repeats(every int) bool {
	if every == 0 {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shown++
	if m.shown%every != 0 {
		return false
	}
	m.counters.Repeated++
	return true
}

// pageKey names the rows of one page; rows of a window that is settled never change.
type pageKey struct {
	base        string
	shape       shape
	start, end  int64
	skip, count int
	order       Order
	raw         bool
	zone, open  bool
	full        bool
}

// pageCache keeps the rendered rows of settled pages up to a number of bytes. It does not evict: it exists for benchmarks, which
// ask for the same pages again and must not pay for the simulator.
type pageCache struct {
	mu    sync.Mutex
	pages map[pageKey][]byte
	bytes int
}

func (c *pageCache) get(k pageKey) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pages[k]
}

func (c *pageCache) put(k pageKey, page []byte, limit int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bytes+len(page) > limit {
		return
	}
	if c.pages == nil {
		c.pages = map[pageKey][]byte{}
	}
	if _, there := c.pages[k]; !there {
		c.bytes += len(page)
		c.pages[k] = slices.Clip(page)
	}
}
