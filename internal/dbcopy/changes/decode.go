package changes

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// The types of a table map event (enum_field_types of both servers; MariaDB 10.11 sql/field.h and MySQL field_types.h).
const (
	typeTiny       = 1
	typeShort      = 2
	typeLong       = 3
	typeFloat      = 4
	typeDouble     = 5
	typeTimestamp  = 7 // without fractions, of before 5.6
	typeLongLong   = 8
	typeInt24      = 9
	typeDate       = 10
	typeTime       = 11 // as 7
	typeDatetime   = 12 // as 7
	typeYear       = 13
	typeNewDate    = 14
	typeVarchar    = 15
	typeBit        = 16
	typeTimestamp2 = 17
	typeDatetime2  = 18
	typeTime2      = 19
	typeBlobZ      = 140 // MariaDB: COMPRESSED
	typeVarcharZ   = 141
	typeDecimal    = 246
	typeEnum       = 247
	typeSet        = 248
	typeBlob       = 252
	typeString     = 254
	typeGeometry   = 255
)

var errShort = errors.New("the row ends inside a value")

// field is how one column's values stand in a row image.
type field struct {
	col      value.Column
	typ      byte // for string: what it really is (string, enum, set)
	meta     uint16
	size     int // bytes of the value, or of its length, or declared length of a string
	unsigned bool
	labels   *labels
	text     func([]byte) []byte // of an address
}

// decode appends nothing to scratch or gives the canonical value at the beginning of data, in scratch or in data itself, and how many
// bytes it took.
func (f *field) decode(scratch, data []byte) (v []byte, n int, err error) {
	switch f.typ {
	case typeVarchar, typeString, typeBlob, typeGeometry:
		return f.bytes(scratch, data)
	}
	if len(data) < f.size {
		return nil, 0, errShort
	}
	b, out := data[:f.size], scratch[:0]
	switch f.typ {
	case typeTiny, typeShort, typeInt24, typeLong, typeLongLong:
		u := little(b)
		if f.unsigned {
			return strconv.AppendUint(out, u, 10), f.size, nil
		}
		shift := 64 - 8*f.size
		return strconv.AppendInt(out, int64(u<<shift)>>shift, 10), f.size, nil
	case typeFloat:
		return point(out, float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))), f.size, nil
	case typeDouble:
		return point(out, math.Float64frombits(binary.LittleEndian.Uint64(b))), f.size, nil
	case typeDecimal:
		return appendDecimal(out, b, int(f.meta>>8), int(f.meta&0xff)), f.size, nil
	case typeBit:
		return strconv.AppendUint(out, big(b), 10), f.size, nil
	case typeYear:
		if b[0] == 0 {
			return append(out, '0'), 1, nil
		}
		return strconv.AppendInt(out, 1900+int64(b[0]), 10), 1, nil
	case typeEnum, typeSet:
		out, err = f.labels.append(out, little(b), f.typ == typeSet)
		return out, f.size, err
	case typeDate, typeNewDate:
		return appendDate(out, little(b)), f.size, nil
	case typeTime:
		return appendOldTime(out, little(b)), f.size, nil
	case typeDatetime:
		return appendOldDatetime(out, little(b)), f.size, nil
	case typeTimestamp:
		return appendTimestamp(out, little(b), 0, 0), f.size, nil
	case typeTime2:
		return appendTime(out, b, int(f.meta)), f.size, nil
	case typeDatetime2:
		return appendDatetime(out, b, int(f.meta)), f.size, nil
	case typeTimestamp2:
		return appendTimestamp(out, big(b[:4]), fraction(b[4:], int(f.meta)), int(f.meta)), f.size, nil
	}
	return nil, 0, fmt.Errorf("type %d", f.typ)
}

// bytes gives a value that is led by its length.
func (f *field) bytes(scratch, data []byte) ([]byte, int, error) {
	lead := f.size
	if f.typ == typeVarchar || f.typ == typeString {
		lead = 1
		if f.size > 255 {
			lead = 2
		}
	}
	if len(data) < lead {
		return nil, 0, errShort
	}
	n := little(data[:lead])
	if n > uint64(len(data)-lead) {
		return nil, 0, errShort
	}
	end := lead + int(n)
	v := data[lead:end:end]
	if f.typ == typeString && (f.col.Type == "binary" || f.text != nil) { // its 0x00 at the end are left out
		if len(v) > f.size {
			return nil, 0, fmt.Errorf("%d bytes in a column of %d", len(v), f.size)
		}
		out := append(scratch[:0], v...)
		for len(out) < f.size {
			out = append(out, 0)
		}
		if f.text != nil {
			out = f.text(out)
		}
		return out, end, nil
	}
	return v, end, nil
}

func little(b []byte) (u uint64) {
	for i, c := range b {
		u |= uint64(c) << (8 * i)
	}
	return u
}

func big(b []byte) (u uint64) {
	for _, c := range b {
		u = u<<8 | uint64(c)
	}
	return u
}

// point is the canonical form of a number: POINT(x, 0) as both servers hold it.
func point(to []byte, x float64) []byte {
	to = append(to, 0, 0, 0, 0, 1, 1, 0, 0, 0)
	return append(binary.LittleEndian.AppendUint64(to, math.Float64bits(x)), 0, 0, 0, 0, 0, 0, 0, 0)
}

// decimalBytes is how many bytes so many digits less than nine take.
var decimalBytes = [10]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}

func decimalSize(precision, scale int) int {
	whole := precision - scale
	return whole/9*4 + decimalBytes[whole%9] + scale/9*4 + decimalBytes[scale%9]
}

// appendDecimal prints a DECIMAL (MySQL strings/decimal.c, decimal2bin): groups of nine digits in four bytes, big-endian, the incomplete
// ones outermost; the first bit turned over; of a negative number all bits.
func appendDecimal(to, b []byte, precision, scale int) []byte {
	var buf [40]byte // 65 digits take 30 bytes
	d := buf[:copy(buf[:], b)]
	if len(d) == 0 {
		return append(to, '0')
	}
	negative := d[0]&0x80 == 0
	d[0] ^= 0x80
	if negative {
		for i := range d {
			d[i] = ^d[i]
		}
		to = append(to, '-')
	}
	group := func(digits int) {
		n := decimalBytes[digits]
		s := strconv.FormatUint(big(d[:n]), 10)
		for k := len(s); k < digits; k++ {
			to = append(to, '0')
		}
		to, d = append(to, s...), d[n:]
	}
	whole := precision - scale
	first := len(to)
	if r := whole % 9; r > 0 {
		group(r)
	}
	for range whole / 9 {
		group(9)
	}
	lead := first
	for lead < len(to)-1 && to[lead] == '0' {
		lead++
	}
	switch {
	case whole == 0:
		to = append(to, '0')
	case lead > first:
		to = append(to[:first], to[lead:]...)
	}
	if scale == 0 {
		return to
	}
	to = append(to, '.')
	for range scale / 9 {
		group(9)
	}
	if r := scale % 9; r > 0 {
		group(r)
	}
	return to
}
