package engine

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// QuotaStatus is how much of a quota with a name is used.
type QuotaStatus struct {
	Quota       string     `json:"quota"`
	Limit       int        `json:"limit"` // requests in any stretch of Per
	PerSeconds  float64    `json:"per_seconds"`
	Used        int        `json:"used"`        // in the stretch that ends now
	UsedShared  int        `json:"used_shared"` // of them, by requests with a share
	Waiting     int        `json:"waiting"`     // requests that wait for their turn
	PausedUntil *time.Time `json:"paused_until,omitempty"`
	Trying      bool       `json:"trying,omitempty"` // no request was answered since the latest pause
	// Since the start: requests that had to wait, how long together, and answers that asked for less.
	Waits         int64   `json:"waits"`
	WaitedSeconds float64 `json:"waited_seconds"`
	Throttled     int64   `json:"throttled"`
}

func (q *Quota) status(now time.Time) QuotaStatus {
	q.mu.Lock()
	defer q.mu.Unlock()
	since := now.Add(-q.pace.Per)
	s := QuotaStatus{Quota: q.name, Limit: q.pace.N, PerSeconds: q.pace.Per.Seconds(), Used: len(q.all) - upTo(q.all, since),
		UsedShared: len(q.shared) - upTo(q.shared, since), Waiting: len(q.queue), Trying: q.doubt,
		Waits: q.waits, WaitedSeconds: q.waited.Seconds(), Throttled: q.throttled}
	if q.paused.After(now) {
		until := q.paused.UTC()
		s.PausedUntil = &until
	}
	return s
}

// Quotas returns the state of every quota that was used since the start, by name.
func (s *Store) Quotas(now time.Time) []QuotaStatus {
	s.quotas.mu.Lock()
	defer s.quotas.mu.Unlock()
	list := []QuotaStatus{}
	for _, name := range sortedKeys(s.quotas.all) {
		list = append(list, s.quotas.all[name].status(now))
	}
	return list
}

// observeQuotas registers the metrics of quotas.
func (e *Engine) observeQuotas() error {
	m := e.options.Telemetry.Meter
	limit, err1 := m.Int64ObservableGauge("starling.quota.limit", metric.WithUnit("{request}"), metric.WithDescription("Requests that a quota allows in its stretch of time."))
	used, err2 := m.Int64ObservableGauge("starling.quota.used", metric.WithUnit("{request}"), metric.WithDescription("Of them, sent in the stretch that ends now."))
	waiting, err3 := m.Int64ObservableGauge("starling.quota.waiting", metric.WithUnit("{request}"), metric.WithDescription("Requests that wait for their turn."))
	paused, err4 := m.Float64ObservableGauge("starling.quota.paused", metric.WithUnit("s"), metric.WithDescription("How long nobody sends yet, because the API asked for it."))
	waits, err5 := m.Int64ObservableCounter("starling.quota.waits", metric.WithUnit("{request}"), metric.WithDescription("Requests that had to wait for their turn."))
	throttled, err6 := m.Int64ObservableCounter("starling.quota.throttled", metric.WithUnit("{request}"), metric.WithDescription("Answers that asked for less."))
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return err
	}
	_, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		now := time.Now()
		for _, q := range e.Store().Quotas(now) {
			by := metric.WithAttributes(KeyQuota.String(q.Quota))
			o.ObserveInt64(limit, int64(q.Limit), by)
			o.ObserveInt64(used, int64(q.Used), by)
			o.ObserveInt64(waiting, int64(q.Waiting), by)
			o.ObserveInt64(waits, q.Waits, by)
			o.ObserveInt64(throttled, q.Throttled, by)
			left := 0.0
			if q.PausedUntil != nil {
				left = q.PausedUntil.Sub(now).Seconds()
			}
			o.ObserveFloat64(paused, left, by)
		}
		return nil
	}, limit, used, waiting, paused, waits, throttled)
	return err
}
