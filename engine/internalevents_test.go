package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// newInternalWorld has one output that leads to Devo, and takes events about Starling itself.
func newInternalWorld(t *testing.T, sink Sink) (w *deliveryWorld, d *delivery, e *Engine, stop func()) {
	w = newDeliveryWorld(t, "out")
	w.env.Internal = &InternalEvents{}
	d = newDelivery(w.env, Output{Name: "out", Type: "devo_platform"}, sink)
	config := &Config{Outputs: []Output{{Name: "out", Type: "devo_platform", StatsPeriod: time.Minute}}, InternalEvents: true}
	e = &Engine{config: config, deliveries: map[string]*delivery{"out": d}, options: Options{InternalAbout: InternalAbout{ID: "7", Name: "n", Version: "v", Image: "i"}}}
	w.env.Internal.use(config, e.deliveries)
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.run(t.Context())
	}()
	return w, d, e, func() { close(d.finish); <-done }
}

var internalTable = &Table{Tag: "devo.collectors.out.local.info", Priority: 14}

func TestInternalEventsGoWithEventsAndAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sink := newMemorySink()
		started := time.Now()
		w, d, e, stop := newInternalWorld(t, sink)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go e.tellStatistics(ctx)
		w.env.Internal.Add(internalTable, time.Now(), []byte("alone"))
		time.Sleep(internalEvery + time.Second)
		w.env.Internal.Add(internalTable, time.Now(), []byte("with"))
		w.commit()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := fmt.Sprint(sink.got); got != "[alone 1 with]" {
			t.Errorf("got %s, want what waits alone after a while, and after the events of an epoch", got)
		}
		if s := d.snapshot(); s.Events != 1 || s.Bytes != 1 {
			t.Errorf("%d events of %d bytes count, want the 1 of a collector", s.Events, s.Bytes)
		}
		time.Sleep(2 * time.Minute)
		want := fmt.Sprintf(`{"col_id":"7","col_image":"i","col_name":"n","col_version":"v","msg_sent":{"part_bytes":1,"part_counter":1,"since_ts":%d}}`, started.UnixMilli())
		synctest.Wait()
		if got := strings.Join(sink.got, "\n"); !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %s", got, want)
		}
		cancel()
		stop()
		if s := d.internal.snapshot(); s.Sent < 3 || s.Dropped != 0 {
			t.Errorf("got %+v, want all sent", s)
		}
	})
}

func TestInternalEventsNeverHoldEventsUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sink := newMemorySink()
		sink.setFail(down)
		w, d, _, stop := newInternalWorld(t, sink)
		const made = 3 * maxInternal
		for i := range made {
			w.env.Internal.Add(internalTable, time.Now(), fmt.Append(nil, "internal ", i))
			time.Sleep(10 * time.Millisecond)
		}
		w.env.Internal.Add(internalTable, time.Now(), make([]byte, maxInternalBytes+1))
		if b := w.env.Store.Backlog(""); b.Chunks != 0 {
			t.Errorf("%d chunks in the outbox, want none", b.Chunks)
		}
		if log := w.log.String(); log != "" {
			t.Errorf("the log speaks of events about itself:\n%s", log)
		}
		if s := d.internal.snapshot(); s.Waiting > maxInternal || s.Dropped+s.Waiting != made+1 || s.Sent != 0 {
			t.Errorf("got %+v, want at most %d waiting and the others counted", s, maxInternal)
		}
		w.commit()
		time.Sleep(time.Minute)
		sink.setFail(nil)
		time.Sleep(2 * maxSendBackOff)
		stop()
		if len(sink.got) == 0 || sink.got[0] != "1" {
			t.Errorf("got %q, want the event first", sink.got[:min(3, len(sink.got))])
		}
	})
}

func TestInternalEventsAreForDevoOnlyAndCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	w := newDeliveryWorld(t, "file", "devo")
	file, devo := newDelivery(w.env, Output{Name: "file", Type: "file"}, newMemorySink()), newDelivery(w.env, Output{Name: "devo", Type: "relay"}, newMemorySink())
	all := map[string]*delivery{"file": file, "devo": devo}
	config := &Config{Outputs: []Output{{Name: "file", Type: "file"}, {Name: "devo", Type: "relay"}}}
	i := &InternalEvents{}
	i.use(config, all)
	i.Add(internalTable, time.Now(), []byte("x"))
	if i.On() || devo.internal.snapshot() != nil {
		t.Error("an output takes them although they are turned off")
	}
	config.InternalEvents = true
	i.use(config, all)
	i.Add(internalTable, time.Now(), []byte("x"))
	if file.internal.snapshot() != nil || devo.internal.snapshot().Waiting != 1 {
		t.Error("want them for Devo, and not for the file")
	}
}

func TestInternalEventsAreASetting(t *testing.T) {
	t.Parallel()
	const section = "starling:\n"
	for text, want := range map[string]bool{section: true, section + "  internal_events: false\n": false} {
		if c := loadGood(t, nil, section, text); c.InternalEvents != want {
			t.Errorf("%q: got %v, want %v", text, c.InternalEvents, want)
		}
	}
}
