package sim

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
)

// statuses a row may have; the last one is by far the most frequent.
var statuses = [...]string{"Failed", "Pending", "Expanded", "Quarantined", "FilteredAsSpam", "GettingStatus", "None", "", "Delivered"}

var plainSubjects = [...]string{
	"Weekly report", "RE: Weekly report", "Your invoice is ready", "Lunch?", "Meeting moved to Thursday", "FW: contract, second draft",
	"Password expires in 5 days", "Build passed", "Order confirmation", "",
}

// hardSubjects have broken some collector, or could.
var hardSubjects = [...]string{
	"Prüfung: Straße, Größe – façade, naïve, Łódź",
	"日本語の件名 請求書", "Счёт на оплату", "📧 Rechnung 😀👩‍👩‍👧", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𠜎𠜱",
	"\u202eعقد جديد\u202c", "שלום עולם", "e\u0301 combining", "separators \u2028 and \u2029 and \ufeff",
	"line one\nline two\r\n\tline three", "bell \a, escape \x1b[31m, unit \x1f, delete \x7f", "nul \x00 inside",
	`He said "hi" \ 'there' \n / \u0041`, `<b>&amp;</b> ]]>`, "100%s %n %00 + # & ; =",
	`","MessageTraceId":"00000000-0000-0000-0000-000000000000","RecipientAddress":"x`, "MessageTraceId", "RecipientAddress",
	"<14>2022-12-21 13:17:14.405 host tag: not a frame", "cut in the middle of a character \xed\xa0\xbd", "\xed\xb8\x80 second half",
	"null", strings.Repeat("long ", 400),
}

func subject(r *rand.Rand) (text string, null bool) {
	switch n := r.IntN(16); {
	case n == 0:
		return "", true
	case n <= 3:
		return hardSubjects[r.IntN(len(hardSubjects))], false
	case n <= 8:
		return "Ticket #" + strconv.Itoa(r.IntN(1_000_000)) + " has an answer", false
	default:
		return plainSubjects[r.IntN(len(plainSubjects))], false
	}
}

// localParts are forms of the part before the @; the number makes it unique.
var localParts = [...]string{
	"o'neil.%d", "news+tag%d", "r&d.%d", "100%%.%d", "c#.team%d", `"john doe %d"`, "Mixed.Case%d", "müller.%d", "a=b;c%d", "user/%d",
	"user%d", "user%d", "user%d", "user%d", "user%d", "user%d",
}

// The pools are made once: a test makes thousands of generators.
var (
	recipientPool = sync.OnceValue(func() []string {
		pool := make([]string, 4096)
		for i := range pool {
			pool[i] = fmt.Sprintf(localParts[i%len(localParts)]+"@contoso.com", i)
		}
		return pool
	})
	senderPool = sync.OnceValue(func() []string {
		pool := make([]string, 512)
		for i := range pool {
			pool[i] = fmt.Sprintf("%s%d@mail%d.example.com", [...]string{"alice", "bob", "no-reply", "o'brien", "jürgen"}[i%5], i, i%7)
		}
		return pool
	})
)

func messageID(r *rand.Rand) string {
	b := make([]byte, 0, 80)
	b = append(b, '<')
	b = hex.AppendEncode(b, binary.BigEndian.AppendUint64(nil, r.Uint64()))
	b = append(b, "@AM0PR"...)
	b = strconv.AppendInt(b, int64(r.IntN(10_000)), 10)
	return string(append(b, ".eurprd04.prod.outlook.com>"...))
}

// address makes an IP address; one in nulls is null.
func address(r *rand.Rand, nulls int) string {
	n := r.Uint32()
	switch {
	case int(n>>8)%nulls == 0:
		return ""
	case n>>29 == 0:
		return "2001:db8:" + strconv.FormatUint(uint64(n>>16&0xffff), 16) + "::" + strconv.FormatUint(uint64(n&0xffff), 16)
	default:
		return "203.0.113." + strconv.Itoa(int(n&0xff))
	}
}

func guid(hi, lo uint64) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], hi)
	binary.BigEndian.PutUint64(b[8:], lo)
	text := make([]byte, 36)
	hex.Encode(text[0:8], b[0:4])
	hex.Encode(text[9:13], b[4:6])
	hex.Encode(text[14:18], b[6:8])
	hex.Encode(text[19:23], b[8:10])
	hex.Encode(text[24:36], b[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text)
}
