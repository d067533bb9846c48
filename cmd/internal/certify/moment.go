package certify

import (
	"strconv"
	"strings"
	"time"
)

// layouts are the forms that times have in requests and rows, the most exact first.
var layouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04Z07:00", "2006-01-02"}

// moment reads a time: a text, or seconds or milliseconds since 1970.
func moment(v any) (time.Time, bool) {
	switch v := v.(type) {
	case int64:
		return epoch(v)
	case float64:
		t, ok := epoch(int64(v))
		return t.Add(time.Duration((v - float64(int64(v))) * 1e9)), ok
	case string:
		v = strings.Trim(v, `'"`)
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return epoch(n)
		}
		for _, layout := range layouts {
			if t, err := time.Parse(layout, v); err == nil {
				return t.UTC(), true
			}
		}
	}
	return time.Time{}, false
}

// epoch takes a number for a time if it is one of our days.
func epoch(n int64) (time.Time, bool) {
	switch {
	case n > 1e9 && n < 1e10:
		return time.Unix(n, 0).UTC(), true
	case n > 1e12 && n < 1e13:
		return time.UnixMilli(n).UTC(), true
	}
	return time.Time{}, false
}

// likeTime writes a time in the form of another one.
func likeTime(like any, at time.Time) any {
	switch v := like.(type) {
	case int64:
		if v > 1e12 {
			return at.UnixMilli()
		}
		return at.Unix()
	case float64:
		return float64(at.UnixMilli()) / 1000
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return strconv.FormatInt(likeTime(n, at).(int64), 10)
		}
		for _, layout := range layouts {
			if was, err := time.Parse(layout, v); err == nil {
				return at.In(was.Location()).Format(strings.Replace(layout, ".999999999", "", 1))
			}
		}
	}
	return at.UTC().Format(time.RFC3339)
}
