package bench

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// A job is what the process of a reference is told.
type job struct {
	Base  string // URL of the API
	Devo  string // host:port
	Certs string
	From  time.Time
	To    time.Time
}

// A convert appends the events of a page, as frames, and returns the link to the next one.
type convert func(frames, page []byte) (more []byte, next string, err error)

// run pulls every page, one after the other, and sends what convert makes of it. It keeps nothing, and checks nothing but
// that the receiver has read to the end.
func (j *job) run(c convert) error {
	conn, client, err := j.connect()
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(conn, 128<<10)
	at, err := url.Parse(j.Base + reportPath + "?$filter=" + url.PathEscape(fmt.Sprintf("StartDate eq datetime'%s' and EndDate eq datetime'%s'",
		j.From.Format(time.RFC3339), j.To.Format(time.RFC3339))))
	if err != nil {
		return err
	}
	var frames []byte
	var page bytes.Buffer
	for next := " "; next != ""; {
		if err := fetch(client, at, &page); err != nil {
			return err
		}
		if frames, next, err = c(frames[:0], page.Bytes()); err != nil {
			return err
		}
		if _, err := out.Write(frames); err != nil {
			return err
		}
		if at, err = at.Parse(next); err != nil {
			return err
		}
	}
	if err := errors.Join(out.Flush(), conn.CloseWrite()); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, conn) // to the receiver's own end
	return err
}

func (j *job) connect() (*tls.Conn, *http.Client, error) {
	file := func(name string) string { return filepath.Join(j.Certs, name) }
	pair, err1 := tls.LoadX509KeyPair(file(domain+".crt"), file(domain+".key"))
	ca, err2 := os.ReadFile(file(caFile))
	if err := errors.Join(err1, err2); err != nil {
		return nil, nil, err
	}
	// The receiver's certificate has no name to check, as Devo's.
	conn, err := tls.Dial("tcp", j.Devo, &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true})
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return conn, &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}, nil
}

func fetch(client *http.Client, at *url.URL, page *bytes.Buffer) error {
	r := &http.Request{Method: http.MethodGet, URL: at, Header: http.Header{"Authorization": {"Bearer 0"}}}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	page.Reset()
	_, err = page.ReadFrom(answer.Body)
	return err
}

func appendHead(b []byte, at time.Time) []byte {
	b = append(b, "<14>"...)
	b = at.AppendFormat(b, stamp)
	return append(b, " localhost "+tag+": "...)
}

// A traceRow is a row as a Go program would declare it.
type traceRow struct {
	Organization     string
	MessageId        *string
	Received         string
	SenderAddress    string
	RecipientAddress string
	Subject          *string
	Status           string
	ToIP             *string
	FromIP           *string
	Size             int
	MessageTraceId   string
	StartDate        string
	EndDate          string
	Index            int
}

type traceEvent struct {
	PullingID string `json:"@devo_pulling_id"`
	traceRow
}

// decodeStructs returns the reference that people write: encoding/json to structs and back.
func decodeStructs() convert {
	pulling := strconv.FormatInt(time.Now().UnixMilli(), 10)
	return func(frames, page []byte) ([]byte, string, error) {
		var doc struct {
			Value []traceRow `json:"value"`
			Next  string     `json:"odata.nextLink"`
		}
		if err := json.Unmarshal(page, &doc); err != nil {
			return nil, "", err
		}
		b := bytes.NewBuffer(frames)
		out := json.NewEncoder(b)
		out.SetEscapeHTML(false)
		for i := range doc.Value {
			at, err := time.Parse("2006-01-02T15:04:05", doc.Value[i].Received)
			if err != nil {
				return nil, "", err
			}
			b.Write(appendHead(b.AvailableBuffer(), at))
			if err := out.Encode(traceEvent{pulling, doc.Value[i]}); err != nil { // with a newline
				return nil, "", err
			}
		}
		return b.Bytes(), doc.Next, nil
	}
}

// scanBytes returns the least that a program can do: it looks for the ends of rows and the time of each, and believes the rest.
func scanBytes() convert {
	const nextKey = `],"odata.nextLink":"`
	pulling := `{"@devo_pulling_id":"` + strconv.FormatInt(time.Now().UnixMilli(), 10) + `",`
	return func(frames, page []byte) ([]byte, string, error) {
		_, rows, _ := bytes.Cut(page, []byte(`"value":[`))
		rows, link, _ := bytes.Cut(rows, []byte(nextKey))
		for len(rows) > 2 { // of the last page, ]} is left
			end := bytes.Index(rows, []byte(`},{"Organization":"`)) + 1
			if end == 0 {
				end = bytes.LastIndexByte(bytes.TrimSuffix(rows, []byte("]}")), '}') + 1
			}
			i := bytes.Index(rows, []byte(momentKey)) + len(momentKey)
			at, err := time.Parse("2006-01-02T15:04:05", string(rows[i:i+len(moment)]))
			if err != nil {
				return nil, "", err
			}
			frames = append(appendHead(frames, at), pulling...)
			frames = append(append(frames, rows[1:end]...), '\n')
			rows = rows[min(end+1, len(rows)):]
		}
		return frames, string(bytes.TrimSuffix(link, []byte(`"}`))), nil
	}
}
