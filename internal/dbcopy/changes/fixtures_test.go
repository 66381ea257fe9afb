package changes

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// Events made up here, for what no server at hand writes, and for the fuzzer to begin with. Formats: the servers' manuals' and sources'
// replication event descriptions.

type maker struct {
	crc bool
	pos uint32
	out [][]byte
}

// add makes an event of a body. Its place is counted as in a file, or left 0.
func (m *maker) add(typ byte, server uint32, body []byte, place bool) {
	size := 19 + len(body)
	if m.crc {
		size += 4
	}
	m.pos += uint32(size)
	b := binary.LittleEndian.AppendUint32(nil, 1763900000)
	b = append(b, typ)
	b = binary.LittleEndian.AppendUint32(b, server)
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	pos := m.pos
	if !place {
		pos = 0
	}
	b = binary.LittleEndian.AppendUint32(b, pos)
	b = append(append(b, 0, 0), body...)
	if m.crc {
		b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	}
	m.out = append(m.out, b)
}

// describe begins a file: 50 bytes of the server's version, the time, the head's length, lengths of the heads after it for each type, the checksum's kind.
func (m *maker) describe(version string) {
	b := []byte{4, 0}
	b = append(b, make([]byte, 50)...)
	copy(b[2:], version)
	b = append(b, 0, 0, 0, 0, 19)
	for typ := 1; typ <= 180; typ++ {
		n := byte(0)
		switch typ {
		case 19:
			n = 8
		case 23, 24, 25, 166, 167, 168:
			n = 8
		case 30, 31, 32, 39:
			n = 10
		}
		b = append(b, n)
	}
	kind := byte(0)
	if m.crc {
		kind = 1
	}
	// This event always has four bytes of checksum.
	if b = append(b, kind); !m.crc {
		b = append(b, 0, 0, 0, 0)
	}
	m.add(15, 2, b, true)
}

func (m *maker) gtid(seq uint64, flags byte) {
	b := binary.LittleEndian.AppendUint64(nil, seq)
	b = binary.LittleEndian.AppendUint32(b, 0)
	m.add(162, 2, append(b, flags, 0, 0, 0, 0, 0, 0), true)
}

// tableMap is of ch.t (id int, v varchar(20)).
func (m *maker) tableMap(place bool) {
	b := []byte{7, 0, 0, 0, 0, 0, 1, 0, 2, 'c', 'h', 0, 1, 't', 0, 2, typeLong, typeVarchar, 2, 80, 0, 2}
	m.add(19, 2, b, place)
}

// rows is an event of rows of that table. has: the columns of each image.
func (m *maker) rows(typ byte, place bool, has []byte, images ...byte) {
	b := append([]byte{7, 0, 0, 0, 0, 0, 1, 0, 2}, has...)
	m.add(typ, 2, append(b, images...), place)
}

func (m *maker) query(text string) {
	b := append(make([]byte, 8), 2, 0, 0, 0, 0)
	b = append(b, "ch\x00"...)
	m.add(2, 2, append(b, text...), true)
}

func (m *maker) xid() { m.add(16, 2, make([]byte, 8), true) }

// one is id=1, v='x' as an image of both columns.
var one = []byte{0, 1, 0, 0, 0, 1, 'x'}

func testAssembler(flavor value.Flavor, dir string) *assembler {
	t := &table{Table: &Table{"ch", "t", []value.Column{{Name: "id", Kind: value.Number, Type: "int", ColumnType: "int(11)"}, {Name: "v", Kind: value.Short, Type: "varchar", ColumnType: "varchar(20)", Null: true, Charset: "utf8mb4"}}}, labels: make([]*labels, 2)}
	a := &assembler{flavor: flavor, tables: []*table{t}, byName: map[string]*table{"ch\x00t": t}, followed: []string{"ch"}, opts: Options{SpillBytes: 1 << 20, SpillDir: dir}, xa: map[string]bool{},
		end: Position{File: binlog.File{Name: "log.000001", Offset: 4}}}
	a.connected()
	return a
}

func newMaker(crc bool) *maker {
	m := &maker{crc: crc, pos: 4}
	m.describe("10.11.19-MariaDB-log")
	return m
}

// feed gives all events and collects what comes, until the first error.
func feed(a *assembler, events [][]byte) (out []*Transaction, err error) {
	for _, e := range events {
		tx, err := a.event(e)
		if err != nil {
			return out, err
		}
		if tx != nil {
			out = append(out, tx)
		}
	}
	return out, nil
}
