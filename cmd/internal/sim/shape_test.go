package sim

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// outline lists the keys of a JSON text in order, with the types of their values; a key of a row comes once however many rows
// there are. Types of one key that differ are joined, in order of appearance.
func outline(t *testing.T, text []byte) (keys []string, types map[string][]string) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	types = map[string][]string{}
	var value func(path string)
	value = func(path string) {
		token, err := d.Token()
		if err != nil {
			t.Fatalf("%v in %.300s", err, text)
		}
		kind := "null"
		switch v := token.(type) {
		case string:
			kind = "string"
		case float64:
			kind = "number"
		case json.Delim:
			kind = v.String()
			for d.More() {
				if v == '[' {
					value(path + "[]")
					continue
				}
				key, err := d.Token()
				if err != nil {
					t.Fatal(err)
				}
				value(path + "." + key.(string))
			}
			if _, err := d.Token(); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Contains(types[path], kind) {
			types[path] = append(types[path], kind)
		}
	}
	value("")
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("something follows the JSON text: %v", err)
	}
	return keyOrder(t, text), types
}

// keyOrder lists the distinct keys in order of first appearance.
func keyOrder(t *testing.T, text []byte) []string {
	t.Helper()
	var keys []string
	for _, m := range regexp.MustCompile(`"([A-Za-z_.]+)" ?:`).FindAllSubmatch(text, -1) {
		if key := string(m[1]); !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// nullable are the fields that may be null; a fixture of two rows does not show all.
var nullable = []string{"MessageId", "Subject", "ToIP", "FromIP"}

func TestAnswersHaveTheShapeOfCapturedOnes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, fixture, query, accept string }{
		{"light", "synthetic/legacy_light_page1_relative_nextlink.json", "", "application/json"},
		{"light, last page", "synthetic/legacy_light_page2_overlap_nulls_unicode.json", "&$skiptoken=799", "application/json"},
		{"verbose", "sekoia/legacy_verbose_d_results.wire.json", "&$format=json&$skiptoken=799", ""},
		{"verbose with link", "synthetic/legacy_verbose_with_next.json", "&$format=Json", ""},
		{"verbose with top", "synthetic/legacy_verbose_top_bare_array.json", "&$format=json&$top=300", "application/json"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := Options{Rows: hour(), PageSize: 400}
			c := newClient(t, o)
			c.accept = test.accept
			_, body := c.get(c.report(window(now.Add(-4*time.Hour), now.Add(-time.Hour)) + test.query))
			body = plainSubject.ReplaceAll(body, []byte(`"Subject":"s",`))
			gotKeys, gotTypes := outline(t, body)
			wantKeys, wantTypes := outline(t, fixture(t, test.fixture))
			if !slices.Equal(gotKeys, wantKeys) {
				t.Errorf("keys: got %q, want %q", gotKeys, wantKeys)
			}
			for path, kinds := range gotTypes {
				field := path[strings.LastIndex(path, ".")+1:]
				for _, kind := range kinds {
					if !slices.Contains(wantTypes[path], kind) && !slices.Contains(nullable, field) {
						t.Errorf("%s: got %s, want one of %v", path, kind, wantTypes[path])
					}
				}
			}
			if len(gotTypes) != len(wantTypes) {
				t.Errorf("got %d kinds of value, want %d", len(gotTypes), len(wantTypes))
			}
		})
	}
}

// plainSubject finds subjects, some of which look like keys on purpose.
var plainSubject = regexp.MustCompile(`"Subject":"(?:[^"\\]|\\.)*",`)

func TestDatesAreWrittenAsCaptured(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: hour()})
	query := window(now.Add(-4*time.Hour), now.Add(-time.Hour).Add(500*time.Millisecond))
	_, light := c.get(c.report(query))
	_, verbose := c.get(c.report(query + "&$format=json"))
	for _, test := range []struct {
		name, pattern string
		body          []byte
		atLeast       int
	}{
		{"seven digits", `"Received":"2026-11-20T\d\d:\d\d:\d\d\.\d{7}",`, light, 500},
		{"no fraction, no zone", `"Received":"2026-11-20T\d\d:\d\d:\d\d",`, light, 5},
		{"zeros cut off", `"Received":"2026-11-20T\d\d:\d\d:\d\d\.\d{1,6}",`, light, 5},
		{"echo of the start", `"StartDate":"2026-11-20T08:00:00Z",`, light, 1000},
		{"echo of the end", `"EndDate":"2026-11-20T11:00:00.5Z",`, light, 1000},
		{"milliseconds", `"Received":"\\/Date\(17\d{11}\)\\/",`, verbose, 1000},
		{"echo in milliseconds", `"EndDate":"\\/Date\(1795172400500\)\\/",`, verbose, 1000},
		{"identity of the entity", `"__metadata":\{"id":"http://[0-9.:]+/ecp/ReportingWebService/Reporting.svc/MessageTrace\(\d+\)","uri":"`, verbose, 1000},
	} {
		if got := len(regexp.MustCompile(test.pattern).FindAll(test.body, -1)); got < test.atLeast {
			t.Errorf("%s: got %d matches, want at least %d in %.600s", test.name, got, test.atLeast, test.body)
		}
	}
	if regexp.MustCompile(`"Received":"[^"]*(Z|0)"`).Match(regexp.MustCompile(`:\d0"`).ReplaceAll(light, nil)) {
		t.Error("a light Received ends in a zone or in a zero of its fraction")
	}
}

func TestFormsFollowAcceptAndFormat(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: hour()})
	for _, test := range []struct{ accept, format, starts, contentType string }{
		{"application/json", "", `{"odata.metadata":"http://`, "application/json;odata=minimalmetadata"},
		{"text/html, application/json", "", `{"odata.metadata":"http://`, "application/json;odata=minimalmetadata"},
		{"application/json; odata=verbose", "", `{"d":{"results":[`, "application/json;odata=verbose"},
		{"application/json", "&$format=json", `{"d":{"results":[`, "application/json;odata=verbose"},
		{"", "&$format=Json", `{"d":{"results":[`, "application/json;odata=verbose"},
		{"", "", `<?xml version="1.0" encoding="utf-8"?><feed`, "application/atom+xml;type=feed"},
		{"*/*", "", `<?xml version="1.0" encoding="utf-8"?><feed`, "application/atom+xml;type=feed"},
	} {
		c.accept = test.accept
		response, body := c.get(c.report(window(now.Add(-3*time.Hour), now.Add(-2*time.Hour)) + test.format))
		if !strings.HasPrefix(string(body), test.starts) || !strings.HasPrefix(response.Header.Get("Content-Type"), test.contentType) {
			t.Errorf("Accept %q %s: got %s %.60s, want %s %s", test.accept, test.format, response.Header.Get("Content-Type"), body, test.contentType, test.starts)
		}
	}
}

func TestAtomIsWellFormedAndHasTheRows(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: hour(), PageSize: 600})
	c.accept = ""
	_, body := c.get(c.report(window(now.Add(-3*time.Hour), now.Add(-2*time.Hour))))
	type property struct {
		XMLName xml.Name
		Type    string `xml:"type,attr"`
		Null    bool   `xml:"null,attr"`
	}
	type feed struct {
		Entries []struct {
			Content struct {
				Properties struct {
					Fields []property `xml:",any"`
				} `xml:"properties"`
			} `xml:"content"`
		} `xml:"entry"`
		Link struct {
			Href string `xml:"href,attr"`
		} `xml:"link"`
	}
	read := func(text []byte) (f feed) {
		if err := xml.Unmarshal(text, &f); err != nil {
			t.Fatal(err)
		}
		return f
	}
	got, want := read(body), read(fixture(t, "synthetic/legacy_atom_entry.xml"))
	if len(got.Entries) != 600 || !strings.HasSuffix(got.Link.Href, "&$skiptoken=599") {
		t.Fatalf("got %d entries and the link %q", len(got.Entries), got.Link.Href)
	}
	for i, field := range want.Entries[0].Content.Properties.Fields {
		if g := got.Entries[0].Content.Properties.Fields[i]; g.XMLName != field.XMLName || g.Type != field.Type {
			t.Errorf("field %d: got %v %s, want %v %s", i, g.XMLName, g.Type, field.XMLName, field.Type)
		}
	}
}

// A lone surrogate cannot be UTF-8; a server that writes escapes does not notice it.
func TestTextsAreValidJSONInEveryForm(t *testing.T) {
	t.Parallel()
	for _, raw := range []bool{false, true} {
		r := renderer{raw: raw}
		for _, s := range hardSubjects {
			b := r.text(nil, s, false)
			if !json.Valid(b) {
				t.Errorf("raw %v: %q became %s", raw, s, b)
				continue
			}
			var got string
			if err := json.Unmarshal(b, &got); err != nil {
				t.Fatal(err)
			}
			want := strings.NewReplacer("\xed\xa0\xbd", "\ufffd", "\xed\xb8\x80", "\ufffd").Replace(s)
			if got != want {
				t.Errorf("raw %v: got %q, want %q", raw, got, want)
			}
			if ascii := !slices.ContainsFunc(b, func(c byte) bool { return c >= 0x80 }); !raw && !ascii {
				t.Errorf("%q is written with more than ASCII: %s", s, b)
			}
		}
	}
}

// Every field of every row arrives, with null where there is nothing.
func TestRowsOnTheWireAreTheRows(t *testing.T) {
	t.Parallel()
	for _, raw := range []bool{false, true} {
		c := newClient(t, Options{Rows: hour(), Order: OldestFirst, RawUnicode: raw})
		_, body := c.get(c.report(window(now.Add(-3*time.Hour), now.Add(-2*time.Hour))))
		var got struct{ Value []map[string]any }
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		text := func(s string, null bool) any {
			if null {
				return nil
			}
			return strings.NewReplacer("\xed\xa0\xbd", "\ufffd", "\xed\xb8\x80", "\ufffd").Replace(s)
		}
		i := 0
		for row := range c.sim.Rows(now.Add(-3*time.Hour), now) {
			want := map[string]any{
				"Organization": "contoso.onmicrosoft.com", "MessageId": text(row.MessageID, row.MessageID == ""), "Received": row.Received.Format(lightDate),
				"SenderAddress": row.Sender, "RecipientAddress": row.Recipient, "Subject": text(row.Subject, row.NoSubject), "Status": row.Status,
				"ToIP": text(row.ToIP, row.ToIP == ""), "FromIP": text(row.FromIP, row.FromIP == ""), "Size": float64(row.Size),
				"MessageTraceId": row.TraceID, "StartDate": "2026-11-20T09:00:00Z", "EndDate": "2026-11-20T10:00:00Z", "Index": float64(i),
			}
			if !maps.Equal(got.Value[i], want) {
				t.Fatalf("row %d: got %v, want %v", i, got.Value[i], want)
			}
			i++
		}
		if i != 1000 || len(got.Value) != 1000 {
			t.Errorf("got %d rows, the truth has %d", len(got.Value), i)
		}
	}
}

// Payloads that others have kept have the members of ours, in whatever order they were kept.
func TestRowsHaveTheMembersOfKeptPayloads(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Rows: hour(), PageSize: 2000})
	query := window(now.Add(-4*time.Hour), now.Add(-time.Hour))
	for _, test := range []struct{ fixture, format, theirs, ours string }{
		{"splunk-soar/legacy_verbose_from_action_output.json", "&$format=json", ".d.results[]", ".d.results[]"},
		{"sekoia/legacy_verbose_d_results.asupstream.json", "&$format=json", ".d.results[]", ".d.results[]"},
		{"caml/Sample_MessageTrace_Entry.json", "", "[]", ".value[]"},
	} {
		_, body := c.get(c.report(query + test.format))
		_, got := outline(t, body)
		_, want := outline(t, fixture(t, test.fixture))
		for path, kinds := range want {
			member, inside := strings.CutPrefix(path, test.theirs)
			if !inside {
				continue
			}
			for _, kind := range kinds {
				if !slices.Contains(got[test.ours+member], kind) {
					t.Errorf("%s: %s is %s there, and %v here", test.fixture, path, kind, got[test.ours+member])
				}
			}
		}
		for path := range got {
			if member, inside := strings.CutPrefix(path, test.ours); inside && want[test.theirs+member] == nil {
				t.Errorf("%s: %s is not there", test.fixture, path)
			}
		}
	}
}
