package dbcopy

import (
	"math"
	"time"
)

// speed is how fast bytes move, the latest weighing most: a target slows down as its memory fills, and a copy goes from tables
// that get their keys later to such that have them. What is older weighs less by e for each memory.
type speed struct {
	began, at      time.Time
	bytes          int64 // at the last look
	moved, seconds float64
}

// The memory is a share of the time since the first look: of a copy of hours no single minute decides.
const (
	memoryShare = 0.15
	leastMemory = 5 * time.Second
)

// look enters how many bytes have moved.
func (s *speed) look(now time.Time, bytes int64) {
	if s.began.IsZero() {
		s.began, s.at, s.bytes = now, now, bytes
		return
	}
	took := now.Sub(s.at)
	if took <= 0 {
		return
	}
	memory := max(leastMemory, time.Duration(memoryShare*float64(now.Sub(s.began))))
	keep := math.Exp(-took.Seconds() / memory.Seconds())
	s.moved, s.seconds = s.moved*keep+float64(bytes-s.bytes), s.seconds*keep+took.Seconds()
	s.at, s.bytes = now, bytes
}

// skip leaves a time out in which nothing was to move.
func (s *speed) skip(gone time.Duration) {
	if !s.began.IsZero() {
		s.began, s.at = s.began.Add(gone), s.at.Add(gone)
	}
}

// rate is bytes a second; 0: not known yet.
func (s *speed) rate() float64 {
	if s.seconds == 0 {
		return 0
	}
	return s.moved / s.seconds
}

// keyRate is how many times faster a key is taken to be added than its table's rows are copied, until one has been added. By three copies
// of make bench-db's tables on a busy machine it was 5, 7 and 9.
const keyRate = 7

// left is how long the rows yet to come take, and the keys after them.
func (s *speed) left(bytes, keys int64) time.Duration {
	r := s.rate()
	if r <= 0 {
		return 0
	}
	secs := float64(bytes)/r + float64(keys)/(r*keyRate)
	return time.Duration(min(secs, float64(math.MaxInt64/time.Second)) * float64(time.Second))
}
