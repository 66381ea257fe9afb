//go:build lab

package changes

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// kindOfColumn is one sort of column: what it is called in the list of what was hit, how it is declared, and values for it,
// as SQL. Nothing of the code under test is used.
type kindOfColumn struct {
	what  string
	only  string // the server that has it; "" both
	def   func(r *rand.Rand) string
	value func(r *rand.Rand, def string) string
}

func pick[T any](r *rand.Rand, xs ...T) T { return xs[r.IntN(len(xs))] }

func oneOf(defs ...string) func(*rand.Rand) string {
	return func(r *rand.Rand) string { return pick(r, defs...) }
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
		b[i] = pick(r, 0, 0, ' ', '\'', '\\', 0xff, byte(r.Uint32()), byte(r.Uint32()))
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
	end := strings.IndexAny(rest, "),")
	n, err := strconv.Atoi(rest[:end])
	if err != nil {
		return otherwise
	}
	return n
}

func frac(r *rand.Rand, def string) string {
	if n := inParens(def, 0); n > 0 {
		return "." + pick(r, strings.Repeat("0", n), strings.Repeat("9", n), digits(r, n))
	}
	return ""
}

func intColumn(name string, bits int) []kindOfColumn {
	signed := func(r *rand.Rand, _ string) string {
		n := int64(math.MaxInt64) >> (64 - bits)
		return strconv.FormatInt(pick(r, 0, 1, -1, n, -n-1, r.Int64()&n, -(r.Int64()&n)), 10)
	}
	unsigned := func(r *rand.Rand, _ string) string {
		n := uint64(math.MaxUint64) >> (64 - bits)
		return strconv.FormatUint(pick(r, 0, 1, n, n/2+1, r.Uint64()&n), 10)
	}
	return []kindOfColumn{{name, "", oneOf(name, name+"(5)"), signed}, {name + " unsigned", "", oneOf(name + " unsigned"), unsigned},
		{name + " zerofill", "", oneOf(name+"(20) zerofill", name+"(3) unsigned zerofill"), unsigned}}
}

func day(r *rand.Rand) string {
	return pick(r, fmt.Sprintf("%04d-%02d-%02d", 1+r.IntN(9999), 1+r.IntN(12), 1+r.IntN(28)), "0000-00-00", "2020-00-00", "2020-05-00", "2021-02-31", "9999-12-31", "0001-01-01")
}

func hour(r *rand.Rand) string {
	return fmt.Sprintf("%02d:%02d:%02d", r.IntN(24), r.IntN(60), r.IntN(60))
}

func withFraction(name string) func(*rand.Rand) string {
	return func(r *rand.Rand) string { return pick(r, name, fmt.Sprintf("%s(%d)", name, r.IntN(7))) }
}

// charsets and code points that each has.
var charsets = []struct {
	name  string
	wide  int // bytes of a unit
	chars []string
}{
	{"utf8mb4", 1, []string{"a", "Z", " ", "'", "\\", "\x00", "=", ",", "é", "ß", "漢", "😀"}},
	{"utf8mb3", 1, []string{"a", " ", ",", "é", "漢", "\u0301"}},
	{"latin1", 1, []string{"a", " ", "é", "ÿ", "€", ","}},
	{"ascii", 1, []string{"a", " ", "~", ","}},
	{"cp1251", 1, []string{"a", "Ж", "я", " "}},
	{"koi8r", 1, []string{"a", "Ж", " "}},
	{"sjis", 1, []string{"a", "漢", "ソ", " "}},
	{"gbk", 1, []string{"a", "漢", "縗", " "}},
	{"ucs2", 2, []string{"a", " ", ",", "é", "漢"}},
	{"utf16", 2, []string{"a", " ", ",", "😀"}},
	{"utf16le", 2, []string{"a", " ", ",", "😀"}},
	{"utf32", 4, []string{"a", " ", ",", "😀"}},
	{"binary", 1, []string{"a", " ", "\x00", "é"}},
}

func textColumns() (out []kindOfColumn) {
	for _, c := range charsets {
		text := func(r *rand.Rand, def string) string {
			most := min(inParens(def, 40), 40)
			if c.name == "binary" {
				most /= 2
			}
			var b strings.Builder
			for range r.IntN(most + 1) {
				b.WriteString(pick(r, c.chars...))
			}
			if most > 1 && r.IntN(3) == 0 {
				return "CONVERT(_utf8mb4 " + hexed([]byte(pick(r, c.chars...)+" ")) + " USING " + c.name + ")"
			}
			return "CONVERT(_utf8mb4 " + hexed([]byte(b.String())) + " USING " + c.name + ")"
		}
		in := " CHARACTER SET " + c.name
		short := []string{"char(20)", "varchar(30)", "varchar(300)"}
		if c.wide == 1 && c.name != "binary" {
			short = append(short, "char(255)")
		}
		long := []string{"tinytext", "text", "mediumtext", "longtext"}
		for _, kind := range [][]string{short, long} {
			for _, k := range kind {
				out = append(out, kindOfColumn{k + " " + c.name, "", oneOf(k + in), text})
			}
		}
		if c.name == "binary" {
			continue
		}
		labels := []string{"a", "it''s", "x y", "Z"}
		if c.name == "utf8mb4" {
			labels = append(labels, "", `back\\slash`, "new\nline", "a=b", "漢")
		} else {
			// Not the last ones: neither server's catalog can say a label's character beyond U+FFFF.
			labels = append(labels, strings.NewReplacer(",", "k", " ", "q", "😀", "é").Replace(c.chars[len(c.chars)-1]))
		}
		list := "'" + strings.Join(labels, "','") + "'"
		out = append(out, kindOfColumn{"enum " + c.name, "", oneOf("enum(" + list + ")" + in), func(r *rand.Rand, _ string) string { return strconv.Itoa(r.IntN(len(labels) + 1)) }})
		list = strings.ReplaceAll(list, "'',", "")
		n := strings.Count(list, ",") + 1
		out = append(out, kindOfColumn{"set " + c.name, "", oneOf("set(" + list + ")" + in), func(r *rand.Rand, _ string) string { return strconv.Itoa(r.IntN(1 << n)) }})
	}
	return out
}

func many(n int) string {
	var b []string
	for i := range n {
		b = append(b, fmt.Sprintf("'l%d'", i))
	}
	return strings.Join(b, ",")
}

func wholeNumber(most uint64) func(*rand.Rand, string) string {
	return func(r *rand.Rand, _ string) string { return strconv.FormatUint(r.Uint64()&most, 10) }
}

func addresses() []kindOfColumn {
	return []kindOfColumn{
		{"uuid", "maria", oneOf("uuid"), func(r *rand.Rand, _ string) string {
			b := make([]byte, 16)
			for i := range b {
				b[i] = pick(r, 0, 0x7f, 0x80, 0xff, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()))
			}
			if r.IntN(6) == 0 {
				clear(b[r.IntN(16):])
			}
			h := fmt.Sprintf("%x", b)
			return "'" + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:] + "'"
		}},
		{"inet4", "maria", oneOf("inet4"), func(r *rand.Rand, _ string) string {
			return fmt.Sprintf("'%d.%d.%d.%d'", pick(r, 0, 255, r.IntN(256)), pick(r, 0, r.IntN(256)), pick(r, 0, r.IntN(256)), pick(r, 0, r.IntN(256)))
		}},
		{"inet6", "maria", oneOf("inet6"), func(r *rand.Rand, _ string) string {
			var w []string
			for range 8 {
				w = append(w, fmt.Sprintf("%x", pick(r, 0, 0, 0, 0xffff, r.IntN(1<<16))))
			}
			return "'" + pick(r, strings.Join(w, ":"), strings.Join(w, ":"), "::", "::1", "::1.2.3.4", "::ffff:1.2.3.4", "1::", "0:0:1::", "::ffff:0:1") + "'"
		}},
		{"json", "maria", oneOf("json"), func(r *rand.Rand, _ string) string {
			return pick(r, `'{"a": 1}'`, `'{"a":1,  "b":[1.0,2e3,null]}'`, `'[]'`, `'"\\u00e9 é"'`, `' 1 '`)
		}},
	}
}

var columnKinds = func() (out []kindOfColumn) {
	for _, i := range []struct {
		name string
		bits int
	}{{"tinyint", 8}, {"smallint", 16}, {"mediumint", 24}, {"int", 32}, {"bigint", 64}} {
		out = append(out, intColumn(i.name, i.bits)...)
	}
	double := func(r *rand.Rand, _ string) string {
		f := math.Float64frombits(r.Uint64())
		if math.IsNaN(f) || math.IsInf(f, 0) || r.IntN(3) == 0 {
			f = pick(r, 0, math.Copysign(0, -1), math.MaxFloat64, math.SmallestNonzeroFloat64, 0.1, 1.0/3, 1.1888468626894595e+281, 1e16)
		}
		return "'" + strconv.FormatFloat(f, 'e', -1, 64) + "'"
	}
	single := func(r *rand.Rand, _ string) string {
		f := math.Float32frombits(r.Uint32())
		if f != f || math.IsInf(float64(f), 0) || r.IntN(3) == 0 {
			f = pick[float32](r, 0, 0.1, -1.0/3, math.MaxFloat32, 16777217)
		}
		return "'" + strconv.FormatFloat(float64(f), 'e', -1, 64) + "'"
	}
	bytes := func(r *rand.Rand, def string) string { return hexed(noise(r, r.IntN(min(inParens(def, 200), 200)+1))) }
	out = append(out,
		kindOfColumn{"decimal", "", oneOf("decimal(10,2)", "decimal(65,30)", "decimal(30,30)", "decimal(65,0)", "decimal(1,0)", "decimal(9,9)", "decimal(18,9)", "decimal(20,1)"), func(r *rand.Rand, def string) string {
			return pick(r, "", "-") + pick(r, "0", digits(r, 1), digits(r, 9), digits(r, 70)) + "." + pick(r, "0", "000000000001", digits(r, 30))
		}},
		kindOfColumn{"decimal unsigned", "", oneOf("decimal(5,0) unsigned", "decimal(12,4) zerofill"), func(r *rand.Rand, _ string) string { return digits(r, r.IntN(8)+1) + "." + digits(r, 4) }},
		kindOfColumn{"double", "", oneOf("double"), double},
		kindOfColumn{"double(M,D)", "", oneOf("double(20,5)", "double(30,10) unsigned"), func(r *rand.Rand, _ string) string { return digits(r, 1+r.IntN(12)) + "." + digits(r, 12) }},
		kindOfColumn{"float", "", oneOf("float"), single},
		kindOfColumn{"float(M,D)", "", oneOf("float(7,3)", "float(9,2) unsigned"), func(r *rand.Rand, _ string) string { return digits(r, 1+r.IntN(3)) + "." + digits(r, 5) }},
		kindOfColumn{"bit", "", oneOf("bit(1)", "bit(7)", "bit(8)", "bit(9)", "bit(33)", "bit(64)"), func(r *rand.Rand, def string) string {
			n := uint64(math.MaxUint64) >> (64 - inParens(def, 1))
			return strconv.FormatUint(pick(r, 0, n, r.Uint64()&n), 10)
		}},
		kindOfColumn{"year", "", oneOf("year"), func(r *rand.Rand, _ string) string {
			return pick(r, "0", "1901", "2155", strconv.Itoa(1901+r.IntN(255)))
		}},
		kindOfColumn{"date", "", oneOf("date"), func(r *rand.Rand, _ string) string { return "'" + day(r) + "'" }},
		kindOfColumn{"datetime", "", withFraction("datetime"), func(r *rand.Rand, def string) string { return "'" + day(r) + " " + hour(r) + frac(r, def) + "'" }},
		kindOfColumn{"timestamp", "", withFraction("timestamp"), func(r *rand.Rand, def string) string {
			return pick(r, "'0000-00-00 00:00:00'", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", fmt.Sprintf("'%04d-%02d-%02d %s%s'", 1971+r.IntN(66), 1+r.IntN(12), 1+r.IntN(28), hour(r), frac(r, def)))
		}},
		kindOfColumn{"time", "", withFraction("time"), func(r *rand.Rand, def string) string {
			return "'" + pick(r, "-", "") + pick(r, "838:59:59", strconv.Itoa(r.IntN(838))+":59:58"+frac(r, def), "00:00:00"+frac(r, def), "00:00:01"+frac(r, def), "01:00:00") + "'"
		}},
		kindOfColumn{"binary", "", oneOf("binary(1)", "binary(8)", "binary(20)", "binary(255)"), bytes},
		kindOfColumn{"varbinary", "", oneOf("varbinary(40)", "varbinary(255)", "varbinary(256)", "varbinary(2000)"), bytes},
		kindOfColumn{"enum of 300", "", oneOf("enum(" + many(300) + ")"), func(r *rand.Rand, _ string) string { return strconv.Itoa(r.IntN(301)) }},
		kindOfColumn{"set of 64", "", oneOf("set(" + many(64) + ")"), wholeNumber(math.MaxUint64)},
		kindOfColumn{"set of 24", "", oneOf("set(" + many(24) + ")"), wholeNumber(1<<24 - 1)},
		kindOfColumn{"point", "", oneOf("point"), func(r *rand.Rand, _ string) string {
			return fmt.Sprintf("ST_GeomFromText('POINT(%g %g)',%d)", r.NormFloat64()*10, r.NormFloat64()*10, pick(r, 0, 4326))
		}})
	for _, b := range []string{"tinyblob", "blob", "mediumblob", "longblob"} {
		out = append(out, kindOfColumn{b, "", oneOf(b), bytes})
	}
	for _, g := range []struct{ typ, text string }{{"geometry", "POINT(1 2)"}, {"linestring", "LINESTRING(1 2,3 4)"}, {"polygon", "POLYGON((0 0,0 5,5 5,0 0))"}, {"multipoint", "MULTIPOINT(1 1,2 2)"},
		{"multilinestring", "MULTILINESTRING((1 1,2 2))"}, {"multipolygon", "MULTIPOLYGON(((0 0,0 5,5 5,0 0)))"}, {"geometrycollection", "GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))"}} {
		out = append(out, kindOfColumn{g.typ, "", oneOf(g.typ), func(*rand.Rand, string) string { return "ST_GeomFromText('" + g.text + "')" }})
	}
	return append(append(out, textColumns()...), addresses()...)
}()
