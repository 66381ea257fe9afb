package strictyaml

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, written with its unit: 512B, 64KiB, 20GiB, 10GB.
type Size int64

var units = []struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}}

// UnmarshalText reads a whole number and a unit.
func (s *Size) UnmarshalText(b []byte) error {
	text := string(b)
	for _, u := range units {
		digits, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > (1<<63-1)/u.bytes {
			break
		}
		*s = Size(n * u.bytes)
		return nil
	}
	return fmt.Errorf("%q is not a size: write a whole number with its unit, such as 64KiB, 20GiB or 10GB", text)
}

// String writes the size in the unit that makes it shortest without a rest.
func (s Size) String() string {
	out := strconv.FormatInt(int64(s), 10) + "B"
	for _, u := range units {
		if text := strconv.FormatInt(int64(s)/u.bytes, 10) + u.name; s != 0 && int64(s)%u.bytes == 0 && len(text) < len(out) {
			out = text
		}
	}
	return out
}

// MarshalText writes String's text.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Duration is a length of time, written with its unit: 500ms, 30s, 5m, 1h30m.
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration reads, if it isn't negative.
func (d *Duration) UnmarshalText(b []byte) error {
	t, err := time.ParseDuration(string(b))
	if err != nil || t < 0 || string(b) == "0" {
		return fmt.Errorf("%q is not a length of time: write a number with its unit, such as 500ms, 30s, 5m or 1h30m", string(b))
	}
	*d = Duration(t)
	return nil
}

// String writes it as time.Duration does.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes String's text.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
