package changes

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// TestMadeUp: what no server here writes. MariaDB 12.3's parts of rows (172) and 11.4's FULL_NODUP stop; 11.4's places of 0 are
// counted.
func TestMadeUp(t *testing.T) {
	for _, c := range []struct {
		name  string
		make  func(*maker)
		stop  StopKind
		says  string
		rows  int64
		after uint64 // where the last transaction ends, if not where the last event does
	}{
		{"an insert", func(m *maker) { m.gtid(1, 0); m.tableMap(true); m.rows(23, true, []byte{3}, one...); m.xid() }, "", "", 1, 0},
		{"places of 0", func(m *maker) { m.gtid(1, 0); m.tableMap(false); m.rows(23, false, []byte{3}, one...); m.xid() }, "", "", 1, 0},
		{"all places of 0", func(m *maker) {
			m.gtid(1, 0)
			m.tableMap(false)
			m.rows(23, false, []byte{3}, one...)
			m.add(16, 2, make([]byte, 8), false)
		}, "", "", 1, 0},
		{"part of a row (172)", func(m *maker) { m.gtid(1, 0); m.add(172, 2, []byte("some row"), true); m.xid() }, StopEvent, "type 172", 0, 0},
		{"encryption (164)", func(m *maker) { m.add(164, 2, make([]byte, 17), true) }, StopEvent, "type 164", 0, 0},
		{"rows of MySQL", func(m *maker) { m.gtid(1, 0); m.tableMap(true); m.add(30, 2, make([]byte, 20), true) }, StopEvent, "type 30", 0, 0},
		{"an incident", func(m *maker) { m.add(26, 2, []byte{1, 0, 0}, true) }, StopIncident, "missing", 0, 0},
		{"FULL_NODUP", func(m *maker) {
			m.gtid(1, 0)
			m.tableMap(true)
			m.rows(24, true, []byte{3, 2}, append(slices.Clone(one), 0, 1, 'y')...)
			m.xid()
		}, StopImage, "column id", 0, 0},
		{"no transaction", func(m *maker) { m.tableMap(true); m.rows(23, true, []byte{3}, one...) }, StopDamaged, "outside", 0, 0},
		{"two beginnings", func(m *maker) { m.gtid(1, 0); m.gtid(2, 0) }, StopDamaged, "inside another", 0, 0},
		{"an end alone", func(m *maker) { m.xid() }, StopDamaged, "where none began", 0, 0},
		{"a rollback of rows", func(m *maker) {
			m.gtid(1, 0)
			m.tableMap(true)
			m.rows(23, true, []byte{3}, one...)
			m.query("ROLLBACK")
		}, "", "", 0, 0},
		{"a rollback to savepoints", func(m *maker) {
			row := func() { m.tableMap(true); m.rows(23, true, []byte{3}, one...) }
			m.gtid(1, 0)
			row()
			m.query("SAVEPOINT `a``b`")
			row()
			m.query("SAVEPOINT `c`")
			row()
			m.query("ROLLBACK TO `C`")
			m.query("SAVEPOINT `c`")
			row()
			m.query("ROLLBACK TO `a``b`")
			row()
			m.query("ROLLBACK TO `a``b`")
			row()
			m.xid()
		}, "", "", 2, 0},
		{"a rollback to nowhere", func(m *maker) { m.gtid(1, 0); m.query("SAVEPOINT `a`"); m.query("ROLLBACK TO `b`"); m.xid() }, StopStatement, "isn't in the log", 0, 0},
		{"a rollback to what is gone", func(m *maker) {
			m.gtid(1, 0)
			m.query("SAVEPOINT `a`")
			m.query("SAVEPOINT `b`")
			m.query("ROLLBACK TO `a`")
			m.query("ROLLBACK TO `b`")
		}, StopStatement, "isn't in the log", 0, 0},
		{"a row that is cut off", func(m *maker) { m.gtid(1, 0); m.tableMap(true); m.rows(23, true, []byte{3}, one[:4]...); m.xid() }, StopDamaged, "ends inside", 0, 0},
		{"LOAD DATA as a statement", func(m *maker) { m.gtid(1, 0); m.add(18, 2, make([]byte, 60), true) }, StopStatement, "LOAD DATA", 0, 0},
		{"the commit of an unknown XA", func(m *maker) { m.gtid(1, 1); m.query("XA COMMIT X'61',X'',1") }, StopXA, "before what was read", 0, 0},
		{"a rollback of an unknown XA", func(m *maker) { m.gtid(1, 1); m.query("XA ROLLBACK X'61',X'',1") }, "", "", 0, 0},
	} {
		for _, crc := range []bool{false, true} {
			m := newMaker(crc)
			c.make(m)
			a := testAssembler(value.MariaDB, t.TempDir())
			got, err := feed(a, m.out)
			if c.stop == "" {
				if err != nil || len(got) != 1 || got[0].Rows != c.rows || got[0].End.File.Offset != uint64(m.pos) || got[0].End.MariaDB.String() != "0-2-1" {
					t.Errorf("%s, checksums %v: %v, %v; the last event ends at %d", c.name, crc, got, err, m.pos)
				}
				continue
			}
			var stop *StopError
			if !errors.As(err, &stop) || stop.Kind != c.stop || !strings.Contains(err.Error(), c.says) || len(got) != 0 || !strings.HasPrefix(stop.At, "log.000001:") {
				t.Errorf("%s, checksums %v: %v, want %s", c.name, crc, err, c.stop)
			}
		}
	}
}

// TestBitFlip: with checksums no turned bit of any event goes unnoticed, and none makes a panic.
func TestBitFlip(t *testing.T) {
	m := newMaker(true)
	m.gtid(1, 0)
	m.tableMap(true)
	m.rows(23, true, []byte{3}, one...)
	m.xid()
	for n := range m.out {
		for bit := range 8 * len(m.out[n]) {
			events := slices.Clone(m.out)
			events[n] = bytes.Clone(events[n])
			events[n][bit/8] ^= 1 << (bit % 8)
			a := testAssembler(value.MariaDB, t.TempDir())
			got, err := feed(a, events)
			if len(got) > 0 {
				t.Fatalf("event %d with bit %d turned was taken: %v", n, bit, got)
			}
			var stop *StopError
			if !errors.As(err, &stop) || n > 0 && stop.Kind != StopDamaged {
				t.Fatalf("event %d with bit %d turned: %v", n, bit, err)
			}
		}
	}
}

// TestBeyond4GiB: a file's places go on past 32 bits.
func TestBeyond4GiB(t *testing.T) {
	a := testAssembler(value.MariaDB, t.TempDir())
	m := newMaker(false)
	if _, err := feed(a, m.out); err != nil {
		t.Fatal(err)
	}
	a.offset, m.pos, m.out = 1<<32-100, 1<<32-100, nil
	m.gtid(1, 0)
	m.tableMap(true)
	m.rows(23, true, []byte{3}, one...)
	m.xid()
	got, err := feed(a, m.out)
	if err != nil || len(got) != 1 || got[0].End.File.Offset != 1<<32+uint64(m.pos) {
		t.Errorf("%v, %v, want an end at %d", got, err, 1<<32+uint64(m.pos))
	}
	if reachable(Position{File: got[0].End.File}) || !reachable(got[0].End) {
		t.Error("a place past 4 GiB is reachable by GTID, and only so")
	}
}

// FuzzEvents: no bytes make a panic, take memory for what isn't there, or give a transaction whose changes can't be read.
func FuzzEvents(f *testing.F) {
	for _, flavor := range []bool{false, true} {
		for _, typ := range []byte{2, 16, 19, 23, 24, 25, 27, 30, 31, 33, 34, 36, 40, 41, 42, 162, 165, 166, 167} {
			f.Add(flavor, typ, one, []byte{7, 0, 0, 0, 0, 0, 1, 0, 2, 3}, uint64(3))
		}
	}
	f.Add(false, byte(23), append([]byte{7, 0, 0, 0, 0, 0, 1, 0, 2, 3}, one...), []byte{}, uint64(0))
	f.Add(false, byte(19), []byte{7, 0, 0, 0, 0, 0, 1, 0, 2, 'c', 'h', 0, 1, 't', 0, 2, typeLong, typeVarchar, 2, 80, 0, 2}, one, uint64(0))
	f.Fuzz(func(t *testing.T, flavor bool, typ byte, first, second []byte, split uint64) {
		a := testAssembler(value.Flavor(flavor), t.TempDir())
		m := newMaker(false)
		if !flavor {
			m.gtid(1, 0)
		} else {
			m.query("BEGIN")
		}
		m.tableMap(true)
		m.add(typ, 2, first, true)
		m.add(byte(split), 2, second, true)
		m.xid()
		got, err := feed(a, m.out)
		var stop *StopError
		if err != nil && !errors.As(err, &stop) {
			t.Fatalf("an error of no kind: %v", err)
		}
		for _, tx := range got {
			n := int64(0)
			for _, err := range tx.Changes {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			if n != tx.Rows {
				t.Fatalf("%d changes of %d", n, tx.Rows)
			}
		}
		if err := a.drop(); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzRow: no bytes of a row image make a panic, whatever the column.
func FuzzRow(f *testing.F) {
	f.Add(byte(typeDecimal), uint16(10<<8|2), []byte{0x80, 0, 1, 2, 3})
	f.Add(byte(typeString), uint16(0xf7<<8|1), []byte{1})
	f.Add(byte(typeTime2), uint16(6), []byte{0x7f, 0xff, 0xff, 0xff, 0xff, 0xff})
	names := []string{"tinyint", "smallint", "mediumint", "int", "bigint", "decimal(10,2)", "bit(9)", "year", "date", "time(6)", "datetime(3)", "timestamp(6)", "char(20)", "binary(8)", "varchar(20)", "blob", "longtext", "enum('a','b')", "set('a','b')", "point", "uuid", "inet6", "inet4", "float", "double"}
	f.Fuzz(func(t *testing.T, typ byte, meta uint16, data []byte) {
		for _, ct := range names {
			dt, _, _ := strings.Cut(ct, "(")
			k, _ := value.KindOf(dt)
			fl, ok := fieldOf(value.Column{Name: "c", Kind: k, Type: dt, ColumnType: ct}, typ, meta, &labels{of: [][]byte{[]byte("a"), []byte("b")}, sep: []byte(",")})
			if !ok {
				continue
			}
			v, n, err := fl.decode(nil, data)
			if err == nil && (n > len(data) || v == nil) {
				t.Fatalf("%s: %q of %d bytes", ct, v, n)
			}
		}
	})
}
