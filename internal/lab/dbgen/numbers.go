package dbgen

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

func integers(name string, bits int) []Type {
	signed := func(r *rand.Rand, _ string) string {
		n := int64(math.MaxInt64) >> (64 - bits)
		return strconv.FormatInt(Pick(r, 0, 1, -1, n, -n-1, r.Int64()&n, -(r.Int64()&n)), 10)
	}
	unsigned := func(r *rand.Rand, _ string) string {
		n := uint64(math.MaxUint64) >> (64 - bits)
		return strconv.FormatUint(Pick(r, 0, 1, n, n/2+1, r.Uint64()&n), 10)
	}
	return []Type{{name, "", oneOf(name, name+"(5)"), signed, true}, {name + " unsigned", "", oneOf(name + " unsigned"), unsigned, true},
		{name + " zerofill", "", oneOf(name+"(20) zerofill", name+"(3) unsigned zerofill", name+" unsigned zerofill"), unsigned, true}}
}

func double(r *rand.Rand, _ string) string {
	f := math.Float64frombits(r.Uint64())
	switch r.IntN(5) {
	case 0:
		f = math.Round(r.NormFloat64()*1e6) / 1000
	case 1:
		f = Pick(r, 0, math.Copysign(0, -1), math.MaxFloat64, math.SmallestNonzeroFloat64, 1e-5, 1e15, 1e16, 0.1, 1.0/3)
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		f = 1.1888468626894595e+281
	}
	return "'" + strconv.FormatFloat(f, 'e', -1, 64) + "'"
}

func single(r *rand.Rand, _ string) string {
	f := math.Float32frombits(r.Uint32())
	if f != f || math.IsInf(float64(f), 0) || r.IntN(3) == 0 {
		f = Pick(r, 0, 0.1, -1.0/3, math.MaxFloat32, 16777217, float32(r.NormFloat64()))
	}
	return "'" + strconv.FormatFloat(float64(f), 'e', -1, 64) + "'"
}

func numbers() (out []Type) {
	for _, i := range []struct {
		name string
		bits int
	}{{"tinyint", 8}, {"smallint", 16}, {"mediumint", 24}, {"int", 32}, {"bigint", 64}} {
		out = append(out, integers(i.name, i.bits)...)
	}
	return append(out,
		Type{"decimal", "", oneOf("decimal(10,2)", "decimal(65,30)", "decimal(30,30)", "decimal(65,0)", "decimal(1,0)", "decimal(9,9)", "decimal(18,9)", "decimal(20,1)"), func(r *rand.Rand, def string) string {
			whole := Pick(r, "0", digits(r, 1), digits(r, 1+r.IntN(5)), digits(r, 9), digits(r, 70))
			if strings.Contains(def, "(30,30)") {
				whole = "0"
			}
			return Pick(r, "", "-") + whole + "." + Pick(r, "0", "000000000001", digits(r, 4), digits(r, 30))
		}, true},
		Type{"decimal unsigned", "", oneOf("decimal(5,0) unsigned", "decimal(12,4) zerofill"), func(r *rand.Rand, _ string) string { return digits(r, r.IntN(8)+1) + "." + digits(r, 4) }, true},
		Type{"double", "", oneOf("double"), double, false},
		Type{"double(M,D)", "", oneOf("double(20,5)", "double(30,10) unsigned"), func(r *rand.Rand, _ string) string { return digits(r, 1+r.IntN(12)) + "." + digits(r, 12) }, false},
		Type{"float", "", oneOf("float"), single, false},
		Type{"float(M,D)", "", oneOf("float(7,3)", "float(9,2) unsigned"), func(r *rand.Rand, _ string) string { return digits(r, 1+r.IntN(3)) + "." + digits(r, 5) }, false},
		Type{"bit", "", oneOf("bit(1)", "bit(7)", "bit(8)", "bit(9)", "bit(33)", "bit(64)"), func(r *rand.Rand, def string) string {
			n := uint64(math.MaxUint64) >> (64 - inParens(def, 1))
			return strconv.FormatUint(Pick(r, 0, n, r.Uint64()&n), 10)
		}, true},
		Type{"year", "", oneOf("year"), func(r *rand.Rand, _ string) string {
			return Pick(r, "0", "1901", "2155", strconv.Itoa(1901+r.IntN(255)))
		}, true},
		Type{"enum of 300", "", oneOf("enum(" + many(300) + ") CHARACTER SET latin1"), func(r *rand.Rand, _ string) string { return strconv.Itoa(r.IntN(301)) }, true},
		Type{"set of 64", "", oneOf("set(" + many(64) + ") CHARACTER SET latin1"), func(r *rand.Rand, _ string) string { return strconv.FormatUint(r.Uint64(), 10) }, false},
		Type{"set of 24", "", oneOf("set(" + many(24) + ") CHARACTER SET latin1"), func(r *rand.Rand, _ string) string { return strconv.FormatUint(r.Uint64()&(1<<24-1), 10) }, false})
}

func many(n int) string {
	b := make([]string, n)
	for i := range b {
		b[i] = fmt.Sprintf("'l%d'", i)
	}
	return strings.Join(b, ",")
}

func day(r *rand.Rand) string {
	return Pick(r, fmt.Sprintf("%04d-%02d-%02d", 1+r.IntN(9999), 1+r.IntN(12), 1+r.IntN(28)), "0000-00-00", "2020-00-00", "2020-05-00", "2021-02-31", "9999-12-31", "1000-01-01", "0001-01-01")
}

func hour(r *rand.Rand) string {
	return fmt.Sprintf("%02d:%02d:%02d", r.IntN(24), r.IntN(60), r.IntN(60))
}

func fraction(r *rand.Rand, def string) string {
	if n := inParens(def, 0); n > 0 {
		return "." + Pick(r, strings.Repeat("0", n), strings.Repeat("9", n), digits(r, n))
	}
	return ""
}

func withFraction(name string) func(*rand.Rand) string {
	return func(r *rand.Rand) string { return Pick(r, name, fmt.Sprintf("%s(%d)", name, r.IntN(7))) }
}

func times() []Type {
	return []Type{
		{"date", "", oneOf("date"), func(r *rand.Rand, _ string) string { return "'" + day(r) + "'" }, true},
		{"datetime", "", withFraction("datetime"), func(r *rand.Rand, def string) string { return "'" + day(r) + " " + hour(r) + fraction(r, def) + "'" }, true},
		{"timestamp", "", withFraction("timestamp"), func(r *rand.Rand, def string) string {
			return Pick(r, "'0000-00-00 00:00:00'", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", fmt.Sprintf("'%04d-%02d-%02d %s%s'", 1971+r.IntN(66), 1+r.IntN(12), 1+r.IntN(28), hour(r), fraction(r, def)))
		}, true},
		{"time", "", withFraction("time"), func(r *rand.Rand, def string) string {
			return "'" + Pick(r, "-", "") + Pick(r, "838:59:59", strconv.Itoa(r.IntN(838))+":59:58"+fraction(r, def), "00:00:00"+fraction(r, def), "00:00:01"+fraction(r, def), "01:00:00") + "'"
		}, true},
	}
}
