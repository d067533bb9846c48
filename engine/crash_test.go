package engine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// drawn returns random numbers whose seed is printed; STARLING_SEED repeats a run.
func drawn(t *testing.T) *rand.Rand {
	seed := uint64(envNumber("STARLING_SEED", int(time.Now().UnixNano()%1_000_000)))
	t.Logf("STARLING_SEED=%d repeats these draws", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// An eventID is event i of commit n of a collector.
type eventID struct{ n, i int }

func (e eventID) next() eventID {
	if e.i+1 < eventsOf(e.n) {
		return eventID{e.n, e.i + 1}
	}
	return eventID{e.n + 1, 0}
}

func (e eventID) before(o eventID) bool { return e.n < o.n || e.n == o.n && e.i < o.i }

// A history is what the children of one state directory told before they died, and judges what each
// finds when it opens the store again.
type history struct {
	asked, done map[string]int        // by collector: the commit that began, and the one that was confirmed
	got         map[[2]string]eventID // by sink and collector: the last event that came, without a gap before it
	repeated    int
	heard       func(verb string) // told of every line; may be nil
	confirmed   int               // commits

	stop func() // ends a child that works until it is told to stop

	// What one child finds, until it says that this is all.
	cursors map[string]int
	keys    map[string]map[int]bool
	has     map[[2]string][]eventID
}

func newHistory() *history {
	h := &history{asked: map[string]int{}, done: map[string]int{}, got: map[[2]string]eventID{}}
	h.begin()
	return h
}

// begin forgets what a child that died while it looked had told.
func (h *history) begin() {
	h.cursors, h.keys, h.has = map[string]int{}, map[string]map[int]bool{}, map[[2]string][]eventID{}
}

// line takes one line of a child.
func (h *history) line(text string) error {
	f := strings.Fields(text)
	if h.heard != nil {
		defer h.heard(f[0])
	}
	number := func(i int) int {
		n, err := strconv.Atoi(f[i])
		if err != nil {
			panic(text)
		}
		return n
	}
	switch f[0] {
	case "asked":
		h.asked[f[1]] = number(2)
	case "done":
		h.done[f[1]] = number(2)
		h.confirmed++
	case "cursor":
		h.cursors[f[1]] = number(2)
	case "key":
		if h.keys[f[1]] == nil {
			h.keys[f[1]] = map[int]bool{}
		}
		h.keys[f[1]][number(2)] = true
	case "has":
		way := [2]string{f[1], f[2]}
		h.has[way] = append(h.has[way], eventID{number(3), number(4)})
	case "got":
		return h.take([2]string{f[1], f[2]}, eventID{number(3), number(4)})
	case "ready":
		return h.judge()
	case "error":
		return errors.New(text)
	}
	return nil
}

// last returns the last event that came for certain.
func (h *history) last(way [2]string) eventID {
	if e, ok := h.got[way]; ok {
		return e
	}
	return eventID{1, -1}
}

func (h *history) take(way [2]string, e eventID) error {
	last := h.last(way)
	switch {
	case !last.before(e):
		h.repeated++
	case e != last.next():
		return fmt.Errorf("output %s, collector %s: event %v comes after %v, want %v", way[0], way[1], e, last, last.next())
	default:
		h.got[way] = e
	}
	return nil
}

// judge compares what a child found in the store with what had been confirmed.
func (h *history) judge() error {
	var wrong []error
	for _, c := range crashCollectors {
		at := h.cursors[c]
		if at < h.done[c] || at > max(h.asked[c], h.done[c]) {
			wrong = append(wrong, fmt.Errorf("%s: the cursor is %d; commit %d was confirmed, %d begun", c, at, h.done[c], h.asked[c]))
			continue
		}
		for _, sink := range crashSinks {
			if err := h.judgeOutbox([2]string{sink, c}, at); err != nil {
				wrong = append(wrong, err)
			}
		}
		wrong = append(wrong, h.judgeKeys(c, at))
		h.done[c] = at
	}
	return errors.Join(wrong...)
}

// judgeOutbox wants every event up to commit at that the output has not had, in order, and nothing after it.
func (h *history) judgeOutbox(way [2]string, at int) error {
	end, last := eventID{at + 1, 0}, h.last(way)
	kept := h.has[way]
	if len(kept) > 0 && last.next().before(kept[0]) {
		return fmt.Errorf("output %s, collector %s: %v is the first event kept, %v the last that came", way[0], way[1], kept[0], last)
	}
	for i, e := range kept {
		if i > 0 && e != kept[i-1].next() {
			return fmt.Errorf("output %s, collector %s: %v is kept after %v", way[0], way[1], e, kept[i-1])
		}
		last = e
	}
	if at > 0 && last.next() != end {
		return fmt.Errorf("output %s, collector %s: the last event is %v, the cursor is %d", way[0], way[1], last, at)
	}
	return nil
}

// judgeKeys wants the keys that no commit up to at forgot, and none of a later commit.
func (h *history) judgeKeys(c string, at int) error {
	first := 1
	for n := 1; n <= max(at, h.asked[c]); n++ { // keys go before the cursors when a collector starts over
		if n%wipeEvery == 0 {
			first = n
		}
		if n%forgetEvery == 0 && n <= at {
			first = max(first, n-forgetAfter)
		}
	}
	for n := max(1, first); n <= at+2; n++ {
		if want := n <= at; h.keys[c][n] != want {
			return fmt.Errorf("%s: key %d is known: %v, the cursor is %d", c, n, h.keys[c][n], at)
		}
	}
	return nil
}

// life runs one child on dir until it ends or dies, and judges what it tells.
func (h *history) life(ctx context.Context, dir string, env ...string) (killed bool, err error) {
	return h.lifeUntil(ctx, func() {}, dir, env...)
}

// lifeUntil kills the child when ctx ends, and then calls dead.
func (h *history) lifeUntil(ctx context.Context, dead func(), dir string, env ...string) (killed bool, err error) {
	h.begin()
	c := exec.CommandContext(ctx, os.Args[0], "-test.run=^$")
	if h.heard != nil { // it works until its standard input ends
		stdin, err := c.StdinPipe()
		if err != nil {
			return false, err
		}
		h.stop = func() { stdin.Close() }
	}
	c.Env = append(append(os.Environ(), "STARLING_CRASH_DIR="+dir), env...)
	c.Cancel = func() error {
		defer dead()
		return c.Process.Kill()
	}
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := c.Start(); err != nil {
		return false, err
	}
	err = h.read(out)
	io.Copy(io.Discard, out)
	died := c.Wait()
	if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGKILL {
		return true, err
	}
	if died != nil {
		err = errors.Join(err, fmt.Errorf("the child: %w\n%s", died, stderr.String()))
	}
	return false, err
}

func (h *history) read(out io.Reader) error {
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil { // what is cut off was not told
			return nil
		}
		if err := h.line(line); err != nil {
			return err
		}
	}
}

// stepsInSource reads the steps from steps.go and checks that the store comes by each of them.
func stepsInSource(t *testing.T) []step {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	declared, used := map[string]step{}, map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				if kind, ok := n.Type.(*ast.Ident); ok && kind.Name == "step" {
					text, err := strconv.Unquote(n.Values[0].(*ast.BasicLit).Value)
					if err != nil {
						t.Fatal(err)
					}
					declared[n.Names[0].Name] = step(text)
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "at" && len(n.Args) == 1 {
					if arg, ok := n.Args[0].(*ast.Ident); ok {
						used[arg.Name] = true
					}
				}
			}
			return true
		})
	}
	var steps []step
	for name, s := range declared {
		if !used[name] {
			t.Errorf("nothing in the store comes by %s", name)
		}
		steps = append(steps, s)
	}
	slices.Sort(steps)
	return steps
}

// drawInline decides whether a child puts all chunks into segments, or those of large commits, as it is in production.
func drawInline(draw *rand.Rand) string { return fmt.Sprint("STARLING_CRASH_INLINE=", draw.IntN(2)) }

// A process that is killed at any step of the store loses nothing that was confirmed, keeps nothing
// by halves, and goes on in order; also when it is killed again while it recovers.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	draw := drawn(t)
	dir := t.TempDir()
	h := newHistory()
	steps := stepsInSource(t)
	rounds := envNumber("STARLING_CRASH_STEPS", 1)
	kills := 0
	for range rounds {
		draw.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
		for _, s := range steps {
			hit, lifetime := 1+draw.IntN(2), 8
			switch s {
			case stepPart:
				hit = 1 + draw.IntN(5)
			case stepOpened, stepLeftovers, stepCleaned:
				hit = 1
			case stepClose:
				hit, lifetime = 1, 1
			}
			killed, err := h.life(t.Context(), dir, "STARLING_CRASH_STEP="+string(s), drawInline(draw), fmt.Sprint("STARLING_CRASH_HIT=", hit), fmt.Sprint("STARLING_CRASH_ROUNDS=", lifetime))
			if err != nil {
				t.Fatalf("before the kill at step %q, hit %d: %v", s, hit, err)
			}
			if !killed {
				t.Fatalf("step %q is not reached %d times", s, hit)
			}
			again := []step{stepOpened, stepLeftovers, stepCleaned, stepTrim}[draw.IntN(4)]
			if killed, err = h.life(t.Context(), dir, "STARLING_CRASH_STEP="+string(again)); err != nil || !killed {
				t.Fatalf("after the kill at step %q, hit %d, killed again at %q %v: %v", s, hit, again, killed, err)
			}
			kills += 2
		}
	}
	if _, err := h.life(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kills, %d commits confirmed, %d events came twice", kills, h.confirmed, h.repeated)
}
