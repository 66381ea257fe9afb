package value

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"math/bits"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
)

// ChecksumName names how checksums are made; it is written into artifacts, and one with another name isn't read.
//
// A row is put together from its columns so that no two different rows give the same bytes: a value that can't hold
// a comma ends with one, any other is led by its length, NULL is "N" where a value can't begin with it. The row's hash
// is the first 8 bytes of the SHA-256 of that, as an unsigned number. The checksum of rows is the sum of their hashes,
// not cut to any width: with XOR, two rows with the same error cancel, and so do two equal rows of a table without a
// key. MySQL 9.6 and later have no MD5() and no SHA1(), MariaDB's CRC32C() is in no MySQL, and CRC-32 is 32 bits.
const ChecksumName = "sum-sha256-64/1"

// term is what a column adds to a row before it is hashed: SQL expressions for CONCAT. It is written apart from read
// on purpose: what the dump reads and what the server hashes must not be wrong in the same way.
func (c Column) term(s Flavor) string {
	q := ddl.Quote(c.Name)
	orN := func(e string) string {
		if !c.Null {
			return e
		}
		return "COALESCE(" + e + ",'N')"
	}
	orEmpty := func(e string) string {
		if !c.Null {
			return e
		}
		return "COALESCE(" + e + ",'')"
	}
	switch c.Kind {
	case Number:
		if c.Zerofill {
			q += "+0"
		}
		return orN(q) + ",','"
	case Bits, Year:
		return orN(q+"+0") + ",','"
	case Temporal:
		return orN(q) + ",','"
	case Float:
		if c.Null {
			return orN("CONCAT(" + asBytes + ",POINT(" + q + ",0))")
		}
		return "POINT(" + q + ",0)"
	case Choice:
		return orN(c.number(q)) + ",','," + orN("LENGTH("+q+")") + ",':'," + orEmpty(q)
	case Long:
		return orN("SHA2(" + q + ",256)")
	case Geometry:
		return orN("SHA2(CONCAT(" + asBytes + "," + q + "),256)")
	case Address:
		if s == MariaDB {
			q = "CAST(" + q + " AS CHAR CHARACTER SET ascii)"
		}
	}
	return orN("LENGTH("+q+")") + ",':'," + orEmpty(q)
}

// Hash is the SQL expression of a row's hash, an unsigned BIGINT.
func Hash(s Flavor, cs []Column) string {
	terms := make([]string, len(cs))
	for i, c := range cs {
		terms[i] = c.term(s)
	}
	return "CAST(CONV(LEFT(SHA2(CONCAT(" + asBytes + "," + strings.Join(terms, ",") + "),256),16),16,10) AS UNSIGNED)"
}

// Hasher computes on this side what Hash computes in the server, from canonical values.
type Hasher struct {
	Columns []Column
	buf     []byte
}

// Row is the hash of one row.
func (h *Hasher) Row(vals [][]byte) uint64 {
	b := h.buf[:0]
	for i, c := range h.Columns {
		v := vals[i]
		null := v == nil
		switch c.Kind {
		case Number, Bits, Year, Temporal:
			if null {
				v = []byte("N")
			}
			b = append(append(b, v...), ',')
		case Float:
			if null {
				v = []byte("N")
			}
			b = append(b, v...)
		case Long, Geometry:
			if null {
				b = append(b, 'N')
				break
			}
			sum := sha256.Sum256(v)
			b = hex.AppendEncode(b, sum[:])
		case Choice:
			n, label, _ := bytes.Cut(v, []byte("="))
			if null {
				n = []byte("N")
			}
			b = appendSized(append(append(b, n...), ','), label, null)
		default:
			b = appendSized(b, v, null)
		}
	}
	h.buf = b
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:8])
}

func appendSized(b, v []byte, null bool) []byte {
	if null {
		return append(b, 'N', ':')
	}
	return append(append(strconv.AppendInt(b, int64(len(v)), 10), ':'), v...)
}

// Sum is a checksum: a sum of row hashes of 64 bits each, over at most 2^64 rows. It prints as a decimal number.
type Sum struct{ hi, lo uint64 }

// Add adds the hash of a row.
func (s *Sum) Add(h uint64) {
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, h, 0)
	s.hi += carry
}

// AddSum adds the checksum of other rows.
func (s *Sum) AddSum(t Sum) {
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, t.lo, 0)
	s.hi, _ = bits.Add64(s.hi, t.hi, carry)
}

func (s Sum) String() string {
	n := new(big.Int).SetUint64(s.hi)
	return n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(s.lo)).String()
}

// ParseSum reads what String and SQL's SUM print.
func ParseSum(text string) (Sum, error) {
	n, ok := new(big.Int).SetString(text, 10)
	if !ok || n.Sign() < 0 || n.BitLen() > 128 {
		return Sum{}, fmt.Errorf("%q is not a checksum", text)
	}
	lo := new(big.Int).And(n, new(big.Int).SetUint64(^uint64(0)))
	return Sum{new(big.Int).Rsh(n, 64).Uint64(), lo.Uint64()}, nil
}

// MarshalText makes a Sum a string in JSON: it is wider than JSON's numbers are safe.
func (s Sum) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Sum) UnmarshalText(b []byte) (err error) { *s, err = ParseSum(string(b)); return err }
