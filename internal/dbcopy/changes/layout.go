package changes

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// table is one that is followed.
type table struct {
	*Table
	no     int
	labels []*labels // by column; nil where it is neither ENUM nor SET
	// last is the layout of the last table map: a table's are nearly always the same.
	last *layout
}

func (t *table) String() string { return "table " + t.Schema + "." + t.Name }

// layout is a table as a table map event describes it.
type layout struct {
	types  []byte
	meta   []uint16
	null   []byte
	fields []field
}

// problem is what a table map has that the table's definition hasn't.
type problem struct {
	kind      StopKind
	what, fix string
}

func (p *problem) Error() string { return p.what }

// layoutFor holds a table map to the definition.
func (t *table) layoutFor(m *replication.TableMapEvent) (*layout, error) {
	if l := t.last; l != nil && bytes.Equal(l.types, m.ColumnType) && slices.Equal(l.meta, m.ColumnMeta) && bytes.Equal(l.null, m.NullBitmap) {
		return l, nil
	}
	for i, typ := range m.ColumnType {
		if typ == typeBlobZ || typ == typeVarcharZ {
			name := fmt.Sprintf("no. %d", i+1)
			if i < len(t.Columns) {
				name = t.Columns[i].Name
			}
			return nil, &problem{StopCompressed, "column " + name + " is COMPRESSED: the log has its values compressed",
				"ALTER TABLE " + t.quoted() + " MODIFY the column without COMPRESSED at the source, then copy the table anew"}
		}
	}
	if len(m.ColumnType) != len(t.Columns) {
		p := &problem{StopDefinition, fmt.Sprintf("a row has %d columns in the log, and the table %d", len(m.ColumnType), len(t.Columns)), differs}
		switch {
		case len(m.ColumnType) == len(t.Columns)+1 && m.ColumnType[len(t.Columns)] == typeLongLong:
			p.what += ": as of a table with a unique key over a hash (UNIQUE ... USING HASH, or a long UNIQUE)"
		case len(m.ColumnType) == len(t.Columns)+2:
			p.what, p.kind = p.what+": as of a system-versioned table", StopVersioned
		}
		return nil, p
	}
	l := &layout{types: bytes.Clone(m.ColumnType), meta: slices.Clone(m.ColumnMeta), null: bytes.Clone(m.NullBitmap)}
	for i, c := range t.Columns {
		_, nullable := m.Nullable(i)
		f, ok := fieldOf(c, m.ColumnType[i], m.ColumnMeta[i], t.labels[i])
		if !ok || nullable != c.Null && !c.Generated {
			return nil, &problem{StopDefinition, fmt.Sprintf("column %s is of another type in the log (type %d, length %d, NULL %v) than in its definition (%s)",
				c.Name, m.ColumnType[i], m.ColumnMeta[i], nullable, c.ColumnType), differs}
		}
		l.fields = append(l.fields, f)
	}
	t.last = l
	return l, nil
}

const differs = "the definition was changed, without its statement in the log or since the copy: copy the table anew"

func (t *table) quoted() string { return ddl.Quote(t.Schema) + "." + ddl.Quote(t.Name) }

// fieldOf is how a column's values stand in the log, if the log's type is one that the column can have.
func fieldOf(c value.Column, typ byte, meta uint16, lab *labels) (field, bool) {
	f := field{col: c, typ: typ, meta: meta, labels: lab, unsigned: strings.Contains(c.ColumnType, "unsigned") || c.Zerofill}
	if typ == typeString { // the first byte is the real type, with two bits of the length turned over
		real, size := byte(meta>>8), int(meta&0xff)
		if real&0x30 != 0x30 {
			size |= (int(real&0x30) ^ 0x30) << 4
			real |= 0x30
		}
		f.typ, f.size = real, size
	}
	is := func(types ...string) bool { return slices.Contains(types, c.Type) }
	fixed := func(size int, types ...string) (field, bool) { f.size = size; return f, is(types...) }
	fsp := func(size int, name string) (field, bool) {
		f.size = size + (int(meta)+1)/2
		return f, meta <= 6 && is(name) && fspOf(c.ColumnType) == int(meta)
	}
	switch f.typ {
	case typeTiny:
		return fixed(1, "tinyint")
	case typeShort:
		return fixed(2, "smallint")
	case typeInt24:
		return fixed(3, "mediumint")
	case typeLong:
		return fixed(4, "int")
	case typeLongLong:
		return fixed(8, "bigint")
	case typeFloat:
		return fixed(4, "float")
	case typeDouble:
		return fixed(8, "double")
	case typeDecimal:
		p, s := int(meta>>8), int(meta&0xff)
		if p > 65 || s > p {
			return f, false
		}
		f.size = decimalSize(p, s)
		return f, is("decimal") && strings.HasPrefix(c.ColumnType, fmt.Sprintf("decimal(%d,%d)", p, s))
	case typeBit:
		f.size = (int(meta>>8)*8 + int(meta&0xff) + 7) / 8
		return f, is("bit") && f.size <= 8
	case typeYear:
		return fixed(1, "year")
	case typeDate, typeNewDate:
		return fixed(3, "date")
	case typeTime:
		return fixed(3, "time")
	case typeDatetime:
		return fixed(8, "datetime")
	case typeTimestamp:
		return fixed(4, "timestamp")
	case typeTime2:
		return fsp(3, "time")
	case typeDatetime2:
		return fsp(5, "datetime")
	case typeTimestamp2:
		return fsp(4, "timestamp")
	case typeEnum, typeSet:
		return f, lab != nil && is("enum", "set") && (f.typ == typeEnum) == is("enum") && f.size >= 1 && f.size <= 8
	case typeVarchar:
		f.size = int(meta)
		return f, is("varchar", "varbinary") || c.Kind == value.Address
	case typeString:
		switch c.Type {
		case "uuid":
			old := strings.Contains(c.ColumnType, "old")
			f.text = func(b []byte) []byte { return uuidText(b, old) }
			return f, f.size == 16
		case "inet4":
			f.text = inet4Text
			return f, f.size == 4
		case "inet6":
			f.text = inet6Text
			return f, f.size == 16
		}
		return f, is("char", "binary")
	case typeBlob:
		f.size = int(meta)
		return f, meta >= 1 && meta <= 4 && meta == blobSize(c.Type)
	case typeGeometry:
		f.size = int(meta)
		return f, meta >= 1 && meta <= 4 && c.Kind == value.Geometry
	}
	return f, false
}

// fspOf is how many digits behind the second a type has: "datetime(3)" has 3.
func fspOf(columnType string) int {
	if i := strings.IndexByte(columnType, '('); i >= 0 && i+1 < len(columnType) {
		return int(columnType[i+1] - '0')
	}
	return 0
}

func blobSize(dataType string) uint16 {
	switch strings.TrimSuffix(strings.TrimSuffix(dataType, "blob"), "text") {
	case "tiny":
		return 1
	case "":
		return 2
	case "medium":
		return 3
	case "long":
		return 4
	}
	return 0
}
