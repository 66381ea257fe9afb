package changes

import (
	"strconv"
	"time"
)

// Dates and times are printed as both servers do: fractions in full, nothing normalised. Formats: MySQL sql-common/my_time.cc,
// my_datetime_packed_from_binary and its like.

func pad(to []byte, n uint64, width int) []byte {
	s := strconv.FormatUint(n, 10)
	for k := len(s); k < width; k++ {
		to = append(to, '0')
	}
	return append(to, s...)
}

func appendDate(to []byte, u uint64) []byte {
	to = append(pad(to, u>>9, 4), '-')
	to = append(pad(to, u>>5&15, 2), '-')
	return pad(to, u&31, 2)
}

func appendClock(to []byte, h, m, s uint64) []byte {
	to = append(pad(to, h, 2), ':')
	to = append(pad(to, m, 2), ':')
	return pad(to, s, 2)
}

// fraction is what stands behind the seconds, as a number of as many digits as bytes hold: 2, 4 or 6.
func fraction(b []byte, digits int) uint64 { return big(b[:(digits+1)/2]) }

// appendFraction prints so many digits of it. The server keeps an even number of them.
func appendFraction(to []byte, f uint64, digits int) []byte {
	if digits == 0 {
		return to
	}
	if digits%2 == 1 {
		f /= 10
	}
	return pad(append(to, '.'), f, digits)
}

// appendDatetime: 40 bits big-endian: sign, year*13+month, day, hour, minute, second.
func appendDatetime(to, b []byte, digits int) []byte {
	u := big(b[:5]) & (1<<39 - 1)
	ymd, hms := u>>17, u&(1<<17-1)
	ym := ymd >> 5
	to = append(pad(to, ym/13, 4), '-')
	to = append(pad(to, ym%13, 2), '-')
	to = append(pad(to, ymd&31, 2), ' ')
	to = appendClock(to, hms>>12, hms>>6&63, hms&63)
	return appendFraction(to, fraction(b[5:], digits), digits)
}

// appendTime: 24 bits big-endian with an offset (sign, one bit unused, hour, minute, second) and the fraction; together
// one number, negative ones as their complement.
func appendTime(to, b []byte, digits int) []byte {
	width := uint(8 * len(b))
	u := big(b)
	zero := uint64(1) << (width - 1)
	if u < zero {
		to = append(to, '-')
		u = zero - u
	} else {
		u -= zero
	}
	frac := u & (1<<(width-24) - 1)
	hms := u >> (width - 24)
	to = appendClock(to, hms>>12&1023, hms>>6&63, hms&63)
	return appendFraction(to, frac, digits)
}

// appendTimestamp: seconds since 1970 in UTC; 0 is the zero date.
func appendTimestamp(to []byte, sec, frac uint64, digits int) []byte {
	if sec == 0 {
		to = append(to, "0000-00-00 00:00:00"...)
	} else {
		to = time.Unix(int64(sec), 0).UTC().AppendFormat(to, "2006-01-02 15:04:05")
	}
	return appendFraction(to, frac, digits)
}

// Of before 5.6, and of MariaDB with mysql56_temporal_format=OFF: decimal digits in a number.

func appendOldTime(to []byte, u uint64) []byte {
	n := int64(u<<40) >> 40
	if n < 0 {
		to, n = append(to, '-'), -n
	}
	return appendClock(to, uint64(n)/10000, uint64(n)/100%100, uint64(n)%100)
}

func appendOldDatetime(to []byte, u uint64) []byte {
	d, t := u/1000000, u%1000000
	to = append(pad(to, d/10000, 4), '-')
	to = append(pad(to, d/100%100, 2), '-')
	to = append(pad(to, d%100, 2), ' ')
	return appendClock(to, t/10000, t/100%100, t%100)
}
