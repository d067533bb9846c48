package sim

import (
	"strconv"
	"strings"
	"time"
)

// graphRenderer writes rows as Graph does.
type graphRenderer struct {
	beta     bool
	digits   int
	full     bool // with all of them, also zeros
	recalled bool // the status recalled is written as such
	text     renderer
	now      time.Time
	repeat   int // every n-th row comes twice
}

func (g *graphRenderer) row(b []byte, row *Row) []byte {
	text := func(key, value string, null bool) { b = g.text.text(append(b, key...), value, null) }
	b = append(b, '{')
	if g.beta {
		b = append(b, `"@odata.type":"#microsoft.graph.exchangeMessageTrace",`...)
	}
	b = append(append(append(b, `"id":"`...), row.TraceID...), '"')
	text(`,"senderAddress":`, row.Sender, false)
	text(`,"recipientAddress":`, row.Recipient, false)
	text(`,"messageId":`, row.MessageID, row.MessageID == "")
	b = append(append(append(b, `,"receivedDateTime":"`...), graphTime(row.Received, g.digits, g.full)...), '"')
	text(`,"subject":`, row.Subject, row.NoSubject)
	b = strconv.AppendInt(append(b, `,"size":`...), int64(row.Size), 10)
	text(`,"fromIP":`, row.FromIP, row.FromIP == "")
	text(`,"toIP":`, row.ToIP, false) // empty, where the old report has null
	text(`,"status":`, graphStatus(row.StatusAt(g.now), g.beta, g.recalled), false)
	return append(b, '}')
}

// graphTime writes a moment with up to so many digits of a fraction, or exactly so many. Digits beyond are cut off, not rounded.
func graphTime(t time.Time, digits int, full bool) string {
	const seconds = "2006-01-02T15:04:05"
	if digits == 0 {
		return t.Format(seconds + "Z")
	}
	digit := "9" // which leaves out zeros at the end
	if full {
		digit = "0"
	}
	return t.Format(seconds + "." + strings.Repeat(digit, digits) + "Z")
}

// graphStatus writes a status of the old report as the two versions of Graph do.
func graphStatus(status string, beta, recalled bool) string {
	switch {
	case status == "" || status == "None", status == "Recalled" && !recalled:
		status = "UnknownFutureValue"
	}
	if beta {
		return status
	}
	return strings.ToLower(status[:1]) + status[1:]
}

func (g *graphRenderer) envelope(base, link string, linkFirst bool) (head, tail string) {
	version := "v1.0"
	if g.beta {
		version = "beta"
	}
	head = `{"@odata.context":"` + base + "/" + version + `/$metadata#admin/exchange/tracing/messageTraces",`
	if link == "" {
		return head + `"value":[`, `]}`
	}
	text := renderer{raw: true}
	next := string(text.text([]byte(`"@odata.nextLink":`), link, false))
	if linkFirst {
		return head + next + `,"value":[`, `]}`
	}
	return head + `"value":[`, `],` + next + `}`
}

// graphFailure is an error of Graph.
func graphFailure(status int, code, text string, o *Options) *reply {
	return jsonReply(status, map[string]any{"error": map[string]any{"code": code, "message": text, "innerError": map[string]any{
		"date": o.now().UTC().Format("2006-01-02T15:04:05"), "request-id": randomGUID(), "client-request-id": randomGUID()}}})
}
