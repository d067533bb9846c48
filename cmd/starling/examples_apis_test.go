package main

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// An exampleRow is a record of a simulated API: an id and when it happened.
type exampleRow struct {
	id string
	at time.Time
}

// An exampleAPI is what a simulated API does of itself: who may ask, how a page is answered and how it says that it is too much.
type exampleAPI interface {
	// authorized reports whether a request for data may be answered. Requests for tokens it answers itself.
	authorized(r *http.Request) bool
	// page answers a request with some of the rows, which are in order.
	page(w http.ResponseWriter, r *http.Request, rows []exampleRow)
	throttle(w http.ResponseWriter)
}

// An exampleServer serves rows by an API and misbehaves: of its first requests for data one is throttled, one fails and one breaks
// off. With hold, it answers no more from the fourth page on, which is where the collector is stopped.
type exampleServer struct {
	t    *testing.T
	api  exampleAPI
	held chan struct{} // closed when an answer is held back

	mu    sync.Mutex
	rows  []exampleRow
	asked int
	pages int
	hold  bool
}

func (s *exampleServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a, ok := s.api.(interface {
		token(http.ResponseWriter, *http.Request) bool
	}); ok && a.token(w, r) {
		return
	}
	if !s.api.authorized(r) {
		s.t.Errorf("not authorized: %s %s %v", r.Method, r.URL, r.Header)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	s.asked++
	asked, rows := s.asked, s.rows
	hold := s.hold && s.pages == 3
	s.pages++
	s.mu.Unlock()
	switch {
	case hold:
		s.mu.Lock()
		s.pages--
		s.mu.Unlock()
		select {
		case <-s.held:
		default:
			close(s.held)
		}
		<-r.Context().Done()
	case asked == 2:
		s.api.throttle(w)
	case asked == 3:
		w.WriteHeader(http.StatusBadGateway)
	case asked == 4:
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, `[{"half": `)
	default:
		s.api.page(w, r, rows)
		return
	}
	s.mu.Lock()
	s.pages = max(s.pages-1, 0)
	s.mu.Unlock()
}

// go on answering, with more rows.
func (s *exampleServer) goOn(more ...exampleRow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = false
	s.rows = append(s.rows, more...)
}

// rowsBetween returns the rows of a range with both its ends.
func rowsBetween(rows []exampleRow, from, to time.Time) (in []exampleRow) {
	for _, row := range rows {
		if !row.at.Before(from) && !row.at.After(to) {
			in = append(in, row)
		}
	}
	return in
}

// cutRows returns at most n rows from one on, and where the next page begins, or -1.
func cutRows(rows []exampleRow, from, n int) ([]exampleRow, int) {
	rows = rows[min(from, len(rows)):]
	if len(rows) <= n {
		return rows, -1
	}
	return rows[:n], from + n
}

func listOf(rows []exampleRow, record func(exampleRow) map[string]any) []map[string]any {
	list := []map[string]any{}
	for _, row := range rows {
		list = append(list, record(row))
	}
	return list
}

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// githubAPI pages by the header Link, whose cursor is a number here.
type githubAPI struct{}

func (githubAPI) authorized(r *http.Request) bool {
	return r.URL.Path == "/orgs/octo-corp/audit-log" && r.Header.Get("Authorization") == "Bearer github-token-7Hq2"
}

func (githubAPI) page(w http.ResponseWriter, r *http.Request, rows []exampleRow) {
	q := r.URL.Query()
	from, to, _ := strings.Cut(strings.TrimPrefix(q.Get("phrase"), "created:"), "..")
	begin, err1 := time.Parse(time.RFC3339, from)
	end, err2 := time.Parse(time.RFC3339, to)
	if err1 != nil || err2 != nil || q.Get("include") != "all" || q.Get("order") != "asc" {
		http.Error(w, `{"message": "a query that GitHub does not know"}`, http.StatusUnprocessableEntity)
		return
	}
	after, _ := strconv.Atoi(q.Get("after"))
	page, next := cutRows(rowsBetween(rows, begin, end), after, 10)
	if next >= 0 {
		q.Set("after", strconv.Itoa(next))
		w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?%s>; rel="next", <http://%[1]s%[2]s>; rel="first"`, r.Host, r.URL.Path, q.Encode()))
	}
	answerJSON(w, listOf(page, func(row exampleRow) map[string]any {
		return map[string]any{"_document_id": row.id, "@timestamp": row.at.UnixMilli(), "action": "git.clone", "actor": "octocat"}
	}))
}

func (githubAPI) throttle(w http.ResponseWriter) {
	w.Header().Set("X-RateLimit-Remaining", "0")
	w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(time.Now().Unix()+1, 10))
	w.WriteHeader(http.StatusForbidden)
	fmt.Fprint(w, `{"message": "API rate limit exceeded"}`)
}

// oktaAPI is a stream: each page leads to the next, for ever. It signs in with a key that it knows by an id.
type oktaAPI struct{ key *rsa.PublicKey }

func (a oktaAPI) token(w http.ResponseWriter, r *http.Request) bool {
	if r.URL.Path != "/oauth2/v1/token" {
		return false
	}
	_, err := jwt.Parse(r.PostFormValue("client_assertion"), func(t *jwt.Token) (any, error) {
		if t.Header["kid"] != "key-1" {
			return nil, fmt.Errorf("kid %v", t.Header["kid"])
		}
		return a.key, nil
	}, jwt.WithValidMethods([]string{"RS256"}), jwt.WithAudience("http://"+r.Host+r.URL.Path), jwt.WithIssuer("0oaApp"), jwt.WithSubject("0oaApp"), jwt.WithExpirationRequired())
	if err != nil || r.PostFormValue("scope") != "okta.logs.read" || r.PostFormValue("grant_type") != "client_credentials" {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error": "invalid_client", "error_description": %q}`, fmt.Sprint(err))
		return true
	}
	answerJSON(w, map[string]any{"token_type": "Bearer", "expires_in": 3600, "access_token": "okta-access-Wz81", "scope": "okta.logs.read"})
	return true
}

func (oktaAPI) authorized(r *http.Request) bool {
	return r.URL.Path == "/api/v1/logs" && r.Header.Get("Authorization") == "Bearer okta-access-Wz81"
}

func (oktaAPI) page(w http.ResponseWriter, r *http.Request, rows []exampleRow) {
	q := r.URL.Query()
	after, _ := strconv.Atoi(q.Get("after"))
	if since, err := time.Parse(time.RFC3339, q.Get("since")); err == nil {
		after = slices.IndexFunc(rows, func(row exampleRow) bool { return !row.at.Before(since) })
	}
	page, next := cutRows(rows, after, 10)
	if next < 0 {
		next = after + len(page)
	}
	w.Header().Add("Link", fmt.Sprintf(`<http://%s%s>; rel="self"`, r.Host, r.URL))
	w.Header().Add("Link", fmt.Sprintf(`<http://%s%s?after=%d>; rel="next"`, r.Host, r.URL.Path, next))
	answerJSON(w, listOf(page, func(row exampleRow) map[string]any {
		return map[string]any{"uuid": row.id, "published": row.at.Format("2006-01-02T15:04:05.000Z"), "eventType": "user.session.start"}
	}))
}

func (oktaAPI) throttle(w http.ResponseWriter) {
	w.Header().Set("X-Rate-Limit-Remaining", "0")
	w.Header().Set("X-Rate-Limit-Reset", strconv.FormatInt(time.Now().Unix()+1, 10))
	w.WriteHeader(http.StatusTooManyRequests)
	fmt.Fprint(w, `{"errorCode": "E0000047", "errorSummary": "API call exceeded rate limit due to too many requests."}`)
}

// entraAPI is OData of Microsoft Graph, newest first.
type entraAPI struct{}

func (entraAPI) token(w http.ResponseWriter, r *http.Request) bool {
	if r.URL.Path != "/contoso/oauth2/v2.0/token" {
		return false
	}
	if r.PostFormValue("client_secret") != "entra-secret-Kd02" || r.PostFormValue("scope") == "" {
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	answerJSON(w, map[string]any{"token_type": "Bearer", "expires_in": 3600, "access_token": "entra-access-Lm55"})
	return true
}

func (entraAPI) authorized(r *http.Request) bool {
	return r.URL.Path == "/v1.0/auditLogs/signIns" && r.Header.Get("Authorization") == "Bearer entra-access-Lm55"
}

func (entraAPI) page(w http.ResponseWriter, r *http.Request, rows []exampleRow) {
	q := r.URL.Query()
	words := strings.Fields(q.Get("$filter"))
	if len(words) != 7 || words[0] != "createdDateTime" || words[1] != "ge" || words[5] != "le" {
		http.Error(w, `{"error": {"message": "Invalid filter clause"}}`, http.StatusBadRequest)
		return
	}
	from, err1 := time.Parse(time.RFC3339, words[2])
	to, err2 := time.Parse(time.RFC3339, words[6])
	if err1 != nil || err2 != nil {
		http.Error(w, `{"error": {"message": "Invalid filter clause"}}`, http.StatusBadRequest)
		return
	}
	in := rowsBetween(rows, from, to)
	slices.Reverse(in)
	skip, _ := strconv.Atoi(q.Get("$skiptoken"))
	page, next := cutRows(in, skip, 40)
	doc := map[string]any{"value": listOf(page, func(row exampleRow) map[string]any {
		return map[string]any{"id": row.id, "createdDateTime": row.at.Format(time.RFC3339Nano), "userPrincipalName": "ada@contoso.com"}
	})}
	if next >= 0 {
		doc["@odata.nextLink"] = fmt.Sprintf("http://%s%s?$filter=%s&$top=1000&$skiptoken=%d", r.Host, r.URL.Path, url.QueryEscape(q.Get("$filter")), next)
	}
	answerJSON(w, doc)
}

func (entraAPI) throttle(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusTooManyRequests)
	fmt.Fprint(w, `{"error": {"code": "TooManyRequests", "message": "Too Many Requests"}}`)
}

// duoAPI wants each request signed, with a date that is not older than five minutes.
type duoAPI struct{}

func (duoAPI) authorized(r *http.Request) bool {
	date, err := time.Parse("Mon, 02 Jan 2006 15:04:05 -0700", r.Header.Get("Date"))
	if err != nil || time.Since(date).Abs() > 5*time.Minute || r.URL.Path != "/admin/v2/logs/authentication" {
		return false
	}
	user, password, _ := r.BasicAuth()
	h := hmac.New(sha512.New, []byte("duo-secret-Xc39"))
	// Values.Encode sorts by name; no name is there twice, and no value has a space.
	fmt.Fprintf(h, "%s\n%s\n%s\n%s\n%s", r.Header.Get("Date"), r.Method, strings.ToLower(r.Host), r.URL.Path, r.URL.Query().Encode())
	return user == "DIEXAMPLE" && hmac.Equal([]byte(password), []byte(hex.EncodeToString(h.Sum(nil))))
}

func (duoAPI) page(w http.ResponseWriter, r *http.Request, rows []exampleRow) {
	q := r.URL.Query()
	from, err1 := strconv.ParseInt(q.Get("mintime"), 10, 64)
	to, err2 := strconv.ParseInt(q.Get("maxtime"), 10, 64)
	if err1 != nil || err2 != nil || q.Get("sort") != "ts:asc" {
		http.Error(w, `{"stat": "FAIL", "code": 40002, "message": "Invalid request parameters"}`, http.StatusBadRequest)
		return
	}
	at := 0
	if _, id, ok := strings.Cut(q.Get("next_offset"), ","); ok {
		at, _ = strconv.Atoi(id)
	}
	page, next := cutRows(rowsBetween(rows, time.UnixMilli(from), time.UnixMilli(to)), at, 10)
	var offset any
	if next >= 0 {
		offset = []string{strconv.FormatInt(page[len(page)-1].at.UnixMilli(), 10), strconv.Itoa(next)}
	}
	answerJSON(w, map[string]any{"stat": "OK", "response": map[string]any{
		"authlogs": listOf(page, func(row exampleRow) map[string]any {
			return map[string]any{"txid": row.id, "timestamp": row.at.Unix(), "isotimestamp": row.at.Format(time.RFC3339Nano), "event_type": "authentication", "result": "success"}
		}),
		"metadata": map[string]any{"next_offset": offset, "total_objects": len(rows)},
	}})
}

func (duoAPI) throttle(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusTooManyRequests)
	fmt.Fprint(w, `{"stat": "FAIL", "code": 42901, "message": "Too Many Requests"}`)
}
