package dbgen

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"unicode/utf16"
)

// charset is a character set with text that it can hold.
type charset struct {
	name       string
	collations []string
	runes      []rune
	encode     func([]rune) []byte // nil: the server does it
	wide       bool                // more than a byte a character, at the least
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
		{"utf8mb4", []string{"utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_bin", "utf8mb4_unicode_520_ci", "utf8mb4_swedish_ci"}, all, inUTF8, false},
		{"utf8mb3", []string{"utf8mb3_general_ci", "utf8mb3_bin", "utf8mb3_unicode_ci"}, bmp, inUTF8, false},
		{"latin1", []string{"latin1_swedish_ci", "latin1_bin", "latin1_general_cs", "latin1_german2_ci"}, runes(0, 255), bytewise, false},
		{"ascii", []string{"ascii_general_ci", "ascii_bin"}, runes(0, 127), bytewise, false},
		{"cp1251", []string{"cp1251_general_ci", "cp1251_bin"}, []rune("aZ Жя,'"), nil, false},
		{"koi8r", []string{"koi8r_general_ci"}, []rune("aZ Жя,'"), nil, false},
		{"sjis", []string{"sjis_japanese_ci", "sjis_bin"}, []rune("aZ 漢ソ,'"), nil, false},
		{"gbk", []string{"gbk_chinese_ci", "gbk_bin"}, []rune("aZ 漢縗,'"), nil, false},
		{"ucs2", []string{"ucs2_general_ci", "ucs2_bin"}, bmp, inUTF16, true},
		{"utf16", []string{"utf16_general_ci", "utf16_bin"}, all, inUTF16, true},
		{"utf16le", []string{"utf16le_general_ci", "utf16le_bin"}, []rune("aZ 漢é,'😀"), nil, true},
		{"utf32", []string{"utf32_general_ci"}, all, inUTF32, true},
	}
)

func (c charset) value(r *rand.Rand, def string) string {
	rs := make([]rune, r.IntN(min(inParens(def, 60), 60)+1))
	for i := range rs {
		rs[i] = Pick(r, c.runes...)
	}
	if len(rs) > 0 && r.IntN(4) == 0 {
		rs[len(rs)-1] = ' '
	}
	if c.encode == nil {
		return "CONVERT(_utf8mb4 " + hexed(inUTF8(rs)) + " USING " + c.name + ")"
	}
	return "_" + c.name + " " + hexed(c.encode(rs))
}

// labels are an ENUM's and a SET's, that the character set has.
func (c charset) labels() []string {
	out := []string{"a", "it''s", "x y", "Z"}
	switch c.name {
	case "utf8mb4":
		return append(out, "", `back\\slash`, "new\nline", "a=b", "d,e", "漢")
	case "ascii":
		return append(out, "", "~")
	case "cp1251", "koi8r":
		return append(out, "Ж")
	case "sjis", "gbk":
		return append(out, "漢")
	}
	return append(out, "é")
}

func (c charset) types() (out []Type) {
	in := func(defs ...string) func(*rand.Rand) string {
		return func(r *rand.Rand) string {
			return Pick(r, defs...) + " CHARACTER SET " + c.name + " COLLATE " + Pick(r, c.collations...)
		}
	}
	short := []string{"char(20)", "char(3)"}
	if !c.wide {
		short = append(short, "char(255)")
	}
	out = append(out, Type{"char " + c.name, "", in(short...), c.value, true},
		Type{"varchar " + c.name, "", in("varchar(30)", "varchar(10)"), c.value, true},
		Type{"varchar, long, " + c.name, "", in("varchar(300)"), c.value, false})
	for _, k := range []string{"tinytext", "text", "mediumtext", "longtext"} {
		out = append(out, Type{k + " " + c.name, "", in(k), c.value, false})
	}
	labels := c.labels()
	enum := "enum('" + strings.Join(labels, "','") + "')"
	var some []string
	for _, l := range labels {
		if l != "" && l != "d,e" { // a SET's can have neither
			some = append(some, l)
		}
	}
	set := "set('" + strings.Join(some, "','") + "')"
	return append(out,
		Type{"enum " + c.name, "", in(enum), func(r *rand.Rand, _ string) string { return strconv.Itoa(r.IntN(len(labels) + 1)) }, true},
		Type{"set " + c.name, "", in(set), func(r *rand.Rand, _ string) string { return strconv.Itoa(r.IntN(1 << len(some))) }, false})
}

func texts() (out []Type) {
	for _, c := range charsets {
		out = append(out, c.types()...)
	}
	// Collations that MySQL hasn't. In a key there is only what is equal, or isn't, in the ones that come instead as well.
	changing := func(r *rand.Rand) string {
		return "varchar(40) CHARACTER SET utf8mb4 COLLATE " + Pick(r, "utf8mb4_uca1400_ai_ci", "utf8mb4_uca1400_as_cs", "utf8mb4_nopad_bin", "utf8mb4_unicode_nopad_ci")
	}
	return append(out, Type{"varchar of a collation that changes", "maria", changing, charsets[0].value, false},
		Type{"varchar of letters, of a collation that changes", "maria", changing, func(r *rand.Rand, def string) string {
			b := []byte(digits(r, r.IntN(4)))
			for range r.IntN(4) {
				b = append(b, Pick(r, []byte("abXY")...))
			}
			return "_utf8mb4 " + hexed(b)
		}, true})
}
