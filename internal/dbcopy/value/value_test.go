package value

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func point(f float64) []byte {
	b := binary.LittleEndian.AppendUint64([]byte{0, 0, 0, 0, 1, 1, 0, 0, 0}, math.Float64bits(f))
	return append(b, make([]byte, 8)...)
}

var kinds = []Column{
	{Name: "n", Kind: Number, Type: "int", Null: true}, {Name: "b", Kind: Bits, Type: "bit", Null: true}, {Name: "y", Kind: Year, Type: "year", Null: true}, {Name: "f", Kind: Float, Type: "double", Null: true},
	{Name: "t", Kind: Temporal, Type: "datetime", Null: true}, {Name: "s", Kind: Short, Type: "varchar", Null: true, Charset: "latin1"}, {Name: "l", Kind: Long, Type: "longtext", Null: true},
	{Name: "c", Kind: Choice, Type: "enum", Null: true}, {Name: "g", Kind: Geometry, Type: "point", Null: true}, {Name: "a", Kind: Address, Type: "uuid", Null: true},
}

// value draws a canonical value of a kind, or nil.
func value(t *rapid.T, c Column) []byte {
	if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
		return nil
	}
	text := rapid.SliceOfN(rapid.SampledFrom([]byte("aN,:=01\x00'\\ ")), 0, 6)
	switch c.Kind {
	case Number, Bits, Year:
		return []byte(rapid.StringMatching(`-?[0-9]{1,5}(\.[0-9]{1,3})?`).Draw(t, "number"))
	case Float:
		return point(rapid.Float64().Draw(t, "float"))
	case Temporal:
		return []byte(rapid.StringMatching(`[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}`).Draw(t, "time"))
	case Choice:
		return append([]byte(rapid.StringMatching(`[0-9]{1,2}=`).Draw(t, "choice")), text.Draw(t, "label")...)
	}
	return append([]byte{}, text.Draw(t, "text")...)
}

func row(t *rapid.T, cs []Column) [][]byte {
	out := make([][]byte, len(cs))
	for i, c := range cs {
		out[i] = value(t, c)
	}
	return out
}

func equal(a, b [][]byte) bool {
	return slices.EqualFunc(a, b, func(x, y []byte) bool { return (x == nil) == (y == nil) && bytes.Equal(x, y) })
}

func clone(r [][]byte) [][]byte {
	out := make([][]byte, len(r))
	for i, v := range r {
		out[i] = slices.Clone(v)
	}
	return out
}

// TestRowsComeBack: rows that are written are read, NULL and empty apart, and a file that is cut anywhere inside a row is an
// error.
func TestRowsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cs := rapid.SliceOfN(rapid.SampledFrom(kinds), 1, 5).Draw(t, "columns")
		var rows [][][]byte
		var file []byte
		ends := map[int]bool{0: true}
		for range rapid.IntRange(0, 4).Draw(t, "rows") {
			r := row(t, cs)
			rows, file = append(rows, r), Append(file, r)
			ends[len(file)] = true
		}
		for cut := 0; cut <= len(file); cut++ {
			rd := NewReader(iotestOneByte{bytes.NewReader(file[:cut])}, len(cs))
			n := 0
			var err error
			for {
				var got [][]byte
				if got, err = rd.Next(); err != nil {
					break
				}
				if !equal(got, rows[n]) {
					t.Fatalf("row %d is %q, want %q", n, got, rows[n])
				}
				n++
			}
			if ends[cut] != errors.Is(err, io.EOF) || cut == len(file) && n != len(rows) {
				t.Fatalf("cut at %d of %d: %d rows, %v", cut, len(file), n, err)
			}
		}
	})
}

// iotestOneByte reads one byte at a time.
type iotestOneByte struct{ r io.Reader }

func (o iotestOneByte) Read(b []byte) (int, error) { return o.r.Read(b[:min(1, len(b))]) }

// FuzzRows: no bytes make the reader panic or take memory for what isn't there.
func FuzzRows(f *testing.F) {
	f.Add(Append(nil, [][]byte{nil, {}, []byte("x")}), 3)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x7f}, 1)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		if n < 1 || n > 20 {
			return
		}
		rd := NewReader(bytes.NewReader(b), n)
		var again []byte
		for {
			r, err := rd.Next()
			if err != nil {
				break
			}
			again = Append(again, r)
		}
		// A length may be written in more bytes than it needs; then what comes back is shorter.
		if len(again) > len(b) {
			t.Fatalf("%x gave %x", b, again)
		}
	})
}

// TestHashTellsRowsApart: two different rows are never put together to the same bytes before they are hashed.
func TestHashTellsRowsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cs := rapid.SliceOfN(rapid.SampledFrom(kinds), 1, 4).Draw(t, "columns")
		a, b := row(t, cs), row(t, cs)
		if rapid.Bool().Draw(t, "near") { // a row that differs in one value only, or has two swapped
			b = clone(a)
			i, j := rapid.IntRange(0, len(cs)-1).Draw(t, "i"), rapid.IntRange(0, len(cs)-1).Draw(t, "j")
			if cs[i].Kind == cs[j].Kind {
				b[i], b[j] = b[j], b[i]
			} else {
				b[i] = value(t, cs[i])
			}
		}
		ha, hb := Hasher{Columns: cs}, Hasher{Columns: cs}
		x, y := ha.Row(a), hb.Row(b)
		if equal(a, b) != bytes.Equal(ha.buf, hb.buf) || equal(a, b) != (x == y) {
			t.Fatalf("%q and %q: %q and %q, %x and %x", a, b, ha.buf, hb.buf, x, y)
		}
	})
}

// TestSum: sums don't cut, don't depend on the order, and equal errors in two rows don't cancel.
func TestSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hs := rapid.SliceOf(rapid.Uint64()).Draw(t, "hashes")
		want := new(big.Int)
		var a, b, left, right Sum
		for i, h := range hs {
			want.Add(want, new(big.Int).SetUint64(h))
			a.Add(h)
			b.Add(hs[len(hs)-1-i])
			if i%2 == 0 {
				left.Add(h)
			} else {
				right.Add(h)
			}
		}
		left.AddSum(right)
		if a.String() != want.String() || a != b || a != left {
			t.Fatalf("%s, %s, %s; want %s", a, b, left, want)
		}
		j, err := json.Marshal(a)
		var back Sum
		if err == nil {
			err = json.Unmarshal(j, &back)
		}
		if err != nil || back != a {
			t.Fatalf("%s came back as %s: %v", a, back, err)
		}
	})
	var right, wrong Sum
	right.Add(7)
	right.Add(7)
	wrong.Add(9)
	wrong.Add(9)
	if right == wrong {
		t.Error("two equal rows with an equal error cancel")
	}
	for _, bad := range []string{"", "-1", "x", "1.0", strings.Repeat("9", 40)} {
		if s, err := ParseSum(bad); err == nil {
			t.Errorf("%q is %v", bad, s)
		}
	}
}

func TestLiterals(t *testing.T) {
	for _, c := range []struct {
		kind Kind
		typ  string
		in   []byte
		want string
	}{
		{Number, "int", []byte("-5"), "-5"}, {Number, "bigint", []byte("18446744073709551615"), "18446744073709551615"}, {Number, "decimal", []byte("1.50"), "1.50"},
		{Number, "int", nil, "NULL"}, {Choice, "enum", []byte("3=it's"), "3"}, {Year, "year", []byte("0"), "0"},
		{Float, "double", point(0.1), "'1e-01'"}, {Float, "double", point(math.Copysign(0, -1)), "'-0e+00'"}, {Float, "double", point(1.1888468626894595e+281), "'1.1888468626894595e+281'"},
		{Temporal, "date", []byte("0000-00-00"), "'0000-00-00'"}, {Short, "varchar", []byte("a'b\\c\x00d\n"), `'a\'b\\c\0d` + "\n'"}, {Short, "varchar", []byte{}, "''"},
	} {
		got, err := Column{Name: "c", Kind: c.kind, Type: c.typ}.Literal(nil, c.in)
		if err != nil || string(got) != c.want {
			t.Errorf("%s %q: %s, %v; want %s", c.kind, c.in, got, err, c.want)
		}
	}
	for _, c := range []struct {
		kind Kind
		in   string
	}{{Number, "1; DROP"}, {Number, ""}, {Number, "-"}, {Number, "0x1"}, {Bits, "b"}, {Choice, "x=1"}, {Choice, ""}, {Float, "short"}, {Float, string(point(math.NaN()))}, {Float, string(point(math.Inf(1)))}} {
		if got, err := (Column{Name: "c", Kind: c.kind}).Literal(nil, []byte(c.in)); err == nil {
			t.Errorf("%s %q was taken: %s", c.kind, c.in, got)
		}
	}
}

func TestWithin(t *testing.T) {
	id, name := Column{Name: "id", Kind: Number, Type: "int"}, Column{Name: "na`me", Kind: Short, Type: "varchar", Charset: "utf8"}
	for _, c := range []struct {
		key         []Column
		after, upTo Bound
		want        string
	}{
		{[]Column{id}, nil, nil, ""},
		{[]Column{id}, Bound{[]byte("5")}, nil, " WHERE ((`id`>5))"},
		{[]Column{id}, nil, Bound{[]byte("5")}, " WHERE ((`id`<=5))"},
		{[]Column{id}, Bound{[]byte("5")}, Bound{[]byte("9")}, " WHERE ((`id`>5)) AND ((`id`<=9))"},
		{[]Column{id, name}, Bound{[]byte("5"), []byte("é")}, Bound{[]byte("9"), []byte("")},
			" WHERE ((`id`>5) OR (`id`=5 AND `na``me`>_utf8mb3 x'c3a9')) AND ((`id`<9) OR (`id`=9 AND `na``me`<=_utf8mb3 x''))"},
	} {
		got, err := Within(c.key, c.after, c.upTo)
		if err != nil || got != c.want {
			t.Errorf("got %s, %v; want %s", got, err, c.want)
		}
	}
	if got, err := Within([]Column{id}, Bound{nil, nil}, nil); err == nil {
		t.Errorf("an edge of another key: %s", got)
	}
	if got, err := Within([]Column{id}, Bound{[]byte("5 OR 1=1")}, nil); err == nil {
		t.Errorf("an edge that is no number: %s", got)
	}
}
