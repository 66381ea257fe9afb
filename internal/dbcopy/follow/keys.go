package follow

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"math"
	"slices"

	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// claim is one thing that a transaction needs for itself, or shares with others that only look at it. Two transactions
// with the same key conflict unless both share it.
type claim struct {
	key    uint64
	shared bool
}

// mostClaims is how many claims a transaction may have before it is a barrier: it waits for all before it, and all
// after it wait for it. Its own rows pay for that: it is as long as many others.
const mostClaims = 20_000

// claimer collects the claims of a transaction.
type claimer struct {
	out  []claim
	fold []byte
}

// index is a set of columns whose values tell rows apart, or refer to such.
type index struct {
	id   uint64 // of the index that is claimed: a foreign key has that of its parent's
	cols []part
	wide bool // it can't be told which values are equal: any two are
}

// part is a column of an index.
type part struct {
	at     int // in the table's columns
	prefix int // bytes that count at the most, or 0
	col    value.Column
}

func indexID(names ...string) uint64 {
	h := fnv.New64a()
	for _, n := range names {
		h.Write(binary.AppendUvarint(nil, uint64(len(n))))
		h.Write([]byte(n))
	}
	return h.Sum64()
}

// change adds the claims of one change of a row of t.
func (c *claimer) change(t *table, ch *changes.Change) {
	for _, vals := range [][][]byte{ch.Before, ch.After} {
		if vals == nil {
			continue
		}
		for i := range t.unique {
			c.claim(&t.unique[i], vals, false)
		}
		for i := range t.referenced {
			c.claim(&t.referenced[i], vals, false)
		}
		for i := range t.refers {
			c.claim(&t.refers[i], vals, true)
		}
	}
}

// claim adds the claim of one row's values in one index. A NULL among them is equal to nothing.
func (c *claimer) claim(x *index, vals [][]byte, shared bool) {
	wide := x.wide
	h := fnv.New64a()
	var id [8]byte
	binary.LittleEndian.PutUint64(id[:], x.id)
	h.Write(id[:])
	for _, p := range x.cols {
		v := vals[p.at]
		if v == nil {
			return
		}
		folded, ok := fold(c.fold[:0], p, v)
		c.fold = folded
		if !ok {
			wide = true
			break
		}
		h.Write(binary.AppendUvarint(nil, uint64(len(folded))))
		h.Write(folded)
	}
	if wide { // against all of this index
		c.out = append(c.out, claim{x.id, shared})
		return
	}
	c.out = append(c.out, claim{x.id, true}, claim{h.Sum64(), shared})
}

// exact are the character sets whose _bin collations compare bytes, but for blanks at the end.
var exact = []string{"utf8mb4", "utf8mb3", "utf8", "latin1", "ascii"}

// fold gives bytes that are equal for any two values that either server may call equal, and false where that can't be
// said. Values that it makes equal and the servers don't only wait for each other.
//
// Of text in a collation that isn't of bytes, only that of printable ASCII is folded: no collation of either server
// makes two of those equal that differ in more than capitals and blanks at the end. 'é' equals 'e' in some, and control
// characters nothing at all.
func fold(to []byte, p part, v []byte) ([]byte, bool) {
	switch p.col.Kind {
	case value.Float:
		if len(v) < 17 {
			return to, false
		}
		f := math.Float64frombits(binary.LittleEndian.Uint64(v[9:]))
		if f == 0 {
			f = 0 // -0 equals 0
		}
		return binary.LittleEndian.AppendUint64(to, math.Float64bits(f)), true
	case value.Choice:
		n, _, _ := bytes.Cut(v, []byte("="))
		return append(to, n...), true
	case value.Geometry:
		return to, false
	case value.Address:
		return append(to, bytes.ToLower(v)...), true
	case value.Number, value.Bits, value.Year, value.Temporal:
		return append(to, v...), true
	}
	if p.prefix > 0 && len(v) > p.prefix {
		v = v[:p.prefix]
	}
	if p.col.Charset == "" || p.col.Charset == "binary" {
		return append(to, v...), true
	}
	v = bytes.TrimRight(v, " ")
	if bytes.HasSuffix([]byte(p.col.Collation), []byte("_bin")) && slices.Contains(exact, p.col.Charset) {
		return append(to, v...), true
	}
	for _, b := range v {
		switch {
		case b < ' ' || b > '~':
			return to, false
		case b >= 'A' && b <= 'Z':
			b += 'a' - 'A'
		}
		to = append(to, b)
	}
	return to, true
}

// ledger knows which batch last claimed what. Batches are numbered from 1 in the source's order.
type ledger struct {
	owned   map[uint64]uint64 // the last batch that had the key for itself
	shared  map[uint64]uint64 // the last that shared it
	barrier uint64            // the last that was one
	last    uint64            // the last at all
}

// ledgerRoom is how many keys are remembered before those of batches that are in are forgotten.
const ledgerRoom = 1 << 18

// after gives the batch that one with these claims has to wait for, or 0.
func (l *ledger) after(claims []claim, barrier bool) uint64 {
	if barrier {
		return l.last
	}
	dep := l.barrier
	for _, c := range claims {
		dep = max(dep, l.owned[c.key])
		if !c.shared {
			dep = max(dep, l.shared[c.key])
		}
	}
	return dep
}

// note enters the claims of batch no.
func (l *ledger) note(no uint64, claims []claim, barrier bool, committed uint64) {
	if l.owned == nil || len(l.owned)+len(l.shared) > ledgerRoom {
		l.forget(committed)
	}
	l.last = no
	if barrier {
		l.barrier = no
		return
	}
	for _, c := range claims {
		if c.shared {
			l.shared[c.key] = no
		} else {
			l.owned[c.key] = no
		}
	}
}

func (l *ledger) forget(committed uint64) {
	keep := func(m map[uint64]uint64) map[uint64]uint64 {
		out := map[uint64]uint64{}
		for k, no := range m {
			if no > committed {
				out[k] = no
			}
		}
		return out
	}
	l.owned, l.shared = keep(l.owned), keep(l.shared)
}
