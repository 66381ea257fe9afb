package dbtest

import (
	"math"
	"testing"
)

// TestRow: what a server stores otherwise is another text.
func TestRow(t *testing.T) {
	seen := map[string]int{}
	for i, v := range []any{nil, []byte{}, []byte(" "), []byte("1"), []byte("01"), int64(1), uint64(1), 1.0, math.Nextafter(1, 2), math.Copysign(0, -1), 0.0, float32(1)} {
		row := Row([]string{"a"}, []any{v})
		if j, there := seen[row]; there {
			t.Errorf("values %d and %d are the same: %s", i, j, row)
		}
		seen[row] = i
	}
	if Row([]string{"a", "b"}, []any{[]byte("1"), nil}) == Row([]string{"a", "b"}, []any{nil, []byte("1")}) {
		t.Error("two columns that are swapped are the same")
	}
}

func TestFirst(t *testing.T) {
	for _, c := range []struct {
		a, b []string
		x, y string
	}{{nil, nil, "", ""}, {[]string{"1", "2"}, []string{"1", "2"}, "", ""}, {[]string{"1", "2"}, []string{"1", "3"}, "2", "3"}, {[]string{"1"}, nil, "1", "(none)"}, {[]string{"1"}, []string{"1", "1"}, "(none)", "1"}} {
		if x, y, differ := first(c.a, c.b); x != c.x || y != c.y || differ != (x != y) {
			t.Errorf("%q and %q differ in %q and %q", c.a, c.b, x, y)
		}
	}
}
