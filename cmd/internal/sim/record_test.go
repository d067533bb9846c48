package sim

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestReceivedCountsWholeLinesOnce(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "record")
	frame := func(trace string) string { // A is older than B
		return `<14>2026-05-01 10:0` + string(trace[0]-'A'+'0') + `:00.000 host my.tag: {"MessageTraceId":"` + trace + `","RecipientAddress":"R@x"}` + "\n"
	}
	var r Received
	write := func(text string, events, different, malformed int) {
		t.Helper()
		f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := r.Read(file); err != nil {
			t.Fatal(err)
		}
		if r.Events != events || r.Different() != different || r.Malformed != malformed {
			t.Errorf("got %d events, %d different, %d malformed, want %d, %d, %d", r.Events, r.Different(), r.Malformed, events, different, malformed)
		}
	}
	write(frame("A")+frame("B")[:20], 1, 1, 0)
	write(frame("B")[20:]+frame("A"), 3, 2, 0)
	write("nonsense\n"+frame("C")[:len(frame("C"))-1], 3, 2, 1)
	if got := r.Disorder(); got != 0 {
		t.Errorf("got %d out of order before there is one", got)
	}
	write("\n"+frame("B")+frame("E")+frame("D"), 7, 5, 1)
	if got := r.Disorder(); got != 1 {
		t.Errorf("got %d out of order, want 1: D, but not the second B", got)
	}
	if missing, extra, twice := r.Compare(slices.Values([]string{"a|r@x", "c|r@x", "d|r@x", "e|r@x", "f|r@x"})); missing != 1 || extra != 1 || twice != 2 {
		t.Errorf("got %d missing, %d extra, %d twice, want 1, 1, 2", missing, extra, twice)
	}
}

func TestServersInOtherProcessesHaveTheSameCertificates(t *testing.T) {
	t.Parallel()
	certs, err := NewCerts("demo")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := certs.WriteServer(dir); err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadServer(dir)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDevo(loaded, DevoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	old := string(certs.cert)
	for range 2 {
		s := dial(t, d, certs)
		s.Close()
		if err := certs.Renew(); err != nil {
			t.Fatal(err)
		}
	}
	if string(certs.cert) == old {
		t.Error("Renew makes no other certificate")
	}
}
