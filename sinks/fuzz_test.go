package sinks

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"starling/engine"
)

// FuzzLines: in every format, an event is one line that reads back as what it was.
func FuzzLines(f *testing.F) {
	f.Add("my.app.test", []byte("hello\nworld"), int64(1_671_628_634_405))
	f.Add("a\nb", []byte("{\"a\":\"\\u2028\"}\n"), int64(0))
	f.Add("\x80", []byte("\xed\xa0\xbd\x00\r\n\n"), int64(-1<<50))
	f.Fuzz(func(t *testing.T, tag string, body []byte, ms int64) {
		e := engine.Event{Table: &engine.Table{Tag: tag, Priority: 14}, Time: time.UnixMilli(ms), Body: bytes.Clone(body)}
		frames := framer{host: "h"}
		for name, appendTo := range map[string]appendLine{"body": appendBody, "devo": appendDevo, "frame": frames.append} {
			line := appendTo([]byte("before\n"), &e)
			line, ok := bytes.CutPrefix(line, []byte("before\n"))
			if !ok || bytes.Count(line, lineFeed) != 1 || !bytes.HasSuffix(line, lineFeed) || !utf8.Valid(line) {
				t.Fatalf("%s: not one line of text: %q", name, line)
			}
			if !bytes.Equal(e.Body, body) {
				t.Fatalf("%s changed the body", name)
			}
			if name != "devo" {
				continue
			}
			var back devoLine
			if err := json.Unmarshal(line, &back); err != nil {
				t.Fatal(err)
			}
			if utf8.Valid(body) && back.Content != string(body) || utf8.ValidString(tag) && back.Tag != tag {
				t.Fatalf("got %+v of %q %q", back, tag, body)
			}
		}
	})
}
