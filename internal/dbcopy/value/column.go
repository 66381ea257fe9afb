// Package value is what a column's value is on its way between the two servers: the SQL that reads it, its canonical
// bytes, the literal that stores it, its place in a row's checksum, in a chunk's edge and in a file. It dials nothing.
package value

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
)

// Kind is how a column's values are printed, hashed and stored. Kinds are written into artifacts: never rename one.
type Kind string

// The kinds and their canonical values.
const (
	Number   Kind = "number"   // integers, DECIMAL: the digits that both servers print
	Bits     Kind = "bits"     // BIT: its value as an unsigned number
	Year     Kind = "year"     // YEAR: its value as a number
	Float    Kind = "float"    // FLOAT, DOUBLE: the internal form of POINT(value, 0), which has the value's very bits (see below)
	Temporal Kind = "temporal" // DATE, TIME, DATETIME, TIMESTAMP in UTC: as both servers print it, fraction in full
	Short    Kind = "short"    // CHAR, VARCHAR, BINARY, VARBINARY, TINYTEXT, TINYBLOB: the bytes, in the column's charset
	Long     Kind = "long"     // the other TEXTs and BLOBs: the bytes, hashed apart so that no row is put together whole
	Choice   Kind = "choice"   // ENUM, SET: "number=label", so that a difference in either is one
	Geometry Kind = "geometry" // the internal form that both servers have: SRID, then WKB
	Address  Kind = "address"  // UUID, INET4, INET6 as text
)

// MySQL 9.7 prints many doubles with a digit too few to get the same value back (seen: 1.1888468626894595e+281 comes
// as 1.18884686268946e281), MariaDB not; and neither has a function for a double's bits. POINT(x, y) has: both servers
// return 4 bytes SRID, 1 byte order, 4 type, then x and y as little-endian IEEE 754.
const pointSize = 25

// asBytes at the beginning of a CONCAT makes the whole of it bytes: nothing in it is converted to another's charset.
const asBytes = "CAST('' AS BINARY)"

// Column is a column of the source.
type Column struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	Type string `json:"type"` // DATA_TYPE
	// ColumnType is COLUMN_TYPE, with length, sign and labels: what the binary log leaves unsaid. Artifacts of before
	// there was a follower haven't got it.
	ColumnType string `json:"column_type,omitempty"`
	Null       bool   `json:"null,omitempty"`
	Zerofill   bool   `json:"zerofill,omitempty"`
	Generated  bool   `json:"generated,omitempty"` // computed by either server; read and verified, not stored
	Charset    string `json:"charset,omitempty"`   // of a character column
	Collation  string `json:"collation,omitempty"`
}

// KindOf gives the kind of a type, by information_schema's DATA_TYPE.
func KindOf(dataType string) (Kind, bool) {
	switch dataType {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "decimal":
		return Number, true
	case "bit":
		return Bits, true
	case "year":
		return Year, true
	case "float", "double":
		return Float, true
	case "date", "time", "datetime", "timestamp":
		return Temporal, true
	case "char", "varchar", "binary", "varbinary", "tinytext", "tinyblob":
		return Short, true
	case "text", "mediumtext", "longtext", "blob", "mediumblob", "longblob":
		return Long, true
	case "enum", "set":
		return Choice, true
	case "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection":
		return Geometry, true
	case "uuid", "inet4", "inet6":
		return Address, true
	}
	return "", false
}

// Flavor is whose SQL is being written: the two servers hold addresses in different types.
type Flavor bool

const (
	MariaDB Flavor = false
	MySQL   Flavor = true
)

// read is the expression that a row session reads a column's canonical value with.
func (c Column) read(s Flavor) string {
	q := ddl.Quote(c.Name)
	switch c.Kind {
	case Bits, Year:
		return q + "+0"
	case Number:
		if c.Zerofill {
			return q + "+0"
		}
	case Float:
		return "POINT(" + q + ",0)"
	case Choice:
		return "CONCAT(" + asBytes + "," + c.number(q) + ",'='," + q + ")"
	case Address:
		if s == MariaDB {
			return "CAST(" + q + " AS CHAR CHARACTER SET ascii)"
		}
	}
	return q
}

// number is a choice's: of an ENUM the label's place, of a SET a bit for each label. A SET plus zero is signed in MariaDB and a DOUBLE in
// MySQL, which has not the bits of 64 labels.
func (c Column) number(q string) string {
	if c.Type == "set" {
		return "CAST(" + q + " AS UNSIGNED)"
	}
	return q + "+0"
}

// ReadAll is the list of all columns' read.
func ReadAll(s Flavor, cs []Column) string {
	exprs := make([]string, len(cs))
	for i, c := range cs {
		exprs[i] = c.read(s)
	}
	return strings.Join(exprs, ",")
}

// canonical turns what the driver gave for read into the canonical value; v is not NULL.
func (c Column) Canonical(v []byte) ([]byte, error) {
	switch c.Kind {
	case Float:
		if len(v) != pointSize {
			return nil, fmt.Errorf("column %s: a number of %d bytes where %d were expected", c.Name, len(v), pointSize)
		}
	case Choice:
		if bytes.IndexByte(v, '=') < 1 {
			return nil, fmt.Errorf("column %s: %q is no number and label", c.Name, v)
		}
	}
	return v, nil
}

// OddChoice: the value is what MariaDB stores for a label that the ENUM doesn't have. MySQL takes it only outside
// strict mode.
func (c Column) OddChoice(v []byte) bool { return c.Type == "enum" && bytes.HasPrefix(v, []byte("0=")) }

// literal appends the SQL literal that stores canonical value v in the column; v is nil for NULL.
func (c Column) Literal(to, v []byte) ([]byte, error) {
	if v == nil {
		return append(to, "NULL"...), nil
	}
	switch c.Kind {
	case Number, Bits, Year:
		if !numeric(v) {
			return nil, fmt.Errorf("column %s: %q is no number", c.Name, v)
		}
		return append(to, v...), nil
	case Choice:
		n, _, _ := bytes.Cut(v, []byte("="))
		if !numeric(n) {
			return nil, fmt.Errorf("column %s: %q is no number and label", c.Name, v)
		}
		return append(to, n...), nil
	case Float:
		if len(v) != pointSize {
			return nil, fmt.Errorf("column %s: %d bytes are no number", c.Name, len(v))
		}
		f := math.Float64frombits(binary.LittleEndian.Uint64(v[9:]))
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("column %s: %v can't be stored", c.Name, f)
		}
		// In quotes: a bare 0.1 is a DECIMAL, and a bare -0 an integer.
		return append(strconv.AppendFloat(append(to, '\''), f, 'e', -1, 64), '\''), nil
	}
	return ddl.AppendLiteral(to, v), nil
}

func numeric(v []byte) bool {
	if len(v) > 0 && v[0] == '-' {
		v = v[1:]
	}
	return len(v) > 0 && len(bytes.Trim(v, "0123456789.")) == 0
}

// Bound is the value of a table's key at a chunk's edge: canonical values of the key's columns. nil: no edge.
type Bound [][]byte

// orders: ranges over this column mean the same set of rows on both servers, and an index serves them.
func (c Column) Orders() bool {
	switch c.Kind {
	case Number, Temporal:
		return true
	case Short:
		return true
	}
	return false
}

// edge is a literal to compare the column with. Character columns are compared in their own collation: a literal's is
// the weaker.
func (c Column) Edge(v []byte) (string, error) {
	switch {
	case c.Kind == Short && c.Charset != "":
		return fmt.Sprintf("_%s x'%x'", charsetName(c.Charset), v), nil
	case c.Kind == Short:
		return fmt.Sprintf("x'%x'", v), nil
	}
	b, err := c.Literal(nil, v)
	return string(b), err
}

// charsetName: utf8 is another name of utf8mb3 in MariaDB before 10.6, and will be of another charset in MySQL.
func charsetName(cs string) string {
	if cs == "utf8" {
		return "utf8mb3"
	}
	return cs
}

// Within is the condition that holds for rows after one edge and up to another, the latter included.
func Within(key []Column, after, upTo Bound) (string, error) {
	var parts []string
	for _, side := range []struct {
		b      Bound
		op, eq string
	}{{after, ">", ">"}, {upTo, "<", "<="}} {
		if side.b == nil {
			continue
		}
		if len(side.b) != len(key) {
			return "", fmt.Errorf("an edge of %d values for a key of %d columns", len(side.b), len(key))
		}
		// (a > 1) OR (a = 1 AND b > 2): both servers make index ranges of this, and not of (a, b) > (1, 2).
		var or []string
		for i, c := range key {
			var and []string
			for j := range i + 1 {
				op := "="
				if j == i {
					if op = side.op; i == len(key)-1 {
						op = side.eq
					}
				}
				lit, err := key[j].Edge(side.b[j])
				if err != nil {
					return "", fmt.Errorf("edge at column %s: %w", c.Name, err)
				}
				and = append(and, ddl.Quote(key[j].Name)+op+lit)
			}
			or = append(or, "("+strings.Join(and, " AND ")+")")
		}
		parts = append(parts, "("+strings.Join(or, " OR ")+")")
	}
	if parts == nil {
		return "", nil
	}
	return " WHERE " + strings.Join(parts, " AND "), nil
}

// Names quotes and joins names.
func Names(cs []Column) string {
	names := make([]string, len(cs))
	for i, c := range cs {
		names[i] = ddl.Quote(c.Name)
	}
	return strings.Join(names, ",")
}
