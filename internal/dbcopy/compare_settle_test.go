package dbcopy

import (
	"context"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
)

// TestHotRowBehindTheFollower: a row that changes all the time isn't judged by looks at which the follower had not come to where it was
// first read: what the target has then is of before.
func TestHotRowBehindTheFollower(t *testing.T) {
	pos, err := binlog.ParseMariaDB("0-1-5")
	if err != nil {
		t.Fatal(err)
	}
	s := &settle{applied: pos}
	s.c = &compare{o: CompareOptions{Settle: 10 * time.Second, Applied: func(context.Context) (binlog.MariaDB, error) { return pos, nil }}}
	x := &suspect{def: &definition{table: &Table{}}, since: time.Now().Add(-11 * time.Second), looks: 2 * hotLooks, passed: 1, first: pos, read: pos,
		was: []state{{true, 1}, {true, 2}}, source: state{true, 2}, target: state{true, 3}, again: &again{left: 1}}
	s.all = []*suspect{x}
	if err := s.decide(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	if len(s.all) != 1 || !x.next.After(time.Now()) {
		t.Errorf("it isn't looked at again: %+v", x)
	}
}
