package bench

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"starling/cmd/internal/sim"
)

// api answers as the Reporting Web Service does, in light JSON, and gives tokens. Pages are put together from rows that
// are rendered already, which takes a tenth of a microsecond for each.
type api struct {
	stock stock
	pages sync.Pool // of *[]byte
	zips  sync.Pool // of *gzip.Writer

	mu       sync.Mutex // guards what follows
	history  history
	requests int
	first    time.Time    // when the first one came
	finished map[int]bool // collectors that asked for what is after all of theirs
	done     chan struct{}
}

func newAPI() *api {
	return &api{
		stock: newStock(),
		pages: sync.Pool{New: func() any { return new([]byte) }},
		zips: sync.Pool{New: func() any {
			z, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed) // the level is a good one
			return z
		}},
	}
}

// begin has other rows. Done is closed when every collector has asked for what is after all of its rows: what was
// before is committed then.
func (a *api) begin(h history) (done chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.history, a.first, a.finished, a.done = h, time.Time{}, map[int]bool{}, make(chan struct{})
	return a.done
}

func (a *api) began() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.first
}

func (a *api) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests
}

// listen serves HTTP, and HTTPS with an authority of its own, in PEM.
func (a *api) listen() (plain, secure string, ca []byte, err error) {
	config, ca, err := sim.HostCertificate("127.0.0.1")
	if err != nil {
		return "", "", nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", nil, err
	}
	s, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", nil, err
	}
	server := &http.Server{Handler: a, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	go server.Serve(l)
	go server.Serve(tls.NewListener(s, config))
	return "http://" + l.Addr().String(), "https://" + s.Addr().String(), ca, nil
}

const reportPath = "/ecp/reportingwebservice/reporting.svc/MessageTrace"

var windowQuery = regexp.MustCompile(`^StartDate eq datetime'([^']+)' and EndDate eq datetime'([^']+)'$`)

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	if a.first.IsZero() {
		a.first = time.Now()
	}
	a.requests++
	h := a.history
	a.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, "/token") {
		a.token(w, r)
		return
	}
	q, err := readQuery(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !q.start.Before(h.To) {
		a.finish(q.collector)
	}
	page := a.pages.Get().(*[]byte)
	defer a.pages.Put(page)
	*page = a.page((*page)[:0], &h, q, "http://"+r.Host)
	w.Header().Set("Content-Type", "application/json;odata=minimalmetadata;streaming=true;charset=utf-8")
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") || r.TLS == nil {
		w.Header().Set("Content-Length", strconv.Itoa(len(*page)))
		w.Write(*page)
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	z := a.zips.Get().(*gzip.Writer)
	defer a.zips.Put(z)
	z.Reset(w)
	z.Write(*page)
	z.Close()
}

// token gives a token that says which collector asks, by the number at the end of its client id.
func (a *api) token(w http.ResponseWriter, r *http.Request) {
	id := r.PostFormValue("client_id")
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":"86399","access_token":%q}`, id[strings.LastIndexByte(id, '-')+1:])
}

func (a *api) finish(collector int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.finished[collector] {
		return
	}
	a.finished[collector] = true
	if len(a.finished) == a.history.Collectors {
		close(a.done)
	}
}

// A query is what a request asks for.
type query struct {
	collector  int
	filter     string
	start, end time.Time
	skip       int // rows of the window
}

func readQuery(r *http.Request) (q query, err error) {
	if q.collector, err = strconv.Atoi(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")); err != nil {
		return q, err
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return q, err
	}
	q.filter = values.Get("$filter")
	m := windowQuery.FindStringSubmatch(q.filter)
	if m == nil || !strings.EqualFold(r.URL.Path, reportPath) {
		return q, fmt.Errorf("not a question of the benchmark: %s", r.URL)
	}
	if q.start, err = time.Parse(time.RFC3339, m[1]); err != nil {
		return q, err
	}
	if q.end, err = time.Parse(time.RFC3339, m[2]); err != nil {
		return q, err
	}
	q.skip, _ = strconv.Atoi(values.Get("$skiptoken")) // the first page has none
	return q, nil
}

// page appends the page that is asked for: rows that are there by now.
func (a *api) page(b []byte, h *history, q query, base string) []byte {
	first := h.before(q.start)
	last := min(h.before(q.end.Add(tick)), h.before(time.Now()))
	from := first + q.skip
	to := min(from+pageRows, last)
	window := `","StartDate":"` + q.start.Format("2006-01-02T15:04:05Z") + `","EndDate":"` + q.end.Format("2006-01-02T15:04:05Z") + `","Index":`
	b = append(b, `{"odata.metadata":"`+base+`/ecp/ReportingWebService/Reporting.svc/$metadata#MessageTrace","value":[`...)
	for i := from; i < to; i++ {
		if i > from {
			b = append(b, ',')
		}
		b = a.stock.row(b, h.number(q.collector, i), h.moment(i))
		b = append(strconv.AppendInt(append(b, window...), int64(i-first), 10), '}')
	}
	if to < last {
		filter := strings.ReplaceAll(url.QueryEscape(q.filter), "+", "%20")
		return append(b, `],"odata.nextLink":"../../reportingwebservice/reporting.svc/MessageTrace?$filter=`+filter+`&$skiptoken=`+strconv.Itoa(to-first)+`"}`...)
	}
	return append(b, `]}`...)
}
