// Package dbgen makes up schemas and rows that a MariaDB takes and that Slipway is to carry: every type of column and every
// kind of key. What it makes is SQL text, so that a test which uses it uses nothing of the code that it tests.
//
// It is for tests alone. The same random numbers make the same text.
package dbgen

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Type is one sort of column.
type Type struct {
	What string // its name in lists of what was hit
	Only string // the server that has it: "maria"; "": both
	// Def is the type as it stands in a definition, without NULL and defaults.
	Def func(*rand.Rand) string
	// Value is an expression for a value of a column of that definition.
	Value func(r *rand.Rand, def string) string
	Key   bool // may be a key's part as it is
}

// Types are all.
var Types = append(append(append(numbers(), times()...), bytesAndShapes()...), texts()...)

// Pick gives one of xs.
func Pick[T any](r *rand.Rand, xs ...T) T { return xs[r.IntN(len(xs))] }

// Quote makes a name an identifier.
func Quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func oneOf(defs ...string) func(*rand.Rand) string {
	return func(r *rand.Rand) string { return Pick(r, defs...) }
}

func digits(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('0' + r.IntN(10))
	}
	return string(b)
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = Pick(r, 0, 0, ' ', '\'', '\\', 0xff, byte(r.Uint32()), byte(r.Uint32()))
	}
	return b
}

func hexed(b []byte) string { return fmt.Sprintf("x'%x'", b) }

// inParens is the number in a declaration: 3 of datetime(3), or the given.
func inParens(def string, otherwise int) int {
	_, rest, ok := strings.Cut(def, "(")
	if !ok {
		return otherwise
	}
	n, err := strconv.Atoi(rest[:strings.IndexAny(rest, "),")])
	if err != nil {
		return otherwise
	}
	return n
}
