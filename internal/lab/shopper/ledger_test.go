package shopper

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func entry(kind Kind, token string) Entry {
	e := Entry{Kind: kind, Time: time.Date(2026, 11, 23, 1, 2, 3, 4000, time.UTC), Token: token, Customer: 7}
	if kind == Acknowledged {
		e.Number, e.Checksum, e.Total = "S0123456789AB", strings.Repeat("ab", 32), "12.10"
	}
	return e
}

func write(t *testing.T, path string, entries ...Entry) {
	t.Helper()
	l, torn, err := OpenLedger(path)
	if err != nil || torn != nil {
		t.Fatalf("open: %v, torn %q", err, torn)
	}
	for _, e := range entries {
		if err := l.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLedgerKeepsWhatItTook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	write(t, path, entry(Attempted, "aa"), entry(Acknowledged, "aa"))
	write(t, path, entry(Attempted, "bb")) // a second run goes on in the same file
	got, torn, err := ReadLedger(path)
	if err != nil || torn != nil || len(got) != 3 {
		t.Fatalf("%d entries, torn %q, %v", len(got), torn, err)
	}
	want := entry(Acknowledged, "aa")
	if want.Seq = 2; got[1] != want {
		t.Errorf("kept %+v, wrote %+v", got[1], want)
	}
	if got[2].Seq != 3 {
		t.Errorf("the second run began at %d", got[2].Seq)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestLedgerCutAnywhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	write(t, path, entry(Attempted, "aa"), entry(Acknowledged, "aa"))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := bytes.IndexByte(whole, '\n') + 1
	for n := range len(whole) {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		kept, tail := 0, n
		if n >= first {
			kept, tail = 1, n-first
		}
		got, torn, err := ReadLedger(path)
		if err != nil || len(got) != kept || len(torn) != tail {
			t.Fatalf("cut at %d: %d entries and %d torn bytes, want %d and %d: %v", n, len(got), len(torn), kept, tail, err)
		}
		l, torn, err := OpenLedger(path)
		if err != nil || len(torn) != tail {
			t.Fatalf("cut at %d: open says %d torn bytes, want %d: %v", n, len(torn), tail, err)
		}
		if err := errors.Join(l.Append(entry(Unknown, "aa")), l.Close()); err != nil {
			t.Fatal(err)
		}
		if got, torn, err := ReadLedger(path); err != nil || torn != nil || len(got) != kept+1 || got[kept].Kind != Unknown {
			t.Fatalf("cut at %d and gone on: %d entries, torn %q, %v", n, len(got), torn, err)
		}
	}
}

func TestLedgerDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	write(t, path, entry(Attempted, "aa"), entry(Acknowledged, "aa"))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := bytes.IndexByte(whole, '\n') + 1
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x01
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		got, torn, err := ReadLedger(path)
		if i < first { // a line before the last: never passed over in silence
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("byte %d changed: %d entries, torn %q, %v", i, len(got), torn, err)
			}
			if _, _, err := OpenLedger(path); !errors.Is(err, ErrDamaged) {
				t.Fatalf("byte %d changed, and opened to write: %v", i, err)
			}
		} else if err != nil || len(got) != 1 || len(torn) == 0 {
			t.Fatalf("byte %d of the last line changed: %d entries, torn %q, %v", i, len(got), torn, err)
		}
	}
	// A line that is gone leaves a gap in the numbers.
	if err := os.WriteFile(path, append(bytes.Clone(whole[first:]), whole[first:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadLedger(path); !errors.Is(err, ErrDamaged) {
		t.Errorf("a missing first line: %v", err)
	}
}

// slowDisk notes what is done to it, and fails its syncs from the n-th on.
type slowDisk struct {
	did  []string
	good int
}

func (d *slowDisk) Write(p []byte) (int, error) { d.did = append(d.did, "write"); return len(p), nil }
func (d *slowDisk) Close() error                { return nil }
func (d *slowDisk) Sync() error {
	d.did = append(d.did, "sync")
	if d.good--; d.good < 0 {
		return errors.New("the disk is gone")
	}
	return nil
}

func TestLedgerCountsWhatIsOnDisk(t *testing.T) {
	d := &slowDisk{good: 1}
	l := &Ledger{f: d}
	if err := l.Append(entry(Attempted, "aa")); err != nil || strings.Join(d.did, " ") != "write sync" {
		t.Errorf("an entry was taken after %v: %v", d.did, err)
	}
	if err := l.Append(entry(Acknowledged, "aa")); err == nil || l.seq != 1 {
		t.Error("an entry counts that was not synced")
	}
	// A failed sync isn't tried again: the kernel may have dropped the pages and call the next one a success.
	d.good = 10
	if err := l.Append(entry(Acknowledged, "aa")); err == nil || strings.Join(d.did, " ") != "write sync write sync" {
		t.Errorf("went on after a failed sync: %v", d.did)
	}
}

func TestLedgerStaysBroken(t *testing.T) {
	l, _, err := OpenLedger(filepath.Join(t.TempDir(), "ledger"))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	one, two := l.Append(entry(Attempted, "aa")), l.Append(entry(Attempted, "bb"))
	if one == nil || two == nil || l.seq != 0 {
		t.Errorf("a ledger that can't be written took entries: %v, %v", one, two)
	}
}
