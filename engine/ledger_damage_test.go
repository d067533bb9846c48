package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// TestADamagedDayOfTheLedgerHidesNoOther damages a day of three in several ways. The others are told, and the
// next mark begins the day anew.
func TestADamagedDayOfTheLedgerHidesNoOther(t *testing.T) {
	const day = daySeconds
	for _, text := range []string{`{`, `{"v":9}`, `{"v":1,"h":[[24,1,1,1,1]]}`, `{"v":1,"s":[{"f":10,"t":5,"s":"settled"}]}`,
		`{"v":1,"s":[{"f":1795219200,"t":1795220000,"s":"settled"},{"f":1795219200,"t":1795220000,"s":"settled"}]}`} {
		s, commit := ledgerStore(t)
		commit(1, Mark{From: at(0), To: at(3 * day), State: SpanSettled, Swept: at(5 * day)})
		if err := s.ack("devo", s.nextChunk()); err != nil {
			t.Fatal(err)
		}
		err := s.db.Update(func(txn *badger.Txn) error {
			return txn.Set(ledgerKey("in/1/svc", dayOf(at(day))), []byte(text))
		})
		if err != nil {
			t.Fatal(err)
		}
		c := coverageOf(t, s)
		if len(c.Spans) != 2 || !c.Spans[0].To.Equal(at(day)) || !c.Spans[1].From.Equal(at(2*day)) || !c.Spans[0].Complete() || !c.To.Equal(at(3*day)) {
			t.Errorf("%s: the days beside it: %+v", text, c)
		}
		if len(c.Damaged) != 1 || !c.Damaged[0].From.Equal(at(day)) || !c.Damaged[0].To.Equal(at(2*day)) || !strings.HasPrefix(c.Damaged[0].Reason, "the ledger ") {
			t.Errorf("%s: the day itself: %+v", text, c.Damaged)
		}
		part, err := s.Coverage("in/1/svc", at(day+3600), at(day+7200))
		if err != nil || len(part.Damaged) != 1 || !part.Damaged[0].From.Equal(at(day+3600)) || !part.Damaged[0].To.Equal(at(day+7200)) {
			t.Errorf("%s: a part of it: %+v, %v", text, part, err)
		}
		if c, err = s.Coverage("in/1/svc", at(0), at(day)); err != nil || len(c.Damaged) != 0 {
			t.Errorf("%s: the day before: %+v, %v", text, c, err)
		}
		commit(0, Mark{From: at(day), To: at(2 * day), State: SpanSettled, Swept: at(6 * day), Again: true})
		if c := coverageOf(t, s); len(c.Damaged) != 0 || len(c.Spans) == 0 || c.Spans[len(c.Spans)-1].To.Sub(c.Spans[0].From) != 3*24*time.Hour {
			t.Errorf("%s: after it was pulled again: %+v", text, c)
		}
	}
}
