package dbcopy

import (
	"testing"
	"time"
)

// What two copies of make bench-db's tables moved in each second, in tenths of MiB, on a machine that did other things too: one became slower
// when it came to the tables that have their keys from the beginning, one faster when others had ended.
var (
	slower = []int64{110, 37, 150, 21, 133, 56, 108, 93, 58, 100, 33, 115, 56, 83, 81, 62, 96, 33, 131, 106, 97, 146, 98, 107, 128, 61, 104, 96, 66, 149, 41, 98, 5, 130, 0, 63, 59, 38, 55, 47,
		103, 115, 100, 70, 33, 55, 38, 5, 33, 61, 38, 37, 35, 68, 23, 5, 28, 61, 5, 6}
	faster = []int64{63, 68, 11, 153, 33, 128, 33, 115, 16, 30, 81, 50, 30, 108, 26, 92, 56, 100, 71, 98, 73, 108, 112, 131, 162, 139, 99, 129, 152, 156, 99, 131, 103, 115, 64, 148, 126, 122, 130, 103, 77, 158, 120, 50}
)

const tenth = 1 << 20 / 10

// said is what is said to be left after so many seconds of a copy, where all is that much, and what is left by its average so far.
func said(moved []int64, after int, all int64) (left, average time.Duration) {
	var s speed
	var bytes int64
	now := time.Unix(1, 0)
	s.look(now, 0)
	for _, n := range moved[:after] {
		now, bytes = now.Add(time.Second), bytes+n*tenth
		s.look(now, bytes)
	}
	return s.left(all-bytes, 0), time.Duration(float64(all-bytes) / float64(bytes) * float64(after) * float64(time.Second))
}

func sum(moved []int64) (all int64) {
	for _, n := range moved {
		all += n * tenth
	}
	return all
}

// TestSpeedLearns: when the rate changes, what is said to be left in the second half of a copy is on the average nearer to what comes than
// by the average rate so far.
func TestSpeedLearns(t *testing.T) {
	for name, moved := range map[string][]int64{"slower": slower, "faster": faster} {
		var off, plain float64
		n := 0
		for after := len(moved) / 2; after < len(moved)-5; after++ {
			is := time.Duration(len(moved)-after) * time.Second
			left, average := said(moved, after, sum(moved))
			off, plain, n = off+(left-is).Abs().Seconds()/is.Seconds(), plain+(average-is).Abs().Seconds()/is.Seconds(), n+1
		}
		off, plain = off/float64(n), plain/float64(n)
		t.Logf("%s: off by %.2f, by the average rate %.2f", name, off, plain)
		if off > 0.85*plain {
			t.Errorf("%s: off by %.2f, and by the average rate by %.2f", name, off, plain)
		}
	}
}

// TestSpeedSteady: at a rate that doesn't change, what is left is exact; a time in which nothing was to move doesn't count.
func TestSpeedSteady(t *testing.T) {
	var s speed
	if s.rate() != 0 || s.left(1<<20, 0) != 0 {
		t.Error("something is known before anything moved")
	}
	now := time.Unix(1, 0)
	for i := range int64(600) {
		if i == 300 {
			now = now.Add(time.Hour)
			s.skip(time.Hour)
		}
		s.look(now, i*1000)
		now = now.Add(time.Second)
	}
	if left := s.left(60_000, 0).Round(time.Millisecond); left != time.Minute {
		t.Errorf("60,000 bytes at 1,000 a second take %s", left)
	}
	if left := s.left(0, 60_000*keyRate).Round(time.Millisecond); left != time.Minute {
		t.Errorf("keys of %d bytes take %s", 60_000*keyRate, left)
	}
}

// TestSpeedStalls: while nothing moves that is to move, more and more is said to be left.
func TestSpeedStalls(t *testing.T) {
	var s speed
	now := time.Unix(1, 0)
	for i := range int64(60) {
		s.look(now.Add(time.Duration(i)*time.Second), i*1000)
	}
	last := s.left(60_000, 0)
	for i := range 30 {
		s.look(now.Add(time.Duration(60+i)*time.Second), 59_000)
		left := s.left(60_000, 0)
		if left <= last {
			t.Fatalf("after %d s of nothing: %s left, and %s before", i+1, left, last)
		}
		last = left
	}
	if last < 5*time.Minute { // by the average so far it were a minute and a half
		t.Errorf("after half a minute of nothing: %s left", last)
	}
}
