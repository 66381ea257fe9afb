package journal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

var me = journal.Holder{Who: "kim@desk", Host: "desk", PID: 7, Since: time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC)}

// record is the nth record of a test's journal.
func record(n int) journal.Record {
	data, err := json.Marshal(map[string]any{"n": n, "text": strings.Repeat("<&> ü ", n%40)})
	if err != nil {
		panic(err)
	}
	return journal.Record{Run: "20261123-010203-7f3a", Fence: 1, Step: fmt.Sprintf("step.%d", n%7), Attempt: n % 3, Kind: journal.Intent,
		Time: time.Date(2026, 11, 23, 1, 2, n, n, time.UTC), Who: "kim@desk", Data: data}
}

// open opens the journal of a disk and returns what it replayed.
func open(t *testing.T, dir journal.FS) (*journal.Journal, []journal.Record) {
	t.Helper()
	var recs []journal.Record
	j, err := journal.Open(dir, me, func(r journal.Record) error { recs = append(recs, r); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return j, recs
}

func written(t *testing.T, n int) *crashfs.Disk {
	t.Helper()
	d := &crashfs.Disk{}
	j, _ := open(t, d.Process(crashfs.NewLife(0)))
	for i := range n {
		if _, err := j.Append(record(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return d
}

// count decodes and says how many records there are before the end or the first bad one.
func count(b []byte) (n int, err error) {
	d := journal.NewDecoder(bytes.NewReader(b))
	for {
		_, err := d.Next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		n++
	}
}

// The format of version 1, byte for byte: what is written today must be what every later version reads. The hash and the
// checksums were worked out by another program.
func TestFormat(t *testing.T) {
	got := string(written(t, 2).Bytes())
	want := `{"seq":1,"prev":"","run":"20261123-010203-7f3a","fence":1,"step":"step.0","kind":"intent","time":"2026-11-23T01:02:00Z","who":"kim@desk","data":{"n":0,"text":""},"crc":"ea1d12f6"}
{"seq":2,"prev":"3692e2de841d2145fa29f6ffc2560d2b86597539d5f3d8d76af11c2b06de1f3e","run":"20261123-010203-7f3a","fence":1,"step":"step.1","attempt":1,"kind":"intent","time":"2026-11-23T01:02:01.000000001Z","who":"kim@desk","data":{"n":1,"text":"\u003c\u0026\u003e ü "},"crc":"3c217927"}
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReplay(t *testing.T) {
	d := written(t, 20)
	j, recs := open(t, d.Process(crashfs.NewLife(0)))
	if len(recs) != 20 || j.Torn() != nil {
		t.Fatalf("%d records, torn %v", len(recs), j.Torn())
	}
	for i, r := range recs {
		want := record(i)
		want.Seq, want.Prev = r.Seq, r.Prev
		if fmt.Sprint(r) != fmt.Sprint(want) || r.Seq != uint64(i+1) {
			t.Errorf("%v, not %v", r, want)
		}
	}
	if n, size := j.Acked(); n != 20 || size != int64(len(d.Bytes())) {
		t.Errorf("acked %d records, %d bytes", n, size)
	}
}

// Each byte of a journal changed in turn, in three ways, is found, and none is taken for a torn tail: a record that was
// acknowledged is never cut.
func TestEveryFlipIsFound(t *testing.T) {
	b := written(t, 12).Bytes()
	for i := range b {
		for _, x := range []byte{1, 0x20, b[i]} { // the last makes it a zero byte
			c := bytes.Clone(b)
			c[i] ^= x
			rep, err := journal.Verify(bytes.NewReader(c))
			if !errors.Is(err, journal.ErrCorrupt) {
				t.Fatalf("byte %d ^ %#x: %v", i, x, err)
			}
			var d *journal.Damage
			if !errors.As(err, &d) || d.Start > int64(i) || d.Byte > int64(i) || d.Record != rep.Records+1 {
				t.Fatalf("byte %d ^ %#x: %+v after %d good records", i, x, d, rep.Records)
			}
		}
	}
	t.Logf("%d bytes, 3 changes each", len(b))
}

// Cut anywhere, a journal is whole up to there, or has a torn tail; Open cuts it and goes on.
func TestEveryCut(t *testing.T) {
	b := written(t, 12).Bytes()
	for i := range b {
		whole := bytes.Count(b[:i], []byte("\n"))
		rep, err := journal.Verify(bytes.NewReader(b[:i]))
		atEnd := i == 0 || b[i-1] == '\n'
		if atEnd != (err == nil) || !atEnd && !errors.Is(err, journal.ErrTorn) || rep.Records != uint64(whole) {
			t.Fatalf("cut at %d: %d records, %v", i, rep.Records, err)
		}
		d := &crashfs.Disk{}
		d.Write(b[:i])
		j, recs := open(t, d.Process(crashfs.NewLife(0)))
		if len(recs) != whole || (j.Torn() == nil) != atEnd {
			t.Fatalf("cut at %d: opened with %d records, torn %v", i, len(recs), j.Torn())
		}
		if _, err := j.Append(record(whole)); err != nil {
			t.Fatal(err)
		}
		if n, err := count(d.Bytes()); err != nil || n != whole+1 {
			t.Fatalf("cut at %d: %d records after one more, %v", i, n, err)
		}
	}
}

// Records taken out, put in twice, exchanged or of another journal are damage.
func TestChain(t *testing.T) {
	lines := bytes.SplitAfter(written(t, 5).Bytes(), []byte("\n"))[:5]
	other := bytes.SplitAfter(written(t, 6).Bytes(), []byte("\n"))[:6]
	join := func(x ...[]byte) []byte { return bytes.Join(x, nil) }
	odd := bytes.Replace(lines[2], []byte("step.2"), []byte("step.9"), 1)
	last := func(old, new string) []byte { return framed(bytes.Replace(lines[4], []byte(old), []byte(new), 1)) }
	for name, b := range map[string][]byte{
		"first gone":  join(lines[1:]...),
		"middle gone": join(lines[0], lines[2], lines[3]),
		"twice":       join(lines[0], lines[0]),
		"exchanged":   join(lines[0], lines[2], lines[1]),
		"empty line":  join(lines[0], []byte("\n"), lines[1]),
		"changed":     join(lines[0], lines[1], odd, lines[3]),
		// These have good checksums: somebody took trouble.
		"changed and framed again":     join(lines[0], lines[1], framed(odd), lines[3]),
		"first with one before":        join(framed(bytes.Replace(lines[0], []byte(`"prev":""`), []byte(`"prev":"ab"`), 1))),
		"a number left out":            join(lines[0], lines[1], lines[2], lines[3], last(`"seq":5`, `"seq":6`)),
		"a field that is not known":    join(lines[0], lines[1], lines[2], lines[3], last(`,"kind"`, `,"more":1,"kind"`)),
		"data that is no JSON":         join(lines[0], lines[1], lines[2], lines[3], last(`"data":{`, `"data":{{`)),
		"a checksum before the others": join(bytes.Replace(lines[0], []byte(`{"seq"`), []byte(`{"crc":"00000000","seq"`), 1)),
		"not JSON":                     join(lines[0], []byte("nonsense\n"), lines[1]),
		"zeros inside":                 join(lines[0], make([]byte, 100), lines[1]),
	} {
		if n, err := count(b); !errors.Is(err, journal.ErrCorrupt) {
			t.Errorf("%s: %d records, %v", name, n, err)
		}
	}
	if n, err := count(join(other...)); n != 6 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	foreign := join(lines[0], framed(bytes.Replace(lines[1], []byte("7f3a"), []byte("7f3b"), 1)))
	if rep, err := journal.Verify(bytes.NewReader(foreign)); !errors.Is(err, journal.ErrCorrupt) || rep.Records != 1 {
		t.Errorf("%d records, %v", rep.Records, err)
	}
}

// framed gives a changed line a good checksum.
func framed(line []byte) []byte {
	body := line[:bytes.LastIndex(line, []byte(`,"crc":"`))]
	return fmt.Appendf(nil, "%s,\"crc\":\"%08x\"}\n", body, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

// A hole is taken for a crash's only where a crash can leave one: in the last record, from its beginning or a sector's to
// a sector's end or its own.
func TestHoles(t *testing.T) {
	b := written(t, 8).Bytes()
	start := bytes.LastIndexByte(b[:len(b)-1], '\n') + 1
	before := bytes.LastIndexByte(b[:start-1], '\n') + 1
	zero := func(from, to int) []byte {
		c := bytes.Clone(b)
		clear(c[from:to])
		return c
	}
	sector := (start/512 + 1) * 512 // within the last record
	if sector >= len(b)-1 {
		t.Fatalf("no sector ends within the last record, from %d to %d", start, len(b))
	}
	for _, x := range []struct {
		name     string
		from, to int
		torn     bool
	}{
		{"the whole record but its newline", start, len(b) - 1, true},
		{"the whole record", start, len(b), true},
		{"to a sector's end", start, sector, true},
		{"from a sector's beginning", sector, len(b) - 1, true},
		{"from a sector's beginning, newline too", sector, len(b), true},
		{"one byte in the middle", start + 3, start + 4, false},
		{"from the middle to a sector's end", start + 3, sector, false},
		{"from a sector's beginning to the middle", sector, sector + 1, false},
		{"the newline", len(b) - 1, len(b), false},
		{"the whole record before", before, start - 1, false}, // it was acknowledged, and so was the one after it
		{"a part of the record before", start - 200, start - 1, false},
	} {
		_, err := count(zero(x.from, x.to))
		if x.torn != errors.Is(err, journal.ErrTorn) || x.torn == errors.Is(err, journal.ErrCorrupt) {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}

// What Open replayed is durable, even when the process before died between write and sync, or its sync failed: a crash
// right after Open loses nothing of it.
func TestWhatWasReplayedIsDurable(t *testing.T) {
	for _, how := range []string{"killed before the sync", "sync failed", "made no directory entry"} {
		t.Run(how, func(t *testing.T) {
			d := &crashfs.Disk{}
			at := 0
			switch how {
			case "killed before the sync":
				at = 12 // lock 2, create 2, sync 2, directory 2, write 3: the sync
			case "made no directory entry":
				at = 7
			}
			j, err := journal.Open(d.Process(crashfs.NewLife(at)), me, func(journal.Record) error { return nil })
			if err == nil {
				if how == "sync failed" {
					d.FailSync(1)
				}
				if _, err = j.Append(record(0)); !errors.Is(err, journal.ErrDead) {
					t.Fatal(err)
				}
			} else if how != "made no directory entry" {
				t.Fatal(err)
			}
			d.Crash(crashfs.KeepCache) // the machine lives on
			j, recs := open(t, d.Process(crashfs.NewLife(0)))
			before := string(d.Bytes())
			if how != "made no directory entry" && len(recs) != 1 {
				t.Fatalf("%d records", len(recs))
			}
			d.Crash(crashfs.KeepNone) // and now it doesn't
			if string(d.Bytes()) != before {
				t.Errorf("replayed and then lost: %q, left %q", before, d.Bytes())
			}
			if how != "made no directory entry" {
				return
			}
			if _, err := d.Process(crashfs.NewLife(0)).Open(); err != nil {
				t.Errorf("the file itself is gone: %v", err)
			}
			_ = j
		})
	}
}

// After a failed write or sync nothing is written any more, and nothing is tried again.
func TestDead(t *testing.T) {
	for name, fail := range map[string]func(*crashfs.Disk){"sync": func(d *crashfs.Disk) { d.FailSync(1) }, "write": func(d *crashfs.Disk) { d.FailWrite(1) }} {
		t.Run(name, func(t *testing.T) {
			d := &crashfs.Disk{}
			j, _ := open(t, d.Process(crashfs.NewLife(0)))
			if _, err := j.Append(record(0)); err != nil {
				t.Fatal(err)
			}
			fail(d)
			_, err := j.Append(record(1))
			if !errors.Is(err, journal.ErrDead) || !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			syncs, size := d.Syncs(), len(d.Bytes())
			if _, again := j.Append(record(1)); again == nil || again.Error() != err.Error() {
				t.Errorf("then: %v", again)
			}
			if d.Syncs() != syncs || len(d.Bytes()) != size {
				t.Error("it tried again")
			}
			d.Crash(crashfs.KeepCache)
			if _, recs := open(t, d.Process(crashfs.NewLife(0))); len(recs) != 1 && len(recs) != 2 {
				t.Errorf("%d records", len(recs))
			}
		})
	}
}

func TestLockIsAskedBeforeEachRecord(t *testing.T) {
	d := &crashfs.Disk{}
	j, _ := open(t, d.Process(crashfs.NewLife(0)))
	d.StealLock()
	if _, err := j.Append(record(0)); !errors.Is(err, journal.ErrLockLost) || !errors.Is(err, journal.ErrDead) {
		t.Error(err)
	}
	if len(d.Bytes()) > 0 {
		t.Error("it wrote without the lock")
	}
}

func TestClosedJournalWritesNothing(t *testing.T) {
	d := &crashfs.Disk{}
	j, _ := open(t, d.Process(crashfs.NewLife(0)))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(record(0)); !errors.Is(err, journal.ErrDead) {
		t.Error(err)
	}
}

func TestTooLong(t *testing.T) {
	d := &crashfs.Disk{}
	j, _ := open(t, d.Process(crashfs.NewLife(0)))
	r := record(0)
	r.Data = json.RawMessage(`"` + strings.Repeat("x", journal.MaxLine) + `"`)
	if _, err := j.Append(r); !errors.Is(err, journal.ErrTooLong) {
		t.Fatal(err)
	}
	if _, err := j.Append(record(0)); err != nil {
		t.Errorf("a record that was refused left the journal unusable: %v", err)
	}
}

// A file that is no journal, and has no end of a line, is not read into memory to find out.
func TestEndlessLine(t *testing.T) {
	r := &endless{}
	if _, err := journal.NewDecoder(r).Next(); !errors.Is(err, journal.ErrCorrupt) {
		t.Error(err)
	}
	if r.read > journal.MaxLine+1<<20 {
		t.Errorf("read %d bytes", r.read)
	}
}

type endless struct{ read int }

func (r *endless) Read(b []byte) (int, error) {
	if r.read > 4*journal.MaxLine {
		return 0, io.EOF
	}
	for i := range b {
		b[i] = 'x'
	}
	r.read += len(b)
	return len(b), nil
}

// each's error ends Open, and gives the lock back.
func TestOpenGivesUp(t *testing.T) {
	d := written(t, 3)
	dir := d.Process(crashfs.NewLife(0))
	no := errors.New("no")
	if _, err := journal.Open(dir, me, func(journal.Record) error { return no }); !errors.Is(err, no) {
		t.Fatal(err)
	}
	d.Write(append(d.Bytes(), "nonsense\n"...))
	if _, err := journal.Open(dir, me, func(journal.Record) error { return nil }); !errors.Is(err, journal.ErrCorrupt) {
		t.Fatal(err)
	}
	if _, held, err := dir.Holder(); held || err != nil {
		t.Error("the lock is still held")
	}
}

// A decoder goes on when the file has grown.
func TestDecoderFollows(t *testing.T) {
	b := written(t, 3).Bytes()
	r := &growing{}
	d := journal.NewDecoder(r)
	n := 0
	for i := range b {
		r.data = b[:i+1]
		for {
			_, err := d.Next()
			if err == nil {
				n++
				continue
			}
			if !errors.Is(err, io.EOF) && !errors.Is(err, journal.ErrTorn) {
				t.Fatalf("at byte %d: %v", i, err)
			}
			break
		}
	}
	if n != 3 || d.Offset() != int64(len(b)) {
		t.Errorf("%d records, %d bytes", n, d.Offset())
	}
}

type growing struct {
	data []byte
	at   int
}

func (g *growing) Read(b []byte) (int, error) {
	if g.at == len(g.data) {
		return 0, io.EOF
	}
	n := copy(b, g.data[g.at:])
	g.at += n
	return n, nil
}

// A journal of 100,000 records is read with the memory of one.
func TestDecoderIsFlat(t *testing.T) {
	one := written(t, 1).Bytes()
	_ = one
	var b bytes.Buffer
	d := &crashfs.Disk{}
	j, _ := open(t, d.Process(crashfs.NewLife(0)))
	for i := range 2000 {
		if _, err := j.Append(record(i)); err != nil {
			t.Fatal(err)
		}
	}
	b.Write(d.Bytes())
	allocated := testing.AllocsPerRun(1, func() {
		if n, err := count(b.Bytes()); n != 2000 || err != nil {
			t.Fatal(n, err)
		}
	})
	if per := allocated / 2000; per > 40 {
		t.Errorf("%.0f allocations a record", per)
	}
}

func TestMissing(t *testing.T) {
	d := &crashfs.Disk{}
	if _, err := d.Process(crashfs.NewLife(0)).Open(); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// Whatever bytes there are, the decoder says what they are, and what it takes for records is a journal.
func FuzzDecoder(f *testing.F) {
	d := &crashfs.Disk{}
	j, err := journal.Open(d.Process(crashfs.NewLife(0)), me, func(journal.Record) error { return nil })
	if err != nil {
		f.Fatal(err)
	}
	for i := range 3 {
		if _, err := j.Append(record(i)); err != nil {
			f.Fatal(err)
		}
	}
	b := d.Bytes()
	f.Add(b)
	f.Add(b[:len(b)-7])
	f.Add(append(bytes.Clone(b), make([]byte, 700)...))
	f.Add([]byte("{}\n"))
	f.Add([]byte("\n\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		dec := journal.NewDecoder(bytes.NewReader(b))
		for {
			rec, err := dec.Next()
			if err == nil {
				continue
			}
			var dmg *journal.Damage
			switch {
			case errors.Is(err, io.EOF):
				if dec.Offset() != int64(len(b)) {
					t.Fatalf("ended at %d of %d", dec.Offset(), len(b))
				}
			case errors.As(err, &dmg):
				if dmg.Start != dec.Offset() || dmg.Byte < dmg.Start || dmg.Byte > int64(len(b)) {
					t.Fatalf("%+v after %d bytes", dmg, dec.Offset())
				}
			default:
				t.Fatalf("%v (%v)", err, rec)
			}
			break
		}
		// What is good up to there is good by itself.
		if _, err := journal.Verify(bytes.NewReader(b[:dec.Offset()])); err != nil && !strings.Contains(err.Error(), "belongs to run") {
			t.Fatal(err)
		}
	})
}
