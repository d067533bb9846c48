package sim

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// skipToken is where a listing goes on. Clients see it sealed.
type skipToken struct {
	From, To int64 // ticks
	At       int   // cursor: the first row that was not given, downwards; otherwise how many rows were
	Moment   int64 // ticks: when the first page was asked for
	Issued   int64 // ticks
}

// gone is the answer to a link that is too old.
type gone struct{ status int }

func (gone) Error() string { return "The skip token has expired." }

func newSealer(seed uint64) cipher.AEAD {
	key := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("skiptoken"), seed))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the key has a right length
	}
	sealer, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // the block has a right size
	}
	return sealer
}

func (m *Microsoft) sealToken(t skipToken) string {
	text, err := json.Marshal(t)
	if err != nil {
		panic(err) // numbers only
	}
	nonce := make([]byte, m.sealer.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return base64.RawURLEncoding.EncodeToString(m.sealer.Seal(nonce, nonce, text, nil))
}

func (m *Microsoft) openToken(text string) (t skipToken, err error) {
	invalid := badRequest("Skip token is not valid.")
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	n := m.sealer.NonceSize()
	if err != nil || len(sealed) < n {
		return t, invalid
	}
	plain, err := m.sealer.Open(nil, sealed[:n], sealed[n:], nil)
	if err != nil || json.Unmarshal(plain, &t) != nil {
		return t, invalid
	}
	o := m.Options()
	if life := o.Graph.LinkLife; life > 0 && o.now().Sub(fromTicks(t.Issued)) > life {
		return t, gone{o.Graph.LinkGone}
	}
	return t, nil
}

// link returns the address of the next page, or what the switches make of it.
func (m *Microsoft) link(r *http.Request, q *graphQuery, o *Options, next skipToken, now time.Time) string {
	host := base(r)
	m.mu.Lock()
	m.links++
	nth := func(every int) bool { return every > 0 && m.links%every == 0 }
	repeat, foreign := nth(o.Graph.RepeatLink), nth(o.Graph.ForeignLink)
	m.mu.Unlock()
	switch {
	case repeat:
		return host + r.URL.RequestURI()
	case foreign:
		host = "https://graph.example.net"
	}
	next.Issued = ticks(now)
	query := "$top=" + url.QueryEscape(r.URL.Query().Get("$top")) + "&$skiptoken=" + m.sealToken(next)
	if r.URL.Query().Get("$top") == "" {
		_, query, _ = strings.Cut(query, "&")
	}
	if q.filter != "" {
		query = "$filter=" + escape(q.filter, "'(),-._~!*@$/:") + "&" + query
	}
	return host + r.URL.EscapedPath() + "?" + query
}
