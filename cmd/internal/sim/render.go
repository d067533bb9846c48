package sim

import (
	"bytes"
	"encoding/xml"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	servicePath = "/ecp/ReportingWebService/Reporting.svc/"
	entity      = "TenantReporting.MessageTrace"
)

// fullDate has all digits of the fraction.
const fullDate = "2006-01-02T15:04:05.0000000"

// lightDate is how light JSON writes Received: no zone, and no zeros at the end of the fraction.
const lightDate = "2006-01-02T15:04:05.9999999"

// renderer writes rows in one form. Bounds are echoed in every row, as the service does.
type renderer struct {
	shape      shape
	base       string // scheme and host the client used
	raw        bool   // leave characters beyond ASCII as they are
	zone       string // after Received, where it is not in milliseconds
	date       string // the form of moments, without the zone
	links      string
	start, end string
	now        time.Time // whose statuses are written
}

func newRenderer(q *query, base string, o *Options, now time.Time) renderer {
	r := renderer{shape: q.shape, base: base, raw: o.RawUnicode, links: o.Links, now: now, date: lightDate}
	if o.FullFraction {
		r.date = fullDate
	}
	if q.shape == verbose {
		r.start, r.end = verboseDate(q.start), verboseDate(q.end)
		return r
	}
	if o.Zone {
		r.zone = "Z"
	}
	r.start, r.end = q.start.Format(r.date)+"Z", q.end.Format(r.date)+"Z"
	return r
}

// row appends one row; index is its position in the result.
func (r *renderer) row(b []byte, row *Row, index int) []byte {
	switch r.shape {
	case atom:
		return r.entry(b, row, index)
	case verbose:
		id := r.base + servicePath + "MessageTrace(" + strconv.Itoa(index) + ")"
		b = append(b, `{"__metadata":{"id":"`...)
		b = append(b, id...)
		b = append(b, `","uri":"`...)
		b = append(b, id...)
		b = append(b, `","type":"`+entity+`"},`...)
		return append(r.fields(b, row, index, verboseDate(row.Received)), '}')
	}
	return append(r.fields(append(b, '{'), row, index, row.Received.Format(r.date)+r.zone), '}')
}

// Light is a row as the light answer for [start, end] has it at this index.
func (m *Microsoft) Light(row *Row, start, end time.Time, index int) []byte {
	o := m.Options()
	r := newRenderer(&query{shape: light, start: start.UTC(), end: end.UTC()}, "", &o, row.Received)
	return r.row(nil, row, index)
}

func (r *renderer) fields(b []byte, row *Row, index int, received string) []byte {
	b = r.text(append(b, `"Organization":`...), row.Organization, false)
	b = r.text(append(b, `,"MessageId":`...), row.MessageID, row.MessageID == "")
	b = append(append(b, `,"Received":"`...), received...)
	b = r.text(append(b, `","SenderAddress":`...), row.Sender, false)
	b = r.text(append(b, `,"RecipientAddress":`...), row.Recipient, false)
	b = r.text(append(b, `,"Subject":`...), row.Subject, row.NoSubject)
	b = r.text(append(b, `,"Status":`...), row.StatusAt(r.now), false)
	b = r.text(append(b, `,"ToIP":`...), row.ToIP, row.ToIP == "")
	b = r.text(append(b, `,"FromIP":`...), row.FromIP, row.FromIP == "")
	b = strconv.AppendInt(append(b, `,"Size":`...), int64(row.Size), 10)
	b = append(append(b, `,"MessageTraceId":"`...), row.TraceID...)
	b = append(append(b, `","StartDate":"`...), r.start...)
	b = append(append(b, `","EndDate":"`...), r.end...)
	return strconv.AppendInt(append(b, `","Index":`...), int64(index), 10)
}

// verboseDate writes a moment as /Date(milliseconds)/ with its slashes escaped, as OData v2 does.
func verboseDate(t time.Time) string { return `\/Date(` + strconv.FormatInt(t.UnixMilli(), 10) + `)\/` }

func (r *renderer) text(b []byte, s string, null bool) []byte {
	if null {
		return append(b, "null"...)
	}
	b = append(b, '"')
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			b = appendASCII(b, c)
			i++
			continue
		}
		c, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case c == utf8.RuneError && n == 1: // a lone surrogate: always three bytes
			c, n = rune(s[i]&0xf)<<12|rune(s[i+1]&0x3f)<<6|rune(s[i+2]&0x3f), 3
			b = appendUnit(b, c)
		case r.raw:
			b = append(b, s[i:i+n]...)
		case c > 0xffff:
			hi, lo := utf16.EncodeRune(c)
			b = appendUnit(appendUnit(b, hi), lo)
		default:
			b = appendUnit(b, c)
		}
		i += n
	}
	return append(b, '"')
}

func appendASCII(b []byte, c byte) []byte {
	if c >= ' ' && c != '"' && c != '\\' {
		return append(b, c)
	}
	const short = "\"\"\\\\\nn\rr\tt\bb\ff"
	if i := strings.IndexByte(short, c); i >= 0 {
		return append(b, '\\', short[i+1])
	}
	return appendUnit(b, rune(c))
}

func appendUnit(b []byte, c rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[c>>12&15], hex[c>>8&15], hex[c>>4&15], hex[c&15])
}

// entry appends a row as an Atom entry.
func (r *renderer) entry(b []byte, row *Row, index int) []byte {
	w := bytes.NewBuffer(b)
	w.WriteString("<entry><id>" + r.base + servicePath + "MessageTrace(" + strconv.Itoa(index) + ")</id>" +
		`<category term="` + entity + `" scheme="http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"/>` +
		`<content type="application/xml"><m:properties>`)
	property := func(name, kind, value string, null bool) {
		w.WriteString("<d:" + name)
		if kind != "" {
			w.WriteString(` m:type="Edm.` + kind + `"`)
		}
		if null {
			w.WriteString(` m:null="true"/>`)
			return
		}
		w.WriteByte('>')
		_ = xml.EscapeText(w, []byte(value)) // a buffer takes everything
		w.WriteString("</d:" + name + ">")
	}
	property("Organization", "", row.Organization, false)
	property("MessageId", "", row.MessageID, row.MessageID == "")
	property("Received", "DateTime", row.Received.Format(r.date)+r.zone, false)
	property("SenderAddress", "", row.Sender, false)
	property("RecipientAddress", "", row.Recipient, false)
	property("Subject", "", row.Subject, row.NoSubject)
	property("Status", "", row.StatusAt(r.now), false)
	property("ToIP", "", row.ToIP, row.ToIP == "")
	property("FromIP", "", row.FromIP, row.FromIP == "")
	property("Size", "Int32", strconv.Itoa(row.Size), false)
	property("MessageTraceId", "Guid", row.TraceID, false)
	property("StartDate", "DateTime", r.start, false)
	property("EndDate", "DateTime", r.end, false)
	property("Index", "Int32", strconv.Itoa(index), false)
	w.WriteString("</m:properties></content></entry>")
	return w.Bytes()
}

// envelope returns what stands before and after the rows; next is the encoded query of the next page, empty on the last.
func (r *renderer) envelope(q *query, next string) (head, tail string) {
	absolute := r.base + servicePath + "MessageTrace?" + next
	relative := "../../reportingwebservice/reporting.svc/MessageTrace?" + next
	switch {
	case r.links == "relative":
		absolute = relative
	case r.links == "absolute":
		relative = absolute
	}
	switch {
	case r.shape == light && next == "":
		return `{"odata.metadata":"` + r.base + servicePath + `$metadata#MessageTrace","value":[`, `]}`
	case r.shape == light:
		head, _ = r.envelope(q, "")
		return head, `],"odata.nextLink":"` + relative + `"}`
	case r.shape == verbose && q.top >= 0:
		return `{"d":[`, `]}`
	case r.shape == verbose && next == "":
		return `{"d":{"results":[`, `]}}`
	case r.shape == verbose:
		return `{"d":{"results":[`, `],"__next":"` + absolute + `"}}`
	}
	head = `<?xml version="1.0" encoding="utf-8"?><feed xml:base="` + r.base + servicePath + `" xmlns="http://www.w3.org/2005/Atom"` +
		` xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">` +
		`<id>` + r.base + servicePath + `MessageTrace</id><title type="text">MessageTrace</title><updated>` + r.end + `</updated>`
	if next == "" {
		return head, "</feed>"
	}
	return head, `<link rel="next" href="` + strings.ReplaceAll(absolute, "&", "&amp;") + `"/></feed>`
}

// nextQuery is the query of the link to the page after: the filter again, and where to go on. Quotes stay as they are and spaces
// become %20; the absolute link of the verbose form also encodes colons. $format is not repeated, which clients must know.
func nextQuery(q *query, token int) string {
	next := "$skiptoken=" + strconv.Itoa(token)
	if q.filter == "" {
		return next
	}
	keep := "'(),-._~!*@$/"
	if q.shape == light {
		keep += ":"
	}
	return "$filter=" + escape(q.filter, keep) + "&" + next
}

// escape writes a value of a query; letters, digits and what is to be kept stay as they are.
func escape(value, keep string) string {
	var b strings.Builder
	for _, c := range []byte(value) {
		if c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + strings.ToUpper(string([]byte{"0123456789abcdef"[c>>4], "0123456789abcdef"[c&15]})))
	}
	return b.String()
}

// failure is the body of an error in the form asked for.
func (s shape) failure(text string) (body, contentType string) {
	r := renderer{raw: true}
	message := string(r.text(nil, text, false))
	switch s {
	case light:
		return `{"odata.error":{"code":"","message":{"lang":"en-US","value":` + message + `}}}`, s.contentType()
	case verbose:
		return `{"error":{"code":"","message":{"lang":"en-US","value":` + message + `}}}`, s.contentType()
	}
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a builder takes everything
	return `<?xml version="1.0" encoding="utf-8"?><ServiceFault><ErrorCode /><Message>` + b.String() + `</Message></ServiceFault>`, "application/xml"
}

func (s shape) contentType() string {
	switch s {
	case light:
		return "application/json;odata=minimalmetadata;streaming=true;charset=utf-8"
	case verbose:
		return "application/json;odata=verbose;charset=utf-8"
	}
	return "application/atom+xml;type=feed;charset=utf-8"
}
