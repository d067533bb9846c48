package engine

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"
)

// sweptStore is a store whose collector in/1/svc has settled an hour and swept another.
func sweptStore(t *testing.T) *Store {
	t.Helper()
	s, commit := ledgerStore(t)
	commit(3, Mark{From: at(0), To: at(3600), State: SpanSettled, Swept: at(100_000)}, Mark{From: at(3600), To: at(7200), State: SpanSwept, Swept: at(7500)})
	for name, value := range map[string]string{WindowCursor: `"` + at(3600).Format(time.RFC3339) + `"`, SweepsCursor: `{"v":1,"settles":90000}`} {
		if err := s.SetCursor("in/1/svc", name, json.RawMessage(value)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestCoverageOfARunningStarling asks over the socket, and wants what the store itself says.
func TestCoverageOfARunningStarling(t *testing.T) {
	s := sweptStore(t)
	if _, found := FindRunning(s.dir); found {
		t.Fatal("nothing runs there yet")
	}
	defer s.serveControl(slog.New(slog.DiscardHandler), nil)()
	running, found := FindRunning(s.dir)
	if !found {
		t.Fatal("it does not answer")
	}
	names, err := running.Covered()
	if err != nil || fmt.Sprint(names) != "[in/1/svc]" {
		t.Fatalf("collectors: %v, %v", names, err)
	}
	for _, acked := range []bool{false, true} {
		if acked {
			if err := s.ack("devo", s.nextChunk()); err != nil {
				t.Fatal(err)
			}
		}
		got, err := running.Report("in/1/svc", at(1800), at(7200))
		if err != nil {
			t.Fatal(err)
		}
		want, err := s.Report("in/1/svc", at(1800), at(7200))
		if err != nil {
			t.Fatal(err)
		}
		for i := range want.Spans { // they stay inside
			want.Spans[i].first, want.Spans[i].next = 0, 0
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
		if len(got.Spans) != 2 || got.Spans[0].Complete() != acked || got.Spans[1].Complete() || !got.Settled.Equal(at(3600)) {
			t.Errorf("acknowledged %v: %+v", acked, got)
		}
	}
}

// TestBackfillIsRefusedOrKept sets, refuses and ends backfills, over the socket.
func TestBackfillIsRefusedOrKept(t *testing.T) {
	s := sweptStore(t)
	defer s.serveControl(slog.New(slog.DiscardHandler), nil)()
	running, _ := FindRunning(s.dir)
	refused := func(collector string, b Backfill, want string) {
		t.Helper()
		err := running.SetBackfill(collector, &b)
		if err == nil || !strings.Contains(err.Error(), want) || CodeOf(err, "") != CodeConfig {
			t.Errorf("%+v: got %v, want an error of %s with %q", b, err, CodeConfig, want)
		}
	}
	refused("in/1/svc", Backfill{From: at(0), To: at(0)}, "the range is empty")
	refused("in/1/svc", Backfill{From: at(0), To: at(3601)}, "the range ends at 2026-11-20T01:00:01Z")
	refused("in/1/other", Backfill{From: at(-10), To: at(0)}, "keeps no ledger yet")
	if err := running.SetBackfill("in/1/svc", &Backfill{From: at(-7200), To: at(0), Again: true}); err != nil {
		t.Fatal(err)
	}
	refused("in/1/svc", Backfill{From: at(-10), To: at(0)}, "another one is going on")
	b := backfillIn(t, running)
	if b.ID == "" || !b.Again || !b.From.Equal(at(-7200)) || !b.To.Equal(at(0)) || !b.Next.Equal(b.From) || b.Over() {
		t.Errorf("asked for: %+v", b)
	}
	setDone := func(id string, next time.Time) {
		t.Helper()
		text, err := json.Marshal(Backfill{ID: id, Next: next})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetCursor("in/1/svc", BackfillDoneCursor, text); err != nil {
			t.Fatal(err)
		}
	}
	setDone("earlier", at(0))
	if b := backfillIn(t, running); !b.Next.Equal(b.From) {
		t.Errorf("what another one has done counts for this one: %+v", b)
	}
	setDone(b.ID, at(-3600))
	if b := backfillIn(t, running); !b.Next.Equal(at(-3600)) || b.Over() {
		t.Errorf("half of it is done: %+v", b)
	}
	setDone(b.ID, at(0))
	if b := backfillIn(t, running); !b.Over() {
		t.Errorf("all of it is done: %+v", b)
	}
	if err := running.SetBackfill("in/1/svc", &Backfill{From: at(0), To: at(3600)}); err != nil {
		t.Errorf("after the other is done: %v", err)
	}
	if err := running.SetBackfill("in/1/svc", nil); err != nil {
		t.Fatal(err)
	}
	if b := backfillIn(t, running); b != nil {
		t.Errorf("after it was ended: %+v", b)
	}
}

func backfillIn(t *testing.T, r *Running) *Backfill {
	t.Helper()
	report, err := r.Report("in/1/svc", time.Time{}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return report.Backfill
}
