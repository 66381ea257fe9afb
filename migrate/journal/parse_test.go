package journal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate/journal"
)

// summed puts a right checksum behind what it covers.
func summed(b []byte) []byte {
	return fmt.Appendf(bytes.Clone(b), `,"crc":"%08x"}`, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// lines are records as they are written, of all sorts, without their newline.
func lines(t testing.TB) (all [][]byte) {
	t.Helper()
	add := func(r journal.Record) {
		b, err := journal.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b[:len(b)-1])
	}
	for i, k := range []journal.Kind{journal.Opened, journal.Intent, journal.Done, journal.Failed, journal.Verified, journal.UndoIntent,
		journal.Undone, journal.UndoFailed, journal.ServiceStarted, journal.ServiceStopped, journal.Gate, journal.Operator, journal.Turned, journal.Closed} {
		r := record(i)
		r.Kind, r.Seq, r.Prev = k, uint64(i+1), strings.Repeat("0a", 32*min(i, 1))
		if i%3 == 0 {
			r.Data = json.RawMessage(`{"out":{"n":[1,-2.5e3,true,null],"text":"a \"quoted\" ü"},"moved":{}}`)
		}
		add(r)
	}
	add(journal.Record{Seq: 1, Run: "r", Kind: journal.Verified, Time: time.Unix(0, 0).UTC(), Data: json.RawMessage("{}")})
	add(journal.Record{Seq: 1, Run: "r", Kind: journal.Verified, Time: time.Unix(0, 0).UTC()})
	return all
}

// same holds quick to slow: what quick takes, slow takes too, and reads as the same.
func same(t testing.TB, line []byte) (taken bool) {
	t.Helper()
	fast, ok := journal.Quick(line)
	if !ok {
		return false
	}
	want, err := journal.Slow(line)
	if err != nil {
		t.Fatalf("taken, though %v: %s", err, line)
	}
	if !reflect.DeepEqual(fast, want) {
		t.Fatalf("read as %+v, not %+v: %s", fast, want, line)
	}
	return true
}

// The quick way takes every line that this program writes, so that nothing is slow by accident.
func TestQuickTakesWhatIsWritten(t *testing.T) {
	for _, line := range lines(t) {
		if !same(t, line) {
			t.Errorf("left to the slow way: %s", line)
		}
	}
	names, err := filepath.Glob("../testdata/journals/*.jsonl")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	all, taken := 0, 0
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			all++
			if bytes.HasSuffix(line, []byte("\"}\n")) && same(t, line[:len(line)-1]) {
				taken++
			}
		}
	}
	if taken*10 < all*9 {
		t.Errorf("of %d lines of version 1, %d were taken", all, taken)
	}
}

// Each byte of a line is changed, taken out, doubled, or has another put before it: the two ways never differ.
func TestQuickIsHeldToSlow(t *testing.T) {
	others := []byte("\x00\t\n \"\\,:{}[]019-+.eEfnt/azZ~\x7f\x80\xc3\xff")
	n, taken := 0, 0
	try := func(parts ...[]byte) {
		n++
		if same(t, bytes.Join(parts, nil)) {
			taken++
		}
	}
	all := lines(t)
	for _, line := range [][]byte{all[0], all[3], all[13], all[14], all[15]} {
		n := len(line) - len(summed(nil))
		for i := range n + 1 {
			for _, c := range others {
				try(line[:i], []byte{c}, line[i:])
				if i < n {
					try(line[:i], []byte{c}, line[i+1:])
				}
			}
			if i < n {
				try(line[:i], line[i+1:])
				try(line[:i+1], line[i:])
			}
		}
	}
	t.Logf("%d lines, of which the quick way took %d", n, taken)
	if taken == 0 || taken == n {
		t.Error("nothing was tried")
	}
}

func TestQuickLeavesToSlow(t *testing.T) {
	const head, tail = `{"seq":1,"prev":"","run":"r","fence":1,`, `"kind":"verified","time":"2026-11-23T01:02:03Z"`
	deep := strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999)
	for _, x := range []struct {
		name, line string
		good       bool // slow takes it
	}{
		{"another order", head + tail + `,"step":"a"`, true},
		{"white space", head + ` ` + tail, true},
		{"an escape", head + `"step":"\u0061",` + tail, true},
		{"another alphabet", head + `"step":"ü",` + tail, true},
		{"no time", head + `"kind":"verified"`, true},
		{"a leading zero", head + `"attempt":01,` + tail, false},
		{"too large", head + `"attempt":99999999999999999999,` + tail, false},
		{"too large for an attempt", head + `"attempt":9300000000000000000,` + tail, false},
		{"an unknown field", head + tail + `,"more":1`, false},
		{"data and an unknown field", head + tail + `,"data":{},"more":{}`, false},
		{"data that is no object", head + tail + `,"data":7`, true},
		{"too deep", head + tail + `,"data":{"x":` + deep + `}`, false},
		{"a time that is none", head + `"kind":"verified","time":"2026-11-23 01:02:03"`, false},
	} {
		line := summed([]byte(x.line))
		if same(t, line) {
			t.Errorf("%s: taken", x.name)
		}
		if _, err := journal.Slow(line); (err == nil) != x.good {
			t.Errorf("%s: %v", x.name, err)
		}
		_, err := journal.NewDecoder(bytes.NewReader(append(line, '\n'))).Next()
		if (err == nil) != x.good || err != nil && !errors.Is(err, journal.ErrCorrupt) {
			t.Errorf("%s: the decoder says %v", x.name, err)
		}
	}
}

// A line is one object. What follows it is damage, though the checksum be right.
func TestLineIsOneObject(t *testing.T) {
	line := summed([]byte(`{"seq":1,"prev":"","run":"r","fence":1,"kind":"verified","time":"2026-11-23T01:02:03Z"}{"x":"y"`))
	if _, err := journal.NewDecoder(bytes.NewReader(append(line, '\n'))).Next(); !errors.Is(err, journal.ErrCorrupt) {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	for _, line := range lines(f) {
		f.Add(line[:len(line)-len(summed(nil))])
	}
	f.Fuzz(func(t *testing.T, b []byte) { same(t, summed(b)) })
}
