package sim

import (
	"net/http"
	"time"
)

// details answers getDetailsByRecipient: what became of one delivery so far.
func (m *Microsoft) details(r *http.Request, o *Options, version, id, recipient string) *reply {
	now := o.now()
	steps := []map[string]any{}
	if row := m.delivery(identity(id, recipient), now); row != nil {
		step := func(at time.Time, event, description string) {
			steps = append(steps, map[string]any{"id": row.TraceID, "messageId": row.MessageID, "dateTime": graphTime(at, 0, false), "event": event,
				"action": "", "description": description, "data": `<root><MEP Name="ServerHostName" String="SIM01MB0001" /></root>`})
		}
		step(row.Received, "Receive", "Message received by: SIM01MB0001.simulated.prod.outlook.com")
		for _, c := range row.Seen(now) {
			if event, is := detailEvents[c.Status]; is {
				step(c.At, event[0], event[1])
			}
		}
	}
	m.count(func(c *Counters) { c.Pages++ })
	return jsonReply(http.StatusOK, map[string]any{
		"@odata.context": base(r) + "/" + version + "/$metadata#Collection(microsoft.graph.exchangeMessageTraceDetail)", "value": steps})
}

// detailEvents are what a status shows as in the details.
var detailEvents = map[string][2]string{
	"Delivered":      {"Deliver", "The message was successfully delivered."},
	"Failed":         {"Fail", "The message was not delivered."},
	"Pending":        {"Defer", "The delivery of the message is deferred."},
	"Expanded":       {"Expand", "The message was sent to a distribution list."},
	"FilteredAsSpam": {"Spam", "The message was marked as spam."},
	"Quarantined":    {"Quarantine", "The message was quarantined."},
	"Recalled":       {"Recall", "The message was recalled."},
}

// delivery finds a visible row by its identity, newest first, as far back as Graph goes.
func (m *Microsoft) delivery(key string, now time.Time) *Row {
	at := reader{g: m.rows}
	lo := m.rows.search(ticks(now.AddDate(0, 0, -graphDays)))
	for i := m.rows.search(ticks(now)+1) - 1; i >= lo; i-- {
		if row := at.row(i); !row.Visible.After(now) && row.Identity() == key {
			return row
		}
	}
	return nil
}
