// Package exampleapi is a small API of alerts, for learning: it wants a bearer token, takes a range of time, and pages with a cursor.
package exampleapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// Token is the one that it accepts.
	Token = "example-token-7Hq2"
	// Every is the time between two alerts.
	Every = 10 * time.Second
	// Late is how long after its time an alert can be seen.
	Late = 20 * time.Second

	mostRows = 100
)

// alert is a row. All of it follows from its time, so that every run has the same ones.
type alert struct {
	ID      string    `json:"id"`
	Created time.Time `json:"createdAt"`
	Level   int       `json:"level"`
	Action  string    `json:"action"`
	Actor   actor     `json:"actor"`
}

type actor struct {
	Email string `json:"email"`
}

type answer struct {
	Items []alert `json:"items"`
	Meta  meta    `json:"meta"`
}

type meta struct {
	Next string `json:"next,omitempty"`
}

func alertAt(t time.Time) alert {
	n := t.Unix() / int64(Every/time.Second)
	actions := []string{"login.failed", "file.shared", "rule.changed"}
	people := []string{"Ada@example.com", "grace@example.com", "Linus@example.com", "barbara@example.com"}
	return alert{
		ID:      fmt.Sprintf("a-%d", n),
		Created: t.UTC(),
		Level:   int(n%3) + 1,
		Action:  actions[n/2%3],
		Actor:   actor{people[n%4]},
	}
}

// Handler answers GET /v1/alerts?from&to&limit&cursor. The end of a range does not belong to it.
func Handler(now func() time.Time) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/alerts", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+Token {
			refuse(w, http.StatusUnauthorized, "the token is not the right one")
			return
		}
		a, err := read(r.URL.Query(), now())
		if err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		reply(w, http.StatusOK, a)
	})
	return mux
}

// Sample is what it answers to a query.
func Sample(query url.Values, now time.Time) ([]byte, error) {
	a, err := read(query, now)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(a, "", "  ")
}

func read(query url.Values, now time.Time) (answer, error) {
	from, err := moment(query, "from", now.Add(-time.Hour))
	if err != nil {
		return answer{}, err
	}
	to, err := moment(query, "to", now)
	if err != nil {
		return answer{}, err
	}
	if cursor := query.Get("cursor"); cursor != "" {
		seconds, err := strconv.ParseInt(cursor, 10, 64)
		if err != nil {
			return answer{}, fmt.Errorf("cursor %q is none of ours", cursor)
		}
		from = time.Unix(seconds, 0)
	}
	limit := mostRows
	if text := query.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > mostRows {
			return answer{}, fmt.Errorf("limit %q is not from 1 to %d", text, mostRows)
		}
	}
	if seen := now.Add(-Late); to.After(seen) {
		to = seen
	}
	a := answer{Items: []alert{}}
	first := from.Truncate(Every)
	if first.Before(from) {
		first = first.Add(Every)
	}
	for t := first; t.Before(to); t = t.Add(Every) {
		if len(a.Items) == limit {
			a.Meta.Next = strconv.FormatInt(t.Unix(), 10)
			break
		}
		a.Items = append(a.Items, alertAt(t))
	}
	return a, nil
}

func moment(query url.Values, name string, otherwise time.Time) (time.Time, error) {
	text := query.Get(name)
	if text == "" {
		return otherwise, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%s %q is no moment such as 2026-05-01T00:00:00Z", name, text)
	}
	return t, nil
}

func refuse(w http.ResponseWriter, status int, why string) {
	reply(w, status, map[string]string{"error": why})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // who asked may have left
}
