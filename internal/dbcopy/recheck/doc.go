// Package recheck goes on with the verification of a target that follows, from where a whole comparison began: it reads the source's log
// itself, and compares each row that was changed since on both sides, once the follower has passed its last change. So it finds a follower that
// passed a row by, and a row that somebody altered at the target and that the source changes later.
//
// How far it has come is a position: all that the source had committed until then was compared. It is kept at the target, and a killed
// process begins there again.
//
// Of package follow it uses what a position is and where the stream stands, and nothing of how it applies. It writes nothing but its own row
// in _slipway, and imports no step and no engine.
package recheck

import "errors"

var (
	// ErrCascades: a foreign key does on one side what it doesn't on the other, so that what it did at the source isn't what it did at the
	// target. Make it the same, and compare again.
	ErrCascades = errors.New("a foreign key does other things at the target than at the source")
	// ErrNoKey: a table has no key by which its rows are told apart. Copy again after it has one.
	ErrNoKey = errors.New("no key tells its rows apart")
)
