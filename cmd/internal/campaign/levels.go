package campaign

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A level is how much a process holds at one moment.
type level struct {
	at                           time.Duration // since the start
	goroutines, files, rss, disk float64       // rss and disk in MiB
}

// levels are samples in order.
type levels []level

// sample asks the status server, and looks at the state directory.
func (l *levels) sample(ctx context.Context, url, state string, at time.Duration) error {
	body, err := get(ctx, url+"/metrics")
	if err != nil {
		return err
	}
	disk, err := diskUse(state)
	if err != nil {
		return err
	}
	one := level{at: at, disk: disk}
	for name, value := range map[string]*float64{"go_goroutines": &one.goroutines, "process_open_fds": &one.files, "process_resident_memory_bytes": &one.rss} {
		if *value, err = metric(body, name); err != nil {
			return err
		}
	}
	one.rss /= 1 << 20
	*l = append(*l, one)
	return nil
}

func get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(answer.Body)
}

// metric finds a metric without labels.
func metric(body []byte, name string) (float64, error) {
	for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}

// diskUse returns what the files below a folder hold, MiB. Badger's files have holes, so it counts blocks.
func diskUse(dir string) (float64, error) {
	var total float64
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			total += float64(info.Sys().(*syscall.Stat_t).Blocks) * 512
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) { // it was deleted while we looked
		err = nil
	}
	return total / (1 << 20), err
}

// slack is how much more the last third may hold than the middle one, beside a quarter of it.
func slack() level { return level{goroutines: 20, files: 20, rss: 48, disk: 64} }

// leastSoak is how long a soak must take before its levels say anything: a process that is seconds old is still growing.
const leastSoak = 2 * time.Minute

// level returns an error if something grew: the median of the last third of the samples against that of the middle third.
func (l levels) level() error {
	if len(l) < 12 || l[len(l)-1].at < leastSoak {
		return nil
	}
	middle, last, s := l[len(l)/3:2*len(l)/3].median(), l[2*len(l)/3:].median(), slack()
	var err error
	for _, m := range []struct {
		name               string
		middle, last, more float64
	}{
		{"goroutines", middle.goroutines, last.goroutines, s.goroutines},
		{"open files", middle.files, last.files, s.files},
		{"MiB of memory", middle.rss, last.rss, s.rss},
		{"MiB on disk", middle.disk, last.disk, s.disk},
	} {
		if m.last > m.middle*1.25+m.more {
			err = errors.Join(err, fmt.Errorf("%s grew from %.0f in the middle third of the time to %.0f in the last", m.name, m.middle, m.last))
		}
	}
	return err
}

func (l levels) median() level {
	of := func(f func(level) float64) float64 {
		var values []float64
		for _, one := range l {
			values = append(values, f(one))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return level{
		goroutines: of(func(x level) float64 { return x.goroutines }), files: of(func(x level) float64 { return x.files }),
		rss: of(func(x level) float64 { return x.rss }), disk: of(func(x level) float64 { return x.disk }),
	}
}

func (l levels) last() string {
	if len(l) == 0 {
		return "no sample yet"
	}
	x := l[len(l)-1]
	return fmt.Sprintf("%.0f goroutines, %.0f open files, %.0f MiB of memory, %.0f MiB on disk", x.goroutines, x.files, x.rss, x.disk)
}

// table shows at most a dozen samples, and the medians that are compared.
func (l levels) table() string {
	var b strings.Builder
	b.WriteString("\n| time | goroutines | open files | memory, MiB | disk, MiB |\n| --- | --- | --- | --- | --- |\n")
	row := func(name string, x level) {
		fmt.Fprintf(&b, "| %s | %.0f | %.0f | %.0f | %.0f |\n", name, x.goroutines, x.files, x.rss, x.disk)
	}
	for i := 0; i < len(l); i += max(1, len(l)/12) {
		row(l[i].at.Round(time.Second).String(), l[i])
	}
	if len(l) >= 3 {
		row("median of the middle third", l[len(l)/3:2*len(l)/3].median())
		row("median of the last third", l[2*len(l)/3:].median())
	}
	return b.String()
}
