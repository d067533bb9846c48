package engine

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// observe registers the metrics that are read when somebody asks: what waits, how old it is, how far
// behind collectors are, and what fails.
func (e *Engine) observe() error {
	m := e.options.Telemetry.Meter
	bytes, err1 := m.Int64ObservableGauge("starling.outbox.bytes", metric.WithUnit("By"), metric.WithDescription("Compressed events that wait for a sink."))
	age, err2 := m.Float64ObservableGauge("starling.outbox.age", metric.WithUnit("s"), metric.WithDescription("Age of the oldest event that waits for a sink."))
	behind, err3 := m.Float64ObservableGauge("starling.lag", metric.WithUnit("s"), metric.WithDescription("From the end of a collector's last committed window to now."))
	failing, err4 := m.Int64ObservableGauge("starling.failing", metric.WithDescription("1 for a collector or sink whose last attempt failed, 0 otherwise."))
	used, err12 := m.Int64ObservableGauge("starling.disk.used", metric.WithUnit("By"), metric.WithDescription("What the state takes of its disk."))
	free, err9 := m.Int64ObservableGauge("starling.disk.free", metric.WithUnit("By"), metric.WithDescription("Free bytes on the disk of the state directory."))
	low, err10 := m.Int64ObservableGauge("starling.disk.low", metric.WithDescription("1 while pulls wait because the disk is nearly full."))
	share, err6 := m.Float64ObservableGauge("starling.outbox.share", metric.WithDescription("How much of its bounds the outbox uses, 0 to 1."))
	alarm, err7 := m.Int64ObservableGauge("starling.outbox.alarm", metric.WithDescription("1 from starling.limits.outbox_alarm on, 0 below."))
	aside, err5 := m.Int64ObservableGauge("starling.aside.bytes", metric.WithUnit("By"), metric.WithDescription("Files of events that were set aside."))
	ends, err8 := m.Float64ObservableGauge("starling.certificate.remaining", metric.WithUnit("s"), metric.WithDescription("Until the certificate of a sink or collector expires."))
	skew, err11 := m.Float64ObservableGauge("starling.clock.skew", metric.WithUnit("s"), metric.WithDescription("How far the API's clock is ahead of this machine's; 0 below half a minute."))
	if err := errors.Join(err11, err12, err1, err2, err3, err4, err5, err6, err7, err8, err9, err10); err != nil {
		return err
	}
	_, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := e.Status()
		for _, c := range s.Collectors {
			by := metric.WithAttributes(KeyCollector.String(c.Collector))
			if c.LagSeconds != nil {
				o.ObserveFloat64(behind, *c.LagSeconds, by)
			}
			o.ObserveInt64(failing, truth(c.State == "failing"), by)
			o.ObserveFloat64(skew, c.ClockSkewSeconds, by)
			if c.CertificateEnds != nil {
				o.ObserveFloat64(ends, time.Until(*c.CertificateEnds).Seconds(), by)
			}
		}
		var set int64
		for _, f := range s.Aside {
			set += f.Bytes
		}
		o.ObserveInt64(aside, set)
		o.ObserveFloat64(share, s.Outbox.Share)
		o.ObserveInt64(alarm, truth(s.Outbox.State != "ok"))
		for _, k := range s.Sinks {
			by := metric.WithAttributes(KeySink.String(k.Sink))
			o.ObserveInt64(bytes, k.Backlog.Bytes, by)
			o.ObserveFloat64(age, k.Backlog.AgeSeconds, by)
			o.ObserveInt64(failing, truth(k.State != "ok"), by)
			if k.CertificateEnds != nil {
				o.ObserveFloat64(ends, time.Until(*k.CertificateEnds).Seconds(), by)
			}
		}
		if s.Disk != nil {
			o.ObserveInt64(used, s.Disk.UsedBytes)
			o.ObserveInt64(free, s.Disk.FreeBytes)
			o.ObserveInt64(low, truth(s.Disk.Low))
		}
		return nil
	}, bytes, age, behind, failing, aside, share, alarm, ends, used, free, low, skew)
	return err
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
