package sim

import (
	"context"
	"crypto/cipher"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Options describe the tenant, its mail and how the service behaves. The zero value of every field is a working choice.
type Options struct {
	Seed         uint64
	TenantID     string
	ClientID     string
	ClientSecret string
	Organization string
	Resource     string           // audience of the report; default https://outlook.office365.com
	Now          func() time.Time // default time.Now; decides about visibility, expiry and retention, and is the Date header
	Skew         time.Duration    // how far the service's clock is ahead of Now
	Rows         Rows
	Graph        Graph

	// How the report behaves.
	PageSize      int // default 2000
	Order         Order
	SkipToken     string   // "key" of the last row (default), or "offset": how many rows to leave out
	Links         string   // "relative" or "absolute" for all forms; by default as captured: the light form has relative ones
	Snapshot      bool     // later pages of a window show what its first page saw
	TrailingEmpty bool     // the last page has a link to one without rows
	OpenEnd       bool     // EndDate is exclusive
	Zone          bool     // Received ends in Z in the light form and in Atom
	RawUnicode    bool     // write characters beyond ASCII as they are, not as \u escapes
	FullFraction  bool     // moments have all digits of their fraction, also zeros; those of Graph too
	RetentionDays int      // default 10; the documentation once said 30
	Overload      Overload // refuses windows with many rows
	Gzip          bool     // compress for clients that take it
	Repeat        int      // every n-th row comes twice, of Graph too
	Quota         Quota
	NoPermission  bool // the application lacks ReportingWebService.Read.All: 401
	NoRole        bool // it lacks the directory role: 403
	Retired       int  // answer every request for the report with this status: 401, 403, 404 or 410; 200 is a web page

	// How tokens are given. See also Tokens.
	TokenLifetime time.Duration // default 3599 s
	RevokeEvery   int           // every n-th request for data finds all tokens revoked
	TokenFaults   Faults
	Token         Token

	// What goes wrong with requests for data.
	ErrorBody string // of 429, 500, 503: "odata" (default), "html" or "empty"
	Throttle  Throttle
	Faults    Faults
	Latency   time.Duration // before each answer

	KeepLog   bool                         // see Log
	OnRequest func(*http.Request, Request) // called after each answer, by many goroutines at a time
	// CacheBytes is how much memory may hold rendered pages, so that a benchmark does not pay for making them: about 550 bytes
	// a row. See Prerender. Only windows whose rows can change no more are kept.
	CacheBytes int
}

// Overload makes the report refuse a window with more than so many rows. Status is 500 (default) or 504.
type Overload struct {
	Rows   int
	Status int
}

// Counters say what happened so far.
type Counters struct {
	Requests     int // for data
	Pages        int // answered well, and whole
	Rows         int // on those pages
	BadRequests  int // answered with 400
	Throttled    int // answered with 429
	Early        int // requests that came before Retry-After was over
	Overloads    int // windows with too many rows
	Unauthorized int // answered with 401 or 403
	Tokens       int // issued
	TokenErrors  int // refused token requests
	Repeated     int // rows that came twice
	Faults       int // given, to requests for data and for tokens
}

// Microsoft is the token endpoint, the MessageTrace report and the message trace of Graph. It is an http.Handler, and safe for
// concurrent use.
type Microsoft struct {
	rows   *generator
	cache  pageCache
	sealer cipher.AEAD // of the tokens in links
	server *http.Server

	mu          sync.Mutex // guards what follows
	options     Options
	tokens      map[string]grant
	counters    Counters
	log         []Request
	faults      faultState
	tokenFaults faultState
	requests    int                    // that Throttle counted
	shown       int                    // rows, for Repeat
	pausedUntil time.Time              // by Throttle
	quotas      map[string]*quotaState // by class
	snapshots   map[[2]int64]time.Time // when the first page of a window was asked for
	links       int                    // that Graph gave
	graphPages  int
	checked     int // bearer tokens
	issue       issuer
}

var _ http.Handler = (*Microsoft)(nil)

// NewMicrosoft returns a service with the options, and default credentials where they give none.
func NewMicrosoft(o Options) *Microsoft {
	o = o.withDefaults()
	return &Microsoft{
		rows:        newGenerator(o.Seed, o.Organization, o.Rows),
		options:     o,
		tokens:      map[string]grant{},
		faults:      faultState{random: rand.New(rand.NewPCG(o.Seed, 1<<63))},
		tokenFaults: faultState{random: rand.New(rand.NewPCG(o.Seed, 1<<63+1))},
		sealer:      newSealer(o.Seed),
		quotas:      map[string]*quotaState{},
		snapshots:   map[[2]int64]time.Time{},
	}
}

func (o Options) withDefaults() Options {
	text := func(p *string, def string) {
		if *p == "" {
			*p = def
		}
	}
	text(&o.TenantID, "3f2c1b9e-5d47-4a0b-9a66-0c1de5a7b001")
	text(&o.ClientID, "8a1d6c54-77f0-4d0e-b6d1-52c9e4f3a002")
	text(&o.ClientSecret, "sim~8Q+/secret=of&the%simulator")
	text(&o.Organization, "contoso.onmicrosoft.com")
	text(&o.Resource, "https://outlook.office365.com")
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.PageSize == 0 {
		o.PageSize = 2000
	}
	if o.RetentionDays == 0 {
		o.RetentionDays = 10
	}
	if o.TokenLifetime == 0 {
		o.TokenLifetime = 3599 * time.Second
	}
	o.Graph.withDefaults()
	return o
}

// now is what the clock of the service says.
func (o *Options) now() time.Time { return o.Now().Add(o.Skew).UTC() }

// Start serves on addr, such as 127.0.0.1:0, and returns the base URL. Close ends it.
func (m *Microsoft) Start(addr string) (base string, err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("start simulated Microsoft: %w", err)
	}
	m.serve(l)
	return "http://" + reachable(l.Addr()), nil
}

// StartTLS serves on addr over TLS, with a certificate of an authority of its own, and returns the base URL and the authority in
// PEM.
func (m *Microsoft) StartTLS(addr string) (base string, ca []byte, err error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return "", nil, fmt.Errorf("start simulated Microsoft: %w", err)
	}
	config, ca, err := HostCertificate(host)
	if err != nil {
		return "", nil, fmt.Errorf("start simulated Microsoft: %w", err)
	}
	l, err := tls.Listen("tcp", addr, config)
	if err != nil {
		return "", nil, fmt.Errorf("start simulated Microsoft: %w", err)
	}
	m.serve(l)
	return "https://" + reachable(l.Addr()), ca, nil
}

// reachable is how this machine reaches a listener, which may listen on all of its addresses.
func reachable(a net.Addr) string {
	tcp := *a.(*net.TCPAddr) // of a listener of tcp
	if tcp.IP.IsUnspecified() {
		tcp.IP = net.IPv4(127, 0, 0, 1)
	}
	return tcp.String()
}

func (m *Microsoft) serve(l net.Listener) {
	m.server = &http.Server{Handler: m, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	go func() {
		if err := m.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // a simulator that dies unseen would look like an outage
		}
	}()
}

// Close ends what Start began, and its connections.
func (m *Microsoft) Close() error {
	if m.server == nil {
		return nil
	}
	return m.server.Close()
}

// Change changes the options of the running service. Seed, Organization and Rows stay as they are.
func (m *Microsoft) Change(change func(*Options)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.options)
}

// Options returns the options in force, with the defaults filled in.
func (m *Microsoft) Options() Options {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.options
}

// Counters returns what happened so far.
func (m *Microsoft) Counters() Counters {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counters
}

func (m *Microsoft) count(change func(*Counters)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.counters)
}

// Prerender renders the pages of the light answer for the window [start, end] into the cache, as far as CacheBytes allows.
// A window is kept under its bounds, so a benchmark prerenders exactly the windows it will ask for; others are kept when they
// are first asked for.
func (m *Microsoft) Prerender(start, end time.Time) {
	o := m.Options()
	q := query{shape: light, start: start.UTC(), end: end.UTC(), top: -1}
	for {
		p := m.render(&q, &o, "", o.now(), o.now())
		if q.skip += p.count; q.skip >= p.total {
			return
		}
	}
}

// ServeHTTP answers all endpoints; paths are not case-sensitive, and hosts do not matter.
func (m *Microsoft) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o := m.Options()
	w.Header().Set("Date", o.now().UTC().Format(http.TimeFormat))
	w.Header().Set("Request-Id", randomGUID())
	note := &Request{At: o.Now()}
	r = withNote(r, note)
	defer m.note(r, note, &o)
	path := strings.TrimSuffix(strings.ToLower(r.URL.Path), "/")
	tenant, endpoint, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch {
	case path == strings.ToLower(servicePath+"MessageTrace"):
		m.report(w, r, &o)
	case tenant == "v1.0" || tenant == "beta":
		m.graph(w, r, &o)
	case path == identityPath || path == appServicePath:
		m.identity(w, r, &o, path == appServicePath)
	case endpoint == "oauth2/token":
		m.token(w, r, &o, tenant, false)
	case endpoint == "oauth2/v2.0/token":
		m.token(w, r, &o, tenant, true)
	default:
		values, _ := url.ParseQuery(r.URL.RawQuery)
		body, contentType := shapeOf(values, r.Header.Get("Accept")).failure("Resource not found for the segment '" + path[strings.LastIndex(path, "/")+1:] + "'.")
		(&reply{status: http.StatusNotFound, contentType: contentType, parts: [][]byte{[]byte(body)}}).send(w, r, "")
	}
}

// note keeps what the log says about a request, and tells it.
func (m *Microsoft) note(r *http.Request, note *Request, o *Options) {
	if o.KeepLog {
		m.mu.Lock()
		m.log = append(m.log, *note)
		m.mu.Unlock()
	}
	if o.OnRequest != nil {
		o.OnRequest(r, *note)
	}
}

// pause waits for the latency, or for the client to leave.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
