// Package sinktest checks that a sink keeps what engine.Sink promises, and holds the receiver and the
// certificates that tests of sinks need.
package sinktest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"starling/engine"
)

// A Fixture is a new sink and its other side.
type Fixture struct {
	Sink engine.Sink
	// Bodies returns the bodies that the other side has received so far, in order. Nil means that
	// nobody can tell.
	Bodies func() []string
	// Unordered says that the order in which events arrive is not that in which they were sent.
	Unordered bool
	// Break makes the other side fail, whatever is sent, until Mend. Nil means that it cannot.
	Break, Mend func()
	// Stall makes the other side take no more bytes. Nil means that it cannot.
	Stall func()
}

// Run checks every behaviour that sinks share, each with a fixture of its own.
func Run(t *testing.T, fresh func(t *testing.T) Fixture) {
	for _, behaviour := range []struct {
		name  string
		check func(*testing.T, Fixture)
	}{
		{"TenThousandEventsArriveOnceInOrder", manyEvents},
		{"AcknowledgedIsReceived", acknowledgedIsReceived},
		{"FlushOfNothingIsNil", flushOfNothing},
		{"EventStaysOneEvent", hostileBodies},
		{"BigEvent", bigEvent},
		{"BodiesAreLeftAlone", bodiesAreLeftAlone},
		{"NothingIsReadAfterFlush", nothingIsReadAfterFlush},
		{"FailureIsToldAndTheNextOfferDelivers", failureAndNextOffer},
		{"FailureWithinAnEpoch", failureWithinEpoch},
		{"CanceledContextEndsAtOnce", canceled},
		{"CancelEndsWaiting", cancelEndsWaiting},
		{"CloseTwice", closeTwice},
	} {
		t.Run(behaviour.name, func(t *testing.T) {
			t.Parallel()
			f := fresh(t)
			t.Cleanup(func() { _ = f.Sink.Close() })
			behaviour.check(t, f)
		})
	}
}

var table = &engine.Table{Tag: "test.sink.suite", Priority: engine.DefaultPriority}

// Events returns n events whose bodies differ, from number first on.
func Events(first, n int) []engine.Event {
	texts := []string{"plain", "Prüfung", "日本語", "🍍 \\n \\u2028", strings.Repeat("x", 700), "tab\there"}
	events := make([]engine.Event, n)
	for i := range events {
		number := first + i
		events[i] = engine.Event{Table: table, Time: time.UnixMilli(1_671_628_634_405 + int64(number)).UTC(),
			Body: fmt.Appendf(nil, `{"number": %d, "text": "%s"}`, number, texts[number%len(texts)])}
	}
	return events
}

func bodies(events []engine.Event) []string {
	texts := make([]string, len(events))
	for i := range events {
		texts[i] = string(events[i].Body)
	}
	return texts
}

func send(t *testing.T, f Fixture, events []engine.Event) {
	t.Helper()
	if err := f.Sink.Send(t.Context(), events); err != nil {
		t.Fatalf("Send: %v", err)
	}
}

func flush(t *testing.T, f Fixture) {
	t.Helper()
	if err := acknowledge(t.Context(), f.Sink); err != nil {
		t.Fatalf("Flush: %v", err)
	}
}

// acknowledge ends the epoch and wants the evidence, of a Lagging sink too.
func acknowledge(ctx context.Context, sink engine.Sink) error {
	lagging, ok := sink.(engine.Lagging)
	if !ok {
		return sink.Flush(ctx)
	}
	if err := sink.Flush(ctx); err != nil {
		return err
	}
	before := lagging.Confirmed()
	if err := lagging.Settle(ctx); err != nil {
		return err
	}
	if after := lagging.Confirmed(); after != before && after != before+1 {
		return fmt.Errorf("%d epochs confirmed, then %d, by an epoch of which nothing else was open", before, after)
	}
	return nil
}

func wantBodies(t *testing.T, got, want []string) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("body %d: got %.200q, want %.200q", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("got %d bodies, want %d", len(got), len(want))
	}
}

// wantBodies wants the other side to have got these.
func (f Fixture) wantBodies(t *testing.T, got, want []string) {
	t.Helper()
	if f.Unordered {
		got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	}
	wantBodies(t, got, want)
}

func manyEvents(t *testing.T, f Fixture) {
	events := Events(0, 10_000)
	for batch := range slices.Chunk(events, 137) {
		send(t, f, batch)
		if batch[0].Body[11] == '1' {
			flush(t, f)
		}
	}
	flush(t, f)
	if f.Bodies != nil {
		f.wantBodies(t, f.Bodies(), bodies(events))
	}
}

func acknowledgedIsReceived(t *testing.T, f Fixture) {
	for i := range 20 {
		send(t, f, Events(i, 1))
		flush(t, f)
		if f.Bodies != nil && len(f.Bodies()) != i+1 {
			t.Fatalf("%d events acknowledged, %d received", i+1, len(f.Bodies()))
		}
	}
}

func flushOfNothing(t *testing.T, f Fixture) {
	flush(t, f)
	send(t, f, Events(0, 3))
	flush(t, f)
	if f.Break != nil {
		f.Break()
		flush(t, f)
		f.Mend()
	}
	flush(t, f)
	if f.Bodies != nil {
		f.wantBodies(t, f.Bodies(), bodies(Events(0, 3)))
	}
}

func hostileBodies(t *testing.T, f Fixture) {
	events := Events(0, 8)
	events[1].Body = []byte("one\ntwo\r\n<14>Jan  1 00:00:00 evil my.app.forged: three\x00four")
	events[3].Body = []byte("ends\n")
	events[4].Body = []byte("\n\n")
	events[5].Body = nil
	events[6].Body = []byte("\x1b[31mred\x1b[0m \xff\xed\xa0\xbd")
	send(t, f, events)
	flush(t, f)
	if f.Bodies == nil {
		return
	}
	got := f.Bodies()
	if len(got) != len(events) {
		t.Fatalf("%d events became %d: %.500q", len(events), len(got), got)
	}
	seen, want := make([]string, len(got)), make([]string, len(got))
	for i := range got {
		seen[i], want[i] = visible(got[i]), visible(string(events[i].Body))
	}
	f.wantBodies(t, seen, want)
}

// visible leaves out what sinks may show in different ways: control characters and bytes that are no text.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == '?' || r == '\uFFFD' {
			return -1
		}
		return r
	}, s)
}

func bigEvent(t *testing.T, f Fixture) {
	events := Events(0, 3)
	events[1].Body = []byte(strings.Repeat("0123456789abcdef", 1<<16))
	send(t, f, events)
	flush(t, f)
	if f.Bodies != nil {
		f.wantBodies(t, f.Bodies(), bodies(events))
	}
}

func bodiesAreLeftAlone(t *testing.T, f Fixture) {
	events := Events(0, 100)
	events[7].Body = []byte("with\nline\nfeeds")
	before := bodies(events)
	send(t, f, events)
	flush(t, f)
	wantBodies(t, bodies(events), before)
}

// nothingIsReadAfterFlush has the memory of events used for something else once Flush has returned, or Send
// of a Copier, as the engine does.
func nothingIsReadAfterFlush(t *testing.T, f Fixture) {
	var want []string
	for epoch := range 5 {
		events := Events(100*epoch, 100)
		want = append(want, bodies(events)...)
		send(t, f, events)
		if _, ok := f.Sink.(engine.Copier); ok {
			spoil(events)
		}
		if err := f.Sink.Flush(t.Context()); err != nil {
			t.Fatalf("Flush: %v", err)
		}
		spoil(events)
	}
	if lagging, ok := f.Sink.(engine.Lagging); ok {
		if err := lagging.Settle(t.Context()); err != nil {
			t.Fatalf("Settle: %v", err)
		}
	}
	if f.Bodies != nil {
		f.wantBodies(t, f.Bodies(), want)
	}
}

func spoil(events []engine.Event) {
	for i := range events {
		copy(events[i].Body, strings.Repeat("#", len(events[i].Body)))
	}
	clear(events)
}

// offer sends the events in batches and flushes, until something fails.
func offer(ctx context.Context, sink engine.Sink, events []engine.Event) error {
	for batch := range slices.Chunk(events, 100) {
		if err := sink.Send(ctx, batch); err != nil {
			return err
		}
	}
	return acknowledge(ctx, sink)
}

func failureAndNextOffer(t *testing.T, f Fixture) {
	if f.Break == nil {
		return
	}
	send(t, f, Events(0, 10))
	flush(t, f)
	f.Break()
	events := Events(10, 2000)
	for range 3 {
		if err := offer(t.Context(), f.Sink, events); err == nil {
			t.Fatal("an epoch was acknowledged by an other side that failed")
		}
	}
	f.Mend()
	offerAgain(t, f, events)
}

func failureWithinEpoch(t *testing.T, f Fixture) {
	if f.Break == nil {
		return
	}
	events := Events(0, 4000)
	send(t, f, events[:2000])
	f.Break()
	if err := offer(t.Context(), f.Sink, events[2000:]); err == nil {
		t.Fatal("an epoch was acknowledged by an other side that failed within it")
	}
	f.Mend()
	offerAgain(t, f, events)
}

// offerAgain offers what has failed and wants all of it to come after that, in order if there is one. The
// other side may take from another connection, beside it, what it had before the failure.
func offerAgain(t *testing.T, f Fixture, events []engine.Event) {
	t.Helper()
	before := 0
	if f.Bodies != nil {
		before = len(f.Bodies())
	}
	if err := offer(t.Context(), f.Sink, events); err != nil {
		t.Fatalf("the next offer failed too: %v", err)
	}
	if f.Bodies == nil {
		return
	}
	got, want := f.Bodies(), bodies(events)
	if len(got) < len(events) {
		t.Fatalf("%d events acknowledged, %d received", len(events), len(got))
	}
	got = got[before:]
	if f.Unordered {
		slices.Sort(got)
		slices.Sort(want)
	}
	for _, body := range got {
		if len(want) > 0 && body == want[0] {
			want = want[1:]
		}
	}
	if len(want) > 0 {
		t.Fatalf("%d of %d events did not come, or not in order; the first is %.200q", len(want), len(events), want[0])
	}
}

func canceled(t *testing.T, f Fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	events := Events(0, 500)
	if err := offer(ctx, f.Sink, events); err == nil {
		t.Fatal("no error with a context that has ended")
	}
	send(t, f, events)
	if err := acknowledge(ctx, f.Sink); err == nil {
		t.Fatal("Flush: no error with a context that has ended")
	}
	offerAgain(t, f, events)
}

func cancelEndsWaiting(t *testing.T, f Fixture) {
	if f.Stall == nil {
		return
	}
	f.Stall()
	// More than the buffers of both kernels hold, so that a write must wait.
	events := Events(0, 200)
	for i := range events {
		events[i].Body = []byte(strings.Repeat("x", 256<<10))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if err := offer(ctx, f.Sink, events); err == nil {
		t.Fatal("acknowledged by an other side that takes nothing")
	}
	if ctx.Err() == nil {
		t.Fatal("the sink failed before its context had ended; the test proves nothing")
	}
	if took := time.Since(begun); took > 9*time.Second {
		t.Errorf("took %s to end, the context ended after 0.3 s", took)
	}
}

func closeTwice(t *testing.T, f Fixture) {
	send(t, f, Events(0, 10))
	for range 2 {
		if err := f.Sink.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
}
