package sim

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// golden is what the official client puts on the wire for a collector, captured on loopback.
const golden = `<14>2022-12-21 13:17:14.405 golden-host cloud.office365.messagetracing: {"Organization": "contoso.com", "MessageId": "<a@b>", "Subject": "Prüfung 日本 🌍", "Size": 1, "Index": 0, "@devo_pulling_id": "1"}`

func TestParseFrame(t *testing.T) {
	t.Parallel()
	f, err := ParseFrame([]byte(golden))
	if err != nil {
		t.Fatal(err)
	}
	at, err := f.Time()
	if err != nil || !at.Equal(time.Date(2022, 12, 21, 13, 17, 14, 405_000_000, time.UTC)) {
		t.Errorf("got the time %s (%v)", at, err)
	}
	if f.Priority != 14 || string(f.Host) != "golden-host" || string(f.Tag) != "cloud.office365.messagetracing" || !json.Valid(f.Message) {
		t.Errorf("got %d %s %s %s", f.Priority, f.Host, f.Tag, f.Message)
	}
}

func TestParseFrameRefuses(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"", "hello", "<14>", "<>2022-12-21 13:17:14.405 h t: m", "<192>2022-12-21 13:17:14.405 h t: m", "<+4>2022-12-21 13:17:14.405 h t: m",
		"<14>Jan  1 00:00:00 golden-host my.app.test: hello", "<14>2022-12-21T13:17:14.405 h t: m", "<14>2022-12-21 13:17:14,405 h t: m",
		"<14>2022-13-21 13:17:14.405 h t: m", "<14>2022-00-21 13:17:14.405 h t: m", "<14>2022-12-21 24:17:14.405 h t: m", "<14>2022-12-21 13:17:14.405",
		"<14>2022-12-21 13:17:14.405 h", "<14>2022-12-21 13:17:14.405  t: m", "<14>2022-12-21 13:17:14.405 h : m", "<14>2022-12-21 13:17:14.405 h t m",
		"<14>2022-12-21 13:17:14.405 h t:m", "57 <14>2022-12-21 13:17:14.405 h t: m", "<14>2022-12-21 13:17:14.4050 h t: m",
	} {
		if f, err := ParseFrame([]byte(line)); err == nil {
			t.Errorf("%q: got %+v, want an error", line, f)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte(golden))
	f.Add([]byte("<0>0000-01-01 00:00:00.000 h t: "))
	f.Add([]byte("<14>Jan  1 00:00:00 h t: m"))
	f.Fuzz(func(t *testing.T, line []byte) {
		frame, err := ParseFrame(line)
		if err != nil {
			return
		}
		pri, rest, _ := bytes.Cut(line, []byte(">"))
		if again := string(pri) + ">" + string(frame.Stamp) + " " + string(frame.Host) + " " + string(frame.Tag) + ": " + string(frame.Message); again != string(line) {
			t.Fatalf("%q became %q", line, again)
		}
		if frame.Priority < 0 || frame.Priority > 191 || len(rest) < 27 {
			t.Fatalf("%q: got %+v", line, frame)
		}
	})
}

func TestTraceIdentity(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ event, want string }{
		{`{"MessageTraceId":"ABC","RecipientAddress":"O'Neil@x"}`, "abc|o'neil@x"},
		{`{"RecipientAddress": "r@x", "MessageTraceId" : "abc"}`, "abc|r@x"},
		{`{"RecipientAddress": "\"john doe\"@x", "MessageTraceId": "abc"}`, `abc|"john doe"@x`},
		{`{"RecipientAddress": "r\u0026d@x\\", "MessageTraceId": "abc"}`, `abc|r&d@x\`},
		{`{"Subject":"\",\"MessageTraceId\":\"no\"","MessageTraceId":"abc","RecipientAddress":"r@x"}`, "abc|r@x"},
		{`{"Subject":"MessageTraceId","MessageId":"RecipientAddress","MessageTraceId":"abc","RecipientAddress":"r@x"}`, "abc|r@x"},
		{`{"MessageTraceId":null,"RecipientAddress":"r@x"}`, ""},
		{`{"MessageTraceId":"abc"}`, ""},
		{`{"MessageTraceId":"abc`, ""},
		{`{"MessageTraceId":"abc","RecipientAddress":"a\"`, ""},
		{`{"MessageTraceId"`, ""},
		{"", ""},
	} {
		if got := TraceIdentity([]byte(test.event)); got != test.want {
			t.Errorf("%s: got %q, want %q", test.event, got, test.want)
		}
	}
}

// Whatever valid JSON looks like, the quick scan and a real parser agree.
func FuzzTraceIdentity(f *testing.F) {
	f.Add("MessageTraceId", "abc", `r"@x`)
	f.Add(`","MessageTraceId":"`, "\n", "ü \\")
	f.Fuzz(func(t *testing.T, subject, trace, recipient string) {
		event, err := json.Marshal(map[string]string{"Subject": subject, "MessageTraceId": trace, "RecipientAddress": recipient})
		if err != nil {
			t.Fatal(err)
		}
		var want struct{ MessageTraceId, RecipientAddress string }
		if err := json.Unmarshal(event, &want); err != nil {
			t.Fatal(err)
		}
		if got := TraceIdentity(event); got != strings.ToLower(want.MessageTraceId+"|"+want.RecipientAddress) {
			t.Fatalf("%s: got %q", event, got)
		}
	})
}
