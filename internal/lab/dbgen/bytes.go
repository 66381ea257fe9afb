package dbgen

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// shapes are the types of geometry.
var shapes = []string{"point", "geometry", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection"}

func bytesAndShapes() (out []Type) {
	blob := func(r *rand.Rand, def string) string {
		return hexed(noise(r, r.IntN(min(inParens(def, 200), 200)+1)))
	}
	out = []Type{
		{"binary", "", oneOf("binary(1)", "binary(8)", "binary(20)", "binary(255)"), blob, true},
		{"varbinary", "", oneOf("varbinary(40)", "varbinary(255)", "varbinary(256)"), blob, true},
		{"varbinary, long", "", oneOf("varbinary(2000)"), blob, false},
		{"point", "", oneOf("point"), func(r *rand.Rand, _ string) string {
			return fmt.Sprintf("ST_GeomFromText('POINT(%g %g)',%d)", r.NormFloat64()*10, r.NormFloat64()*10, Pick(r, 0, 4326))
		}, false},
		{"uuid", "maria", oneOf("uuid"), func(r *rand.Rand, _ string) string {
			b := make([]byte, 16)
			for i := range b {
				b[i] = Pick(r, 0, 0x7f, 0x80, 0xff, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()))
			}
			if r.IntN(6) == 0 {
				clear(b[r.IntN(16):])
			}
			h := fmt.Sprintf("%x", b)
			return "'" + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:] + "'"
		}, true},
		{"inet4", "maria", oneOf("inet4"), func(r *rand.Rand, _ string) string {
			return fmt.Sprintf("'%d.%d.%d.%d'", Pick(r, 0, 255, r.IntN(256)), Pick(r, 0, r.IntN(256)), Pick(r, 0, r.IntN(256)), Pick(r, 0, r.IntN(256)))
		}, true},
		{"inet6", "maria", oneOf("inet6"), func(r *rand.Rand, _ string) string {
			var w []string
			for range 8 {
				w = append(w, fmt.Sprintf("%x", Pick(r, 0, 0, 0, 0xffff, r.IntN(1<<16))))
			}
			full := strings.Join(w, ":")
			return "'" + Pick(r, full, full, "::", "::1", "::1.2.3.4", "::ffff:1.2.3.4", "1::", "0:0:1::", "::ffff:0:1", "2001:db8::ff00:42:8329") + "'"
		}, true},
		{"json", "maria", oneOf("json"), func(r *rand.Rand, _ string) string {
			return Pick(r, `'{"a": 1}'`, `'{"a":1,  "b":[1.0,2e3,null]}'`, `'[]'`, `'"\\u00e9 é"'`, `' 1 '`)
		}, false},
	}
	for _, b := range []string{"tinyblob", "blob", "mediumblob", "longblob"} {
		out = append(out, Type{b, "", oneOf(b), blob, false})
	}
	for _, g := range []struct{ typ, text string }{{"geometry", "POINT(1 2)"}, {"linestring", "LINESTRING(1 2,3 4)"}, {"polygon", "POLYGON((0 0,0 5,5 5,0 0))"}, {"multipoint", "MULTIPOINT(1 1,2 2)"},
		{"multilinestring", "MULTILINESTRING((1 1,2 2))"}, {"multipolygon", "MULTIPOLYGON(((0 0,0 5,5 5,0 0)))"}, {"geometrycollection", "GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))"}} {
		out = append(out, Type{g.typ, "", oneOf(g.typ), func(r *rand.Rand, _ string) string {
			if g.typ == "geometry" && r.IntN(2) == 0 {
				return "ST_GeomFromText('" + Pick(r, "LINESTRING(1 2,3 4)", "POLYGON((0 0,0 5,5 5,0 0))", "GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))") + "')"
			}
			return "ST_GeomFromText('" + g.text + "')"
		}, false})
	}
	return out
}
