package follow

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

func col(kind value.Kind, charset, collation string) value.Column {
	return value.Column{Name: "c", Kind: kind, Charset: charset, Collation: collation}
}

func double(f float64) []byte {
	b := make([]byte, 25)
	binary.LittleEndian.PutUint64(b[9:], math.Float64bits(f))
	return b
}

// TestFold: two values that a server may call equal are folded alike, or not folded at all.
func TestFold(t *testing.T) {
	ci := col(value.Short, "utf8mb4", "utf8mb4_general_ci")
	bin := col(value.Short, "utf8mb4", "utf8mb4_bin")
	raw := col(value.Short, "", "")
	for _, c := range []struct {
		name   string
		p      part
		a, b   []byte
		known  bool // both can be folded
		equals bool
	}{
		{"capitals", part{col: ci}, []byte("Anna"), []byte("aNNA"), true, true},
		{"blanks at the end", part{col: ci}, []byte("anna"), []byte("anna  "), true, true},
		{"other text", part{col: ci}, []byte("anna"), []byte("anne"), true, false},
		{"accents", part{col: ci}, []byte("caf\u00e9"), []byte("cafe"), false, false},
		{"what collations pass over", part{col: ci}, []byte("a\x01b"), []byte("ab"), false, false},
		{"tabs", part{col: ci}, []byte("a\t"), []byte("a"), false, false},
		{"bytes in _bin", part{col: bin}, []byte("caf\u00e9"), []byte("cafe"), true, false},
		{"blanks in _bin", part{col: bin}, []byte("caf\u00e9 "), []byte("caf\u00e9"), true, true},
		{"capitals in _bin", part{col: bin}, []byte("A"), []byte("a"), true, false},
		{"_bin of wide characters", part{col: col(value.Short, "utf16", "utf16_bin")}, []byte("\x00a"), []byte("\x00a\x00 "), false, false},
		{"blanks in bytes", part{col: raw}, []byte("a "), []byte("a"), true, false},
		{"behind a prefix", part{col: ci, prefix: 3}, []byte("annA"), []byte("ANNe"), true, true},
		{"within a prefix", part{col: ci, prefix: 3}, []byte("anna"), []byte("aNda"), true, false},
		{"zeros", part{col: col(value.Float, "", "")}, double(0), double(math.Copysign(0, -1)), true, true},
		{"numbers", part{col: col(value.Float, "", "")}, double(1.5), double(1.25), true, false},
		{"labels", part{col: col(value.Choice, "utf8mb4", "utf8mb4_general_ci")}, []byte("1=a"), []byte("1=a"), true, true},
		{"addresses", part{col: col(value.Address, "", "")}, []byte("2001:DB8::"), []byte("2001:db8::"), true, true},
		{"geometry", part{col: col(value.Geometry, "", "")}, []byte("x"), []byte("x"), false, true},
	} {
		a, aok := fold(nil, c.p, c.a)
		b, bok := fold(nil, c.p, c.b)
		if (aok && bok) != c.known || c.known && (string(a) == string(b)) != c.equals {
			t.Errorf("%s: %q %v and %q %v", c.name, a, aok, b, bok)
		}
	}
}

// TestClaims: which pairs of changes wait for each other.
func TestClaims(t *testing.T) {
	names := []part{{at: 1, col: col(value.Short, "utf8mb4", "utf8mb4_general_ci")}}
	id := []part{{at: 0, col: col(value.Number, "", "")}}
	parents := indexID("parent", "s.p", "id")
	p := &table{unique: []index{{id: 1, cols: id}, {id: 2, cols: names}}, referenced: []index{{id: parents, cols: id}}}
	c := &table{unique: []index{{id: 3, cols: id}}, refers: []index{{id: parents, cols: []part{{at: 1, col: col(value.Number, "", "")}}}}}
	type one struct {
		t             *table
		before, after [][]byte
	}
	for _, x := range []struct {
		name string
		a, b one
		want bool
	}{
		{"other rows", one{p, nil, row("1", "a")}, one{p, nil, row("2", "b")}, false},
		{"one row", one{p, row("1", "a"), row("1", "b")}, one{p, row("1", "b"), row("1", "c")}, true},
		{"a key that gets free", one{p, row("1", "a"), nil}, one{p, nil, row("1", "z")}, true},
		{"a unique value that gets free", one{p, row("1", "a"), row("1", "b")}, one{p, nil, row("2", "A ")}, true},
		{"two NULLs", one{p, nil, row("1", "NULL")}, one{p, nil, row("2", "NULL")}, false},
		{"one that can't be folded", one{p, nil, row("1", "\u00e9")}, one{p, nil, row("2", "e")}, true},
		{"a parent and its child", one{p, nil, row("7", "a")}, one{c, nil, row("1", "7")}, true},
		{"a child and its parent's end", one{c, row("1", "7"), row("1", "8")}, one{p, row("7", "a"), nil}, true},
		{"another's child", one{p, nil, row("7", "a")}, one{c, nil, row("7", "8")}, false},
		{"two children of one", one{c, nil, row("1", "7")}, one{c, nil, row("2", "7")}, false},
		{"a child of none", one{p, nil, row("7", "a")}, one{c, nil, row("1", "NULL")}, false},
	} {
		var l ledger
		for no, y := range []one{x.a, x.b} {
			var cl claimer
			cl.change(y.t, &changes.Change{Before: y.before, After: y.after})
			if no == 1 {
				if got := l.after(cl.out, false) == 1; got != x.want {
					t.Errorf("%s: waits: %v, want %v", x.name, got, x.want)
				}
			}
			l.note(uint64(no+1), cl.out, false, 0)
		}
	}
	var l ledger
	l.note(1, nil, false, 0)
	l.note(2, nil, true, 0)
	if l.after(nil, false) != 2 || l.after(nil, true) != 2 {
		t.Error("a barrier isn't waited for")
	}
	l.note(3, []claim{{5, false}}, false, 0)
	if l.after(nil, true) != 3 {
		t.Error("a barrier doesn't wait for all")
	}
	l.forget(2)
	if l.after([]claim{{5, true}}, false) != 3 {
		t.Error("what isn't in was forgotten")
	}
}

// row makes canonical values; NULL is one.
func row(vals ...string) (out [][]byte) {
	for _, v := range vals {
		if v == "NULL" {
			out = append(out, nil)
		} else {
			out = append(out, []byte(v))
		}
	}
	return out
}
