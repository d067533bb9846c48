package sinks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"starling/engine"
)

// appendLine appends one event as one line.
type appendLine func(dst []byte, e *engine.Event) []byte

// lineFormat reads the key format:
//
//	body   the body alone
//	devo   a JSON object with message_timestamp (UTC; null if unknown), message_tag and
//	       message_content, as the console output of Devo's collectors
//	frame  what the syslog output would send
func lineFormat(c *engine.Section, env Env, def string, choices ...string) appendLine {
	switch c.Choice("format", def, choices...) {
	case "body":
		return appendBody
	case "frame":
		frames := framer{host: env.Hostname}
		return frames.append
	}
	return appendDevo
}

func appendBody(dst []byte, e *engine.Event) []byte {
	body := bytes.TrimSuffix(e.Body, lineFeed)
	if isClean(body, false) {
		dst = append(dst, body...)
	} else {
		dst = appendClean(dst, body, false)
	}
	return append(dst, '\n')
}

type devoLine struct {
	Timestamp *string `json:"message_timestamp"`
	Tag       string  `json:"message_tag"`
	Content   string  `json:"message_content"`
}

func appendDevo(dst []byte, e *engine.Event) []byte {
	line := devoLine{Tag: e.Table.Tag, Content: string(e.Body)}
	if !e.Time.IsZero() {
		line.Timestamp = new(e.Time.UTC().Format(dateLayout))
	}
	out := bytes.NewBuffer(dst)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(line) // strings always encode, and a bytes.Buffer takes everything
	return out.Bytes()
}

// outputError is an error of a sink that writes to this machine.
func outputError(op string, err error) error {
	return &engine.Error{Code: engine.CodeSink, Op: op, Err: err}
}

func isDirectory(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory", path)
	}
	return err
}
