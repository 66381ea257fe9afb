package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/slipway-dev/slipway/internal/binlog"
)

const run ID = "20261123-010203-7f3a"

type detail struct{ Name string }

func contents() Contents {
	pos, err := binlog.ParseMariaDB("0-1-5")
	if err != nil {
		panic(err)
	}
	return Contents{Tool: "slipway test", From: "db2", Position: &Position{File: binlog.File{Name: "b.000001", Offset: 4}, GTID: pos},
		Objects: []Object{{Kind: "table", Name: "shop.orders", Rows: 3, Bytes: 9}}, Detail: detail{"shop"}}
}

// noise is bytes that don't compress, so that files have several blocks.
func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func make2(t *testing.T, s *Store, sizes ...int) *Artifact {
	t.Helper()
	w, err := s.Begin(t.Context(), run, MariaDB, 0)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i, n := range sizes {
		wg.Go(func() {
			c, err := w.Create(t.Context(), fmt.Sprintf("%04d.zst", i), fmt.Sprintf("table shop.t, chunk %d", i))
			if err != nil {
				t.Error(err)
				return
			}
			for b := noise(uint64(i), n); len(b) > 0; { // in odd pieces
				k := min(len(b), 70001)
				if _, err := c.Write(b[:k]); err != nil {
					t.Error(err)
				}
				b = b[k:]
			}
			if f, err := c.Close(); err != nil || f.Raw != int64(n) {
				t.Error(f, err)
			}
		})
	}
	wg.Wait()
	a, err := w.Commit(t.Context(), contents())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newStore(t *testing.T) *Store {
	t.Helper()
	s, err := At(filepath.Join(t.TempDir(), "not", "there", "yet"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWriteReadVerify(t *testing.T) {
	s := newStore(t)
	if l, err := s.List(t.Context()); err != nil || len(l) != 0 {
		t.Fatalf("an empty store lists %v, %v", l, err)
	}
	sizes := []int{0, 1, 1000, BlockSize, 3*BlockSize + 17}
	made := make2(t, s, sizes...)
	a, err := s.Open(t.Context(), run, MariaDB)
	if err != nil || a.Digest != made.Digest || a.Digest == "" {
		t.Fatalf("opened %v, %v", a, err)
	}
	var d detail
	if err := a.Detail(&d); err != nil || d.Name != "shop" {
		t.Errorf("detail %v, %v", d, err)
	}
	if a.Manifest.Position.GTID.String() != "0-1-5" || a.Manifest.Objects[0].Rows != 3 {
		t.Errorf("manifest %+v", a.Manifest)
	}
	for i, f := range a.Manifest.Files {
		r, err := a.Read(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(b, noise(uint64(i), sizes[i])) {
			t.Errorf("file %d read back differently: %v", i, err)
		}
		r.Close()
	}
	var last, total int64
	if err := a.Verify(t.Context(), func(d, n int64) { last, total = d, n }); err != nil || last != total || total != a.Stored() {
		t.Errorf("verify: %v, progress %d of %d, stored %d", err, last, total, a.Stored())
	}
	l, err := s.List(t.Context())
	if err != nil || len(l) != 1 || l[0].State != Whole || l[0].Digest != a.Digest {
		t.Errorf("list %+v, %v", l, err)
	}
	if _, err := s.Begin(t.Context(), run, MariaDB, 0); !errors.Is(err, ErrExists) {
		t.Errorf("a whole part was begun again: %v", err)
	}
	if err := s.Discard(t.Context(), run, run, MariaDB); err != nil {
		t.Error(err)
	}
	if _, err := s.Open(t.Context(), run, MariaDB); err != nil {
		t.Errorf("discard took a whole part: %v", err)
	}
	err = filepath.WalkDir(s.Where(), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		i, err := e.Info()
		if want := map[bool]fs.FileMode{true: 0o700 | fs.ModeDir, false: 0o600}[e.IsDir()]; err == nil && i.Mode() != want {
			t.Errorf("%s has mode %v, want %v", path, i.Mode(), want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestHalfMade(t *testing.T) {
	s := newStore(t)
	begin := func() *Writer {
		w, err := s.Begin(t.Context(), run, Assets, 0)
		if err != nil {
			t.Fatal(err)
		}
		c, err := w.Create(t.Context(), "a.zst", "x")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(noise(1, 100)); err != nil {
			t.Fatal(err)
		}
		return w
	}
	state := func(want State) {
		t.Helper()
		if e, err := s.Look(t.Context(), run, Assets); err != nil || e.State != want {
			t.Fatalf("state %v, %v; want %v", e.State, err, want)
		}
	}
	state(Absent)
	w := begin()
	state(Writing)
	if _, err := s.Begin(t.Context(), run, Assets, 0); !errors.Is(err, ErrBusy) {
		t.Errorf("two writers of one part: %v", err)
	}
	if err := s.Discard(t.Context(), run, run, Assets); !errors.Is(err, ErrBusy) {
		t.Errorf("discarded under its writer: %v", err)
	}
	if _, err := w.Commit(t.Context(), contents()); err == nil {
		t.Error("committed with an open file")
	}
	w.Leave() // what the kernel does when the process dies
	state(Half)
	if _, err := s.Open(t.Context(), run, Assets); !errors.Is(err, ErrHalf) || !strings.Contains(err.Error(), "slipway resume "+string(run)) {
		t.Errorf("opened half made: %v", err)
	}
	if err := s.Discard(t.Context(), "20261123-010203-0000", run, Assets); !errors.Is(err, ErrNotOwner) {
		t.Errorf("another run discarded it: %v", err)
	}
	state(Half)
	w = begin() // begun anew: the name is free again
	w.Leave()
	if err := s.Discard(t.Context(), run, run, Assets); err != nil {
		t.Error(err)
	}
	state(Absent)
	if err := s.Discard(t.Context(), run, run, Assets); err != nil {
		t.Error("not idempotent:", err)
	}
	if left, err := os.ReadDir(s.Where()); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestEveryByte flips each stored byte, cuts each file at each length and lengthens it: every one is found, and named
// by file and place, by Verify and by whoever reads.
func TestEveryByte(t *testing.T) {
	s := newStore(t)
	a := make2(t, s, 300, 40)
	dir := s.at.(*directory).wholePath(run, MariaDB)
	tried := 0
	check := func(f File, b []byte, what string) {
		t.Helper()
		tried++
		if err := os.WriteFile(filepath.Join(dir, f.Name), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := a.Verify(t.Context(), nil); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), f.Name+" ("+f.Of+")") {
			t.Fatalf("%s: verify says %v", what, err)
		}
		r, err := a.Read(t.Context(), f)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			r.Close()
		}
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("%s: reading says %v", what, err)
		}
	}
	for _, f := range a.Manifest.Files {
		good, err := os.ReadFile(filepath.Join(dir, f.Name))
		if err != nil {
			t.Fatal(err)
		}
		for i := range good {
			b := slices.Clone(good)
			b[i] ^= 0x20
			check(f, b, fmt.Sprintf("byte %d flipped", i))
			check(f, good[:i], fmt.Sprintf("cut at %d", i))
		}
		check(f, append(slices.Clone(good), 0), "lengthened")
		if err := os.WriteFile(filepath.Join(dir, f.Name), good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Verify(t.Context(), nil); err != nil {
		t.Fatal("restored, but:", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "more.zst"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.Verify(t.Context(), nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("a file too many: %v", err)
	}
	if err := os.Rename(filepath.Join(dir, "0000.zst"), filepath.Join(dir, "more.zst")); err != nil {
		t.Fatal(err)
	}
	if err := a.Verify(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "missing") || !strings.Contains(err.Error(), "more.zst") {
		t.Errorf("not all problems at once: %v", err)
	}
	m, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		t.Fatal(err)
	}
	for i := range m {
		b := slices.Clone(m)
		b[i] ^= 0x20
		if err := os.WriteFile(filepath.Join(dir, manifestName), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Open(t.Context(), run, MariaDB); !errors.Is(err, ErrDamaged) {
			t.Fatalf("manifest's byte %d flipped: %v", i, err)
		}
	}
	t.Logf("%d alterations of files and %d of the manifest, each found", tried, len(m))
}

func TestPlaceOfDamage(t *testing.T) {
	s := newStore(t)
	a := make2(t, s, 4*BlockSize)
	f := a.Manifest.Files[0]
	path := filepath.Join(s.at.(*directory).wholePath(run, MariaDB), f.Name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[2*BlockSize+5] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("altered between bytes %d and %d", 2*BlockSize, 3*BlockSize)
	if err := a.Verify(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v; want %q", err, want)
	}
}

// fullDisk is a disk with room for a number of bytes.
type fullDisk struct {
	realSystem
	mu   *sync.Mutex
	room *int64
}

func (d fullDisk) create(path string) (outFile, error) {
	f, err := d.realSystem.create(path)
	return &fullFile{f, d}, err
}
func (d fullDisk) free(string) (int64, error) { return *d.room, nil }

type fullFile struct {
	outFile
	d fullDisk
}

func (f *fullFile) Write(b []byte) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if n := *f.d.room; n < int64(len(b)) {
		*f.d.room = 0
		f.outFile.Write(b[:n])
		return int(n), &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	}
	*f.d.room -= int64(len(b))
	return f.outFile.Write(b)
}

// TestDiskFull fills the disk at every kind of moment: nothing is left that looks whole, the error says how much is
// needed and free, and nothing at all is left after Abort.
func TestDiskFull(t *testing.T) {
	seen := map[string]bool{}
	for room := int64(0); room < 3000; room += 37 {
		s := newStore(t)
		room := room
		s.at.(*directory).sys = fullDisk{mu: &sync.Mutex{}, room: &room}
		stage, err := fill(t.Context(), s)
		if err == nil {
			seen["enough"] = true
			continue
		}
		seen[stage] = true
		var full *NoSpaceError
		if !errors.As(err, &full) || full.Dir != s.Where() || !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("room %d, %s: %v", room, stage, err)
		}
		if e, err := s.Look(t.Context(), run, MariaDB); err != nil || e.State != Absent {
			t.Fatalf("room %d, %s: left %v, %v", room, stage, e.State, err)
		}
		if left, err := os.ReadDir(s.Where()); err != nil || len(left) != 0 {
			t.Fatalf("left behind: %v, %v", left, err)
		}
	}
	for _, stage := range []string{"begin", "chunk", "manifest", "enough"} {
		if !seen[stage] {
			t.Errorf("no try filled the disk at: %s (%v)", stage, seen)
		}
	}
}

func fill(ctx context.Context, s *Store) (stage string, err error) {
	w, err := s.Begin(ctx, run, MariaDB, 1000)
	if err != nil {
		return "begin", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Abort(ctx))
		}
	}()
	for i := range 2 {
		c, err := w.Create(ctx, fmt.Sprintf("%d.zst", i), "x")
		if err != nil {
			return "chunk", err
		}
		_, werr := c.Write(noise(3, 500))
		if _, err := c.Close(); err != nil || werr != nil {
			if _, err := w.Commit(ctx, contents()); err == nil {
				return "chunk", errors.New("a part with a failed write was committed")
			}
			return "chunk", errors.Join(werr, err)
		}
	}
	_, err = w.Commit(ctx, contents())
	return "manifest", err
}

func TestNames(t *testing.T) {
	s := newStore(t)
	for _, id := range []ID{"", ".", "..", "a/b", "A", "-a", ID(strings.Repeat("a", 65))} {
		if _, err := s.Begin(t.Context(), id, MariaDB, 0); err == nil {
			t.Errorf("id %q was taken", id)
		}
		if _, err := s.Open(t.Context(), id, MariaDB); err == nil {
			t.Errorf("id %q was opened", id)
		}
	}
	w, err := s.Begin(t.Context(), run, MariaDB, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", ".x", "../x", "a/b", "manifest.json", "É"} {
		if _, err := w.Create(t.Context(), name, "x"); err == nil {
			t.Errorf("file name %q was taken", name)
		}
	}
	if err := w.Abort(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOtherFormat(t *testing.T) {
	s := newStore(t)
	a := make2(t, s, 1)
	in := func(format int) {
		t.Helper()
		m := a.Manifest
		m.Format = format
		b, err := seal(m)
		if err == nil {
			err = os.WriteFile(filepath.Join(s.at.(*directory).wholePath(run, MariaDB), manifestName), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	in(1)
	if old, err := s.Open(t.Context(), run, MariaDB); err != nil || old.Manifest.Format != 1 || old.Verify(t.Context(), nil) != nil {
		t.Errorf("an earlier format: %v", err)
	}
	in(0)
	if _, err := s.Open(t.Context(), run, MariaDB); !errors.Is(err, ErrFormat) {
		t.Errorf("no format: %v", err)
	}
	in(Format + 1)
	if _, err := s.Open(t.Context(), run, MariaDB); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "it has format 3, and this program reads formats 1 to 2") {
		t.Errorf("another format: %v", err)
	}
	list, err := s.List(t.Context())
	if err != nil || len(list) != 1 || list[0].State != Foreign || !errors.Is(list[0].Err, ErrFormat) {
		t.Errorf("one of another format keeps the others from being listed: %+v, %v", list, err)
	}
}
