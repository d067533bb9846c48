package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"
)

// PartName is the command of the program that [Part] is.
const PartName = "bench-part"

// Part is what the processes run that a benchmark starts: the world, a reference, or the program itself, which engine
// runs on a configuration file until its context ends.
func Part(ctx context.Context, args []string, in io.Reader, out io.Writer, engine func(ctx context.Context, config string) error) error {
	if len(args) < 2 {
		return errors.New("it is started by starling bench")
	}
	kind, what := args[0], args[1]
	if kind == "world" {
		return serveWorld(what, in, out)
	}
	var j job
	if kind != Starling {
		if err := json.Unmarshal([]byte(what), &j); err != nil {
			return err
		}
	}
	profiles := ""
	if len(args) > 2 {
		profiles = args[2]
	}
	stop, err := profile(profiles)
	if err != nil {
		return err
	}
	switch kind {
	case Starling:
		ctx, cancel := context.WithCancel(ctx)
		go func() {
			io.Copy(io.Discard, in) // its end is the order to stop
			cancel()
		}()
		err = engine(ctx, what)
	case structs:
		err = j.run(decodeStructs())
	case scan:
		err = j.run(scanBytes())
	default:
		err = fmt.Errorf("%s: no such part", kind)
	}
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return json.NewEncoder(out).Encode(usage{Bytes: m.TotalAlloc, Allocs: m.Mallocs, PeakKiB: memory(os.Getpid(), "VmHWM:")})
}

// A usage is what a process that is measured says of itself in the end.
type usage struct {
	Bytes, Allocs uint64 // allocated
	PeakKiB       int    // resident
	cpu           time.Duration
}

// memory reads a number of KiB that Linux knows of a process; elsewhere it is 0.
func memory(process int, what string) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), what)
	n, _ := strconv.Atoi(strings.Fields(rest + " 0")[0])
	return n
}

// profile begins what writes profiles into a folder, if there is one.
func profile(dir string) (stop func() error, err error) {
	if dir == "" {
		return func() error { return nil }, nil
	}
	cpu, err := os.Create(filepath.Join(dir, "cpu.pprof"))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, err
	}
	return func() error {
		pprof.StopCPUProfile()
		errs := []error{cpu.Close()}
		for _, name := range []string{"heap", "allocs"} {
			f, err := os.Create(filepath.Join(dir, name+".pprof"))
			if err == nil {
				err = errors.Join(pprof.Lookup(name).WriteTo(f, 0), f.Close())
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}, nil
}
