package engine

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Keys are known by their hour, whatever order rows come in: since the commit or before, of more hours than are found
// without the maps, after a commit, a start anew, or a sweep that sends once more what was sent.
func TestKeysOfManyHoursAreKnownInAnyOrder(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	type row struct {
		hour int64
		key  Key
	}
	p := NewPull(t.Context(), testEnv(t, openStore(t, "")), "in/1/a")
	staged, committed := map[row]bool{}, map[row]bool{}
	wiped, again := false, false
	for i := range 20_000 {
		r := row{1 + random.Int64N(40), Key{byte(random.IntN(50))}}
		at := time.Unix(3600*r.hour+random.Int64N(3600), 0)
		want := staged[r] || committed[r] && !wiped && !again
		switch random.IntN(200) {
		case 0:
			if err := p.Commit(); err != nil {
				t.Fatal(err)
			}
			if wiped {
				committed = map[row]bool{}
			}
			for r := range staged {
				committed[r] = true
			}
			staged, wiped = map[row]bool{}, false
		case 1:
			if random.IntN(10) == 0 {
				p.Wipe()
				staged, wiped = map[row]bool{}, true
			}
		case 2:
			again = !again
			p.OpenSweep(at, at, again)
		case 3, 4, 5:
			if got, err := p.Known(at, r.key); got != want || err != nil {
				t.Fatalf("%d: Known says %v, %v, want %v", i, got, err, want)
			}
			if got := p.SeenSinceCommit(at, r.key); got != staged[r] {
				t.Fatalf("%d: SeenSinceCommit says %v", i, got)
			}
		case 6:
			p.Approach(at, r.key)
		default:
			if got, err := p.Seen(at, r.key); got != want || err != nil {
				t.Fatalf("%d: Seen says %v, %v, want %v", i, got, err, want)
			}
			if !want {
				staged[r] = true
			}
		}
	}
}
