//go:build lab

package dbcopy

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"unicode/utf16"
)

// A generator of schemas and rows that MariaDB takes and that this program is to carry. What it makes is SQL text, so
// that nothing of the code under test is used.

type genColumn struct {
	name, def string
	what      string // the kind of column, counted
	value     func(*rand.Rand) string
	generated bool
	key       bool // may be in a key as it is
}

type genTable struct {
	name    string
	columns []genColumn
	create  string
	what    []string
	rows    int
}

// genType is one sort of column.
type genType struct {
	what  string
	def   func(*rand.Rand) string
	value func(r *rand.Rand, def string) string
	key   bool
}

func pick[T any](r *rand.Rand, xs ...T) T { return xs[r.IntN(len(xs))] }

func fixed(s ...string) func(*rand.Rand) string {
	return func(r *rand.Rand) string { return pick(r, s...) }
}

func intType(name string, bits int) genType {
	return genType{name, func(r *rand.Rand) string {
		return name + pick(r, "", "", " unsigned", " unsigned zerofill", "(5)", "(20) zerofill")
	},
		func(r *rand.Rand, def string) string {
			if strings.Contains(def, "unsigned") || strings.Contains(def, "zerofill") {
				n := uint64(math.MaxUint64) >> (64 - bits)
				return strconv.FormatUint(pick(r, 0, 1, n, n/2+1, r.Uint64()&n), 10)
			}
			n := int64(math.MaxInt64) >> (64 - bits)
			return strconv.FormatInt(pick(r, 0, 1, -1, n, -n-1, r.Int64()&n, -(r.Int64()&n)), 10)
		}, true}
}

func digits(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('0' + r.IntN(10))
	}
	return string(b)
}

func floatText(r *rand.Rand) string {
	f := math.Float64frombits(r.Uint64())
	switch r.IntN(5) {
	case 0:
		f = math.Round(r.NormFloat64()*1e6) / 1000
	case 1:
		f = pick(r, 0, math.Copysign(0, -1), math.MaxFloat64, math.SmallestNonzeroFloat64, 1e-5, 1e15, 1e16, 0.1, 1.0/3)
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		f = 1.1888468626894595e+281
	}
	return "'" + strconv.FormatFloat(f, 'e', -1, 64) + "'"
}

func float32Text(r *rand.Rand) string {
	f := math.Float32frombits(r.Uint32())
	if f != f || math.IsInf(float64(f), 0) || r.IntN(3) == 0 {
		f = pick(r, 0, 0.1, -1.0/3, math.MaxFloat32, 16777217, float32(r.NormFloat64()))
	}
	return "'" + strconv.FormatFloat(float64(f), 'e', -1, 64) + "'"
}

func fraction(r *rand.Rand, def string) string {
	if i := strings.IndexByte(def, '('); i >= 0 {
		if n := int(def[i+1] - '0'); n > 0 {
			return "." + digits(r, n)
		}
	}
	return ""
}

func date(r *rand.Rand) string {
	return pick(r, fmt.Sprintf("%04d-%02d-%02d", 1+r.IntN(9999), 1+r.IntN(12), 1+r.IntN(28)), "0000-00-00", "2020-00-00", "2021-02-31", "9999-12-31", "1000-01-01")
}

func clock(r *rand.Rand) string {
	return fmt.Sprintf("%02d:%02d:%02d", r.IntN(24), r.IntN(60), r.IntN(60))
}

func fsp(name string) func(*rand.Rand) string {
	return func(r *rand.Rand) string { return name + pick(r, "", "(1)", "(3)", "(6)") }
}

// charset is a character set with what text it can hold.
type charset struct {
	name       string
	collations []string
	runes      []rune
	encode     func([]rune) []byte
}

func bytewise(rs []rune) []byte {
	b := make([]byte, len(rs))
	for i, r := range rs {
		b[i] = byte(r)
	}
	return b
}

func inUTF8(rs []rune) []byte { return []byte(string(rs)) }

func inUTF16(rs []rune) (b []byte) {
	for _, u := range utf16.Encode(rs) {
		b = append(b, byte(u>>8), byte(u))
	}
	return b
}

func inUTF32(rs []rune) (b []byte) {
	for _, r := range rs {
		b = append(b, byte(r>>24), byte(r>>16), byte(r>>8), byte(r))
	}
	return b
}

func runes(from, to rune) (out []rune) {
	for r := from; r <= to; r++ {
		out = append(out, r)
	}
	return out
}

var (
	plain    = []rune("aAbBzZ09 ,:|;'\"\\\x00\n\t%_N=")
	bmp      = append(append(append([]rune{}, plain...), runes(0xc0, 0x17f)...), []rune("ßıİ漢字かなﬁé\u0301\u200d")...)
	all      = append(append([]rune{}, bmp...), []rune("😀👩🏽𝔘")...)
	charsets = []charset{
		{"utf8mb4", []string{"utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_bin", "utf8mb4_unicode_520_ci", "utf8mb4_swedish_ci"}, all, inUTF8},
		{"utf8mb3", []string{"utf8mb3_general_ci", "utf8mb3_bin", "utf8mb3_unicode_ci"}, bmp, inUTF8},
		{"latin1", []string{"latin1_swedish_ci", "latin1_bin", "latin1_general_cs", "latin1_german2_ci"}, runes(0, 255), bytewise},
		{"ascii", []string{"ascii_general_ci", "ascii_bin"}, runes(0, 127), bytewise},
		{"cp1251", []string{"cp1251_general_ci"}, runes(0, 127), bytewise},
		{"ucs2", []string{"ucs2_general_ci", "ucs2_bin"}, bmp, inUTF16},
		{"utf16", []string{"utf16_general_ci", "utf16_bin"}, all, inUTF16},
		{"utf32", []string{"utf32_general_ci"}, all, inUTF32},
	}
)

func (c charset) text(r *rand.Rand, most int) []byte {
	rs := make([]rune, r.IntN(most+1))
	for i := range rs {
		rs[i] = pick(r, c.runes...)
	}
	if len(rs) > 0 && r.IntN(4) == 0 {
		rs[len(rs)-1] = ' '
	}
	return c.encode(rs)
}

func (c charset) in(r *rand.Rand) string {
	return " CHARACTER SET " + c.name + " COLLATE " + pick(r, c.collations...)
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func (c charset) types() []genType {
	literal := func(b []byte) string { return fmt.Sprintf("_%s x'%x'", c.name, b) }
	choices := "('a','b','" + map[bool]string{true: "é", false: "e"}[c.name != "ascii" && c.name != "cp1251"] + "x','','d,e')"
	return []genType{
		{"char " + c.name, func(r *rand.Rand) string { return "char(20)" + c.in(r) }, func(r *rand.Rand, _ string) string { return literal(c.text(r, 20)) }, true},
		{"varchar " + c.name, func(r *rand.Rand) string { return "varchar(30)" + c.in(r) }, func(r *rand.Rand, _ string) string { return literal(c.text(r, 30)) }, true},
		{"text " + c.name, func(r *rand.Rand) string { return pick(r, "tinytext", "text", "mediumtext", "longtext") + c.in(r) },
			func(r *rand.Rand, _ string) string { return literal(c.text(r, 60)) }, false},
		{"enum " + c.name, func(r *rand.Rand) string { return "enum" + strings.Replace(choices, "'d,e'", "'d'", 1) + c.in(r) },
			func(r *rand.Rand, _ string) string { return strconv.Itoa(r.IntN(6)) }, false},
		{"set " + c.name, func(r *rand.Rand) string {
			return "set" + strings.NewReplacer(",'d,e'", ",'d'", ",''", "").Replace(choices) + c.in(r)
		},
			func(r *rand.Rand, _ string) string { return strconv.Itoa(r.IntN(16)) }, false},
	}
}

var genTypes = func() []genType {
	ts := []genType{
		intType("tinyint", 8), intType("smallint", 16), intType("mediumint", 24), intType("int", 32), intType("bigint", 64),
		{"decimal", fixed("decimal(10,2)", "decimal(65,30)", "decimal(5,0) unsigned", "decimal(12,4) zerofill", "decimal(30,30)"), func(r *rand.Rand, def string) string {
			sign := pick(r, "", "-")
			if strings.Contains(def, "unsigned") || strings.Contains(def, "zerofill") {
				sign = ""
			}
			if strings.Contains(def, "30,30") {
				return sign + "0." + digits(r, 30)
			}
			return sign + digits(r, 1+r.IntN(5)) + "." + digits(r, 1+r.IntN(4))
		}, true},
		{"double", fixed("double"), func(r *rand.Rand, _ string) string { return floatText(r) }, false},
		{"double(M,D)", fixed("double(20,5)", "double(30,10) unsigned"), func(r *rand.Rand, _ string) string { return digits(r, 1+r.IntN(12)) + "." + digits(r, 12) }, false},
		{"float", fixed("float"), func(r *rand.Rand, _ string) string { return float32Text(r) }, false},
		{"float(M,D)", fixed("float(7,3)", "float(9,2) unsigned"), func(r *rand.Rand, _ string) string { return digits(r, 1+r.IntN(3)) + "." + digits(r, 5) }, false},
		{"bit", fixed("bit(1)", "bit(7)", "bit(64)"), func(r *rand.Rand, def string) string {
			return strconv.FormatUint(r.Uint64()>>map[string]int{"bit(1)": 63, "bit(7)": 57, "bit(64)": 0}[def], 10)
		}, false},
		{"year", fixed("year"), func(r *rand.Rand, _ string) string {
			return pick(r, "0", "1901", "2155", strconv.Itoa(1901+r.IntN(255)))
		}, false},
		{"date", fixed("date"), func(r *rand.Rand, _ string) string { return "'" + date(r) + "'" }, true},
		{"datetime", fsp("datetime"), func(r *rand.Rand, def string) string { return "'" + date(r) + " " + clock(r) + fraction(r, def) + "'" }, true},
		{"timestamp", fsp("timestamp"), func(r *rand.Rand, def string) string {
			return pick(r, "'0000-00-00 00:00:00'", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", fmt.Sprintf("'%04d-%02d-%02d %s%s'", 1971+r.IntN(66), 1+r.IntN(12), 1+r.IntN(28), clock(r), fraction(r, def)))
		}, true},
		{"time", fsp("time"), func(r *rand.Rand, def string) string {
			return "'" + pick(r, "-", "") + pick(r, "838:59:59", strconv.Itoa(r.IntN(838))+":59:58"+fraction(r, def), "00:00:00"+fraction(r, def)) + "'"
		}, true},
		{"binary", fixed("binary(8)", "binary(20)"), func(r *rand.Rand, _ string) string { return fmt.Sprintf("x'%x'", noise(r, r.IntN(9))) }, true},
		{"varbinary", fixed("varbinary(40)"), func(r *rand.Rand, _ string) string { return fmt.Sprintf("x'%x'", noise(r, r.IntN(41))) }, true},
		{"blob", fixed("tinyblob", "blob", "mediumblob", "longblob"), func(r *rand.Rand, _ string) string { return fmt.Sprintf("x'%x'", noise(r, r.IntN(200))) }, false},
		{"json", fixed("json"), func(r *rand.Rand, _ string) string {
			return pick(r, `'{"a": 1}'`, `'{"a":1,  "b":[1.0,2e3,null]}'`, `'[]'`, `'"\\u00e9 é"'`, `' 1 '`)
		}, false},
		{"point", fixed("point"), func(r *rand.Rand, _ string) string {
			return fmt.Sprintf("ST_GeomFromText('POINT(%g %g)',%d)", r.NormFloat64()*10, r.NormFloat64()*10, pick(r, 0, 4326))
		}, false},
		{"geometry", fixed("geometry"), func(r *rand.Rand, _ string) string {
			return pick(r, "ST_GeomFromText('LINESTRING(1 2,3 4)')", "ST_GeomFromText('POLYGON((0 0,0 5,5 5,0 0))')", "ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))')", "ST_GeomFromText('MULTIPOINT(1 1,2 2)')")
		}, false},
		{"uuid", fixed("uuid"), func(r *rand.Rand, _ string) string {
			h := fmt.Sprintf("%x", noise(r, 16))
			return "'" + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:] + "'"
		}, false},
		{"inet6", fixed("inet6"), func(r *rand.Rand, _ string) string {
			return pick(r, "'::1'", "'::'", "'2001:db8::ff00:42:8329'", "'::ffff:1.2.3.4'")
		}, false},
		{"inet4", fixed("inet4"), func(r *rand.Rand, _ string) string { return pick(r, "'0.0.0.0'", "'255.255.255.255'", "'10.0.0.1'") }, false},
	}
	for _, c := range charsets {
		ts = append(ts, c.types()...)
	}
	return ts
}()

// keyKinds are the ways in which a table may be keyed.
var keyKinds = []string{"auto", "one column", "two columns", "three columns", "unique", "unique with NULL", "none", "enum", "prefix", "descending"}

func genSchema(r *rand.Rand, tables int) (out []genTable) {
	for i := range tables {
		out = append(out, newTable(r, i))
	}
	return out
}

func newTable(r *rand.Rand, no int) genTable {
	t := genTable{name: pick(r, "t", "select", "o'brien", "back`tick", "ümläut", "per%cent", "under_score") + strconv.Itoa(no)}
	quote := func(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }
	var defs, keys []string
	add := func(gt genType, notNull bool) *genColumn {
		c := genColumn{name: pick(r, "c", "order", "col`umn", "größe", "a b") + strconv.Itoa(len(t.columns)), what: gt.what, key: gt.key}
		def := gt.def(r)
		c.value = func(r *rand.Rand) string {
			if !notNull && r.IntN(5) == 0 {
				return "NULL"
			}
			return gt.value(r, def)
		}
		// A TIMESTAMP without these gets a default of its own.
		c.def = def + map[bool]string{true: " NOT NULL", false: " NULL DEFAULT NULL"}[notNull]
		if notNull && strings.HasPrefix(def, "timestamp") {
			c.def += " DEFAULT '0000-00-00 00:00:00'"
		}
		t.columns = append(t.columns, c)
		t.what = append(t.what, gt.what)
		defs = append(defs, quote(c.name)+" "+c.def)
		return &t.columns[len(t.columns)-1]
	}
	keyable := func() genType {
		for {
			if gt := pick(r, genTypes...); gt.key {
				return gt
			}
		}
	}
	kind := pick(r, keyKinds...)
	t.what = append(t.what, "key: "+kind)
	switch kind {
	case "auto":
		c := genColumn{name: "id", what: "auto_increment", value: func(*rand.Rand) string { return "NULL" }, key: true}
		t.columns = append(t.columns, c)
		defs = append(defs, "`id` int unsigned NOT NULL AUTO_INCREMENT")
		keys = append(keys, "PRIMARY KEY (`id`)")
	case "one column", "two columns", "three columns", "unique", "unique with NULL", "descending":
		n := map[string]int{"two columns": 2, "three columns": 3, "descending": 2}[kind]
		var names []string
		for range max(n, 1) {
			names = append(names, quote(add(keyable(), kind != "unique with NULL").name))
		}
		if kind == "descending" {
			names[1] += " DESC"
		}
		keys = append(keys, map[bool]string{true: "UNIQUE KEY `u` (", false: "PRIMARY KEY ("}[strings.HasPrefix(kind, "unique")]+strings.Join(names, ",")+")")
	case "enum":
		c := add(charsets[0].types()[3], true)
		d := add(genTypes[3], true)
		keys = append(keys, "PRIMARY KEY ("+quote(c.name)+","+quote(d.name)+")")
	case "prefix":
		c := add(charsets[r.IntN(4)].types()[2], true)
		keys = append(keys, "PRIMARY KEY ("+quote(c.name)+"(5))")
	}
	for range 1 + r.IntN(6) {
		add(pick(r, genTypes...), r.IntN(3) > 0)
	}
	plainColumns := len(t.columns)
	for i := range plainColumns {
		c := t.columns[i]
		if c.key && r.IntN(4) == 0 && c.what != "auto_increment" {
			keys = append(keys, fmt.Sprintf("%s `k%d` (%s)", pick(r, "KEY", "KEY", "UNIQUE KEY"), i, quote(c.name)))
		}
		if strings.HasPrefix(c.what, "text utf8mb4") && r.IntN(2) == 0 {
			keys = append(keys, fmt.Sprintf("FULLTEXT KEY `f%d` (%s)", i, quote(c.name)))
			t.what = append(t.what, "fulltext key")
		}
		var expr, typ string
		switch {
		case r.IntN(4) > 0:
		case strings.HasSuffix(c.what, "int") && c.what != "point":
			expr, typ = quote(c.name)+" is null or "+quote(c.name)+" > 5", "tinyint"
		case strings.HasPrefix(c.what, "varchar utf8mb4"):
			expr, typ = "concat(left("+quote(c.name)+",3),'-')", "varchar(60) CHARACTER SET utf8mb4"
		}
		if expr != "" {
			g := genColumn{name: "g" + strconv.Itoa(i), what: "generated", generated: true}
			how := pick(r, "VIRTUAL", "STORED")
			t.what = append(t.what, "generated "+how)
			t.columns = append(t.columns, g)
			defs = append(defs, fmt.Sprintf("`%s` %s GENERATED ALWAYS AS (%s) %s", g.name, typ, expr, how))
		}
	}
	t.create = "CREATE TABLE " + quote(t.name) + " (" + strings.Join(append(defs, keys...), ", ") + ") ENGINE=InnoDB " +
		pick(r, "", "ROW_FORMAT=DYNAMIC ", "COMMENT='it''s' ") + "DEFAULT CHARSET=" + pick(r, "utf8mb4 COLLATE utf8mb4_general_ci", "latin1", "utf8mb3")
	t.rows = pick(r, 0, 1, 2, 30, 150)
	return t
}

// inserts are the statements that fill the table; what a key refuses is left out by the server.
func (t genTable) inserts(r *rand.Rand) (out []string) {
	var names []string
	for _, c := range t.columns {
		if !c.generated {
			names = append(names, "`"+strings.ReplaceAll(c.name, "`", "``")+"`")
		}
	}
	for range t.rows {
		var vals []string
		for _, c := range t.columns {
			if !c.generated {
				vals = append(vals, c.value(r))
			}
		}
		out = append(out, "INSERT IGNORE INTO `"+strings.ReplaceAll(t.name, "`", "``")+"` ("+strings.Join(names, ",")+") VALUES ("+strings.Join(vals, ",")+")")
	}
	return out
}
