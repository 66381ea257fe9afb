// Package binlog holds places in a binary log as types: a file and an offset, a MariaDB GTID position, a MySQL GTID
// set. It parses, prints and compares them.
//
// Comparing gives an [Order] or an error and never a bool: two places can be of different servers or of histories
// that parted, and a bool would call that "not yet there" (STYLE, rule 10).
//
// It does no I/O and imports nothing outside the standard library.
package binlog

import (
	"errors"
	"fmt"
)

// Order says how one place lies to another.
type Order int

const (
	Before Order = -1 // everything up to the first is also in the second, which has more
	Same   Order = 0
	After  Order = 1 // the reverse of Before
)

func (o Order) String() string {
	switch o {
	case Before:
		return "before"
	case Same:
		return "same"
	case After:
		return "after"
	}
	return fmt.Sprintf("order(%d)", int(o))
}

var (
	// ErrOtherLog: the two places are in different logs and have no order. Retrying doesn't help: the caller
	// compares what doesn't belong together.
	ErrOtherLog = errors.New("positions of different logs have no order")
	// ErrDiverged: each of the two has something the other lacks. Stop and let a person look: writes on one side
	// would be lost by taking either for the later one.
	ErrDiverged = errors.New("positions have parted: each has what the other lacks")
	// ErrSyntax: the text isn't a position. The wrapping error has the text and the place.
	ErrSyntax = errors.New("not a position")
)

// merge folds the order of one part into the order of the whole: Before and After together have no order.
func merge(whole, part Order) (Order, bool) {
	if whole == Same || whole == part {
		return part, true
	}
	return whole, part == Same
}
