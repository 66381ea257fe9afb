package snapshot_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/cloud/storage/buckettest"
	"github.com/slipway-dev/slipway/internal/snapshot"
)

const run snapshot.ID = "20261123-010203-7f3a"

type cloud struct {
	*buckettest.Cloud
	t *testing.T
}

func newCloud(t *testing.T) *cloud { return &cloud{buckettest.New(t), t} }

func (c *cloud) store() *snapshot.Store { return snapshot.InBucket(c.Bucket(), "deep/down") }

func (c *cloud) names() (out []string) {
	c.t.Helper()
	list, err := c.Bucket().List(c.t.Context(), "")
	if err != nil {
		c.t.Fatal(err)
	}
	for _, o := range list {
		out = append(out, o.Name)
	}
	return out
}

// overwrite does what a stranger might.
func (c *cloud) overwrite(name string, body []byte) {
	c.t.Helper()
	b := c.Bucket()
	var was int64
	if _, o, err := b.Get(c.t.Context(), name, 0, 0, 1); err == nil {
		was = o.Generation
	}
	if _, err := b.Put(c.t.Context(), name, was, bytes.NewReader(body)); err != nil {
		c.t.Fatal(err)
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func file(t *testing.T, w *snapshot.Writer, name string, body []byte, note any) {
	t.Helper()
	if err := tryFile(t.Context(), w, name, body, note); err != nil {
		t.Fatal(err)
	}
}

func tryFile(ctx context.Context, w *snapshot.Writer, name string, body []byte, note any) error {
	k, err := w.Create(ctx, name, "of "+name)
	if err != nil {
		return err
	}
	if _, err := k.Write(body); err != nil {
		_, cerr := k.Close()
		return errors.Join(err, cerr)
	}
	if note != nil {
		_, err = k.CloseNoted(ctx, note)
	} else {
		_, err = k.Close()
	}
	return err
}

func commit(t *testing.T, w *snapshot.Writer) *snapshot.Artifact {
	t.Helper()
	a, err := w.Commit(t.Context(), snapshot.Contents{Tool: "test", From: "db2"})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func state(t *testing.T, s *snapshot.Store, want snapshot.State) {
	t.Helper()
	if e, err := s.Look(t.Context(), run, snapshot.MariaDB); err != nil || e.State != want {
		t.Fatalf("state %q, %v, %v; want %q", e.State, e.Err, err, want)
	}
}

// TestBucket: what goes in comes out, in files of one request and of several; it is listed; nothing of it is written again.
func TestBucket(t *testing.T) {
	c := newCloud(t)
	s := c.store()
	if s.Where() != "gs://artifacts/deep/down" {
		t.Error(s.Where())
	}
	state(t, s, snapshot.Absent)
	w, err := s.Begin(t.Context(), run, snapshot.MariaDB, 1<<50)
	if err != nil {
		t.Fatal(err)
	}
	state(t, s, snapshot.Half)
	bodies := map[string][]byte{"a.zst": {}, "b.zst": []byte("rows"), "c.zst": noise(4 << 20), "d.zst": noise(9<<20 + 17)}
	for name, body := range bodies {
		file(t, w, name, body, nil)
	}
	state(t, s, snapshot.Half)
	made := commit(t, w)
	state(t, s, snapshot.Whole)
	a, err := s.Open(t.Context(), run, snapshot.MariaDB)
	if err != nil || a.Digest != made.Digest {
		t.Fatal(err)
	}
	for _, f := range a.Manifest.Files {
		r, err := a.Read(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, bodies[f.Name]) {
			t.Errorf("%s: %v", f.Name, err)
		}
		r.Close()
	}
	if err := a.Verify(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if l, err := s.List(t.Context()); err != nil || len(l) != 1 || l[0].ID != run || l[0].State != snapshot.Whole {
		t.Errorf("%+v, %v", l, err)
	}
	before := c.names()
	if _, err := s.Begin(t.Context(), run, snapshot.MariaDB, 0); !errors.Is(err, snapshot.ErrExists) {
		t.Errorf("begun again: %v", err)
	}
	if err := s.Discard(t.Context(), run, run, snapshot.MariaDB); err != nil {
		t.Error(err)
	}
	if after := c.names(); !slices.Equal(before, after) || len(after) != 5 {
		t.Errorf("%q, and now %q", before, after)
	}
	if _, err := s.Open(t.Context(), run, snapshot.Assets); !errors.Is(err, snapshot.ErrNotFound) {
		t.Error(err)
	}
}

// TestBucketDamage: an object that is missing, torn, altered, or too many is found and named, by who verifies and by who reads.
func TestBucketDamage(t *testing.T) {
	c := newCloud(t)
	s := c.store()
	w, err := s.Begin(t.Context(), run, snapshot.MariaDB, 0)
	if err != nil {
		t.Fatal(err)
	}
	file(t, w, "a.zst", noise(700<<10), nil)
	a := commit(t, w)
	name := "deep/down/" + string(run) + "/mariadb/a.zst"
	good, _, err := c.Bucket().Get(t.Context(), name, 0, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	bad := slices.Clone(good)
	bad[300<<10] ^= 1
	for what, body := range map[string][]byte{"altered between bytes 262144 and 524288": bad, "torn: it ends at byte 1000": good[:1000], "goes on after its end": append(slices.Clone(good), 0), "torn: it ends at byte 0": {}} {
		c.overwrite(name, body)
		if err := a.Verify(t.Context(), nil); !errors.Is(err, snapshot.ErrDamaged) || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "a.zst (of a.zst)") {
			t.Errorf("%s: %v", what, err)
		}
		r, err := a.Read(t.Context(), a.Manifest.Files[0])
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			r.Close()
		}
		if !errors.Is(err, snapshot.ErrDamaged) {
			t.Errorf("%s: reading says %v", what, err)
		}
	}
	c.overwrite(name, good)
	c.overwrite("deep/down/"+string(run)+"/mariadb/more.zst", nil)
	if err := a.Verify(t.Context(), nil); !errors.Is(err, snapshot.ErrDamaged) || !strings.Contains(err.Error(), "more.zst") {
		t.Errorf("one too many: %v", err)
	}
	c.overwrite("deep/down/"+string(run)+"/mariadb/manifest.json", []byte("{}"))
	state(t, s, snapshot.Damaged)
	c.overwrite("deep/down/20261123-010203-0000/mariadb/theirs", nil)
	if _, err := s.Begin(t.Context(), "20261123-010203-0000", snapshot.MariaDB, 0); err == nil || !strings.Contains(err.Error(), "such as theirs") {
		t.Errorf("among somebody's objects: %v", err)
	}
	if n := c.names(); !slices.Contains(n, "deep/down/20261123-010203-0000/mariadb/theirs") || len(n) != 4 {
		t.Errorf("there is %q", n)
	}
}

// TestBucketWriters: the process that began later has the part. The other can neither finish it nor spoil it.
func TestBucketWriters(t *testing.T) {
	c := newCloud(t)
	begin := func() *snapshot.Writer {
		t.Helper()
		w, err := c.store().Begin(t.Context(), run, snapshot.MariaDB, 0)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	w1 := begin()
	file(t, w1, "a.zst", []byte("first"), nil)
	w2 := begin()
	file(t, w1, "late.zst", []byte("first"), nil) // as a request that was on its way
	file(t, w2, "a.zst", []byte("second"), nil)
	if _, err := w1.Commit(t.Context(), snapshot.Contents{}); !errors.Is(err, snapshot.ErrBusy) && !errors.Is(err, snapshot.ErrDamaged) {
		t.Errorf("the first finished it: %v", err)
	}
	if err := w1.Abort(t.Context()); err != nil {
		t.Error(err)
	}
	a := commit(t, w2)
	if err := a.Verify(t.Context(), nil); err != nil || len(a.Manifest.Files) != 1 {
		t.Errorf("%v, %+v", err, a.Manifest.Files)
	}
	if err := w1.Abort(t.Context()); err != nil {
		t.Error(err)
	}
	if n := c.names(); len(n) != 2 {
		t.Errorf("there is %q", n)
	}

	// With equal files, only the claim keeps them apart.
	id := snapshot.ID("20261123-010203-0001")
	store := c.store()
	w1, err := store.Begin(t.Context(), id, snapshot.Assets, 0)
	if err != nil {
		t.Fatal(err)
	}
	w2, _, err = store.Resume(t.Context(), id, snapshot.Assets, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w1.Commit(t.Context(), snapshot.Contents{}); !errors.Is(err, snapshot.ErrBusy) {
		t.Errorf("the first finished it: %v", err)
	}
	if err := store.Discard(t.Context(), id, id, snapshot.Assets); err != nil {
		t.Error(err)
	}
	if _, err := w2.Commit(t.Context(), snapshot.Contents{}); !errors.Is(err, snapshot.ErrBusy) {
		t.Errorf("finished after it was discarded: %v", err)
	}
	if n := c.names(); len(n) != 2 {
		t.Errorf("there is %q", n)
	}
}

// TestBucketKilled ends the process before, and behind, each of its requests in turn: what is there then is no snapshot, or the whole
// one; the next attempt goes on, and nothing is left that isn't the snapshot's. An attempt that goes on keeps what was noted.
func TestBucketKilled(t *testing.T) {
	names := []string{"a", "b", "c"}
	attempt := func(ctx context.Context, s *snapshot.Store) (kept int, err error) {
		w, left, err := s.Resume(ctx, run, snapshot.MariaDB, 0)
		if err != nil {
			return 0, err
		}
		for _, n := range names {
			if slices.ContainsFunc(left, func(k snapshot.Kept) bool { return k.File.Name == n }) {
				kept++
				continue
			}
			if err := tryFile(ctx, w, n, []byte("rows of "+n), "noted"); err != nil {
				return kept, err
			}
		}
		_, err = w.Commit(ctx, snapshot.Contents{Tool: "test"})
		return kept, err
	}
	kept, ends := 0, false
	for at := 1; !ends; at++ {
		for _, behind := range []bool{false, true} {
			c := newCloud(t)
			ctx, kill := context.WithCancel(t.Context())
			n := 0
			hook := func(*http.Request) bool {
				if n++; n >= at {
					kill()
					return false
				}
				return true
			}
			var mu sync.Mutex
			one := func(r *http.Request) bool { mu.Lock(); defer mu.Unlock(); return hook(r) }
			if behind {
				c.Hook(nil, one)
			} else {
				c.Hook(one, nil)
			}
			_, err := attempt(ctx, c.store())
			killed := ctx.Err() != nil
			kill()
			c.Hook(nil, nil)
			if !killed {
				if err != nil {
					t.Fatal(err)
				}
				ends = true
				continue
			}
			e, err := c.store().Look(t.Context(), run, snapshot.MariaDB)
			if err != nil || e.State != snapshot.Absent && e.State != snapshot.Half && e.State != snapshot.Whole {
				t.Fatalf("request %d: %+v, %v", at, e, err)
			}
			if e.State != snapshot.Whole {
				k, err := attempt(t.Context(), c.store())
				if err != nil {
					t.Fatalf("request %d, behind %v: the next attempt: %v", at, behind, err)
				}
				kept += k
			}
			a, err := c.store().Open(t.Context(), run, snapshot.MariaDB)
			if err == nil {
				err = a.Verify(t.Context(), nil)
			}
			if err != nil || len(a.Manifest.Files) != 3 || len(c.names()) != 4 {
				t.Fatalf("request %d, behind %v: %v, %q", at, behind, err, c.names())
			}
		}
	}
	if kept == 0 {
		t.Error("no attempt found what an earlier one had noted")
	}
}

// TestBucketUploadFails: an upload whose answer is lost is its own; one that is refused, or breaks off, leaves no object.
func TestBucketUploadFails(t *testing.T) {
	c := newCloud(t)
	s := c.store()
	lose := func(method, path string) func(*http.Request) bool {
		lost := false
		return func(r *http.Request) bool {
			if !lost && r.Method == method && strings.HasPrefix(r.URL.Path, path) {
				lost = true
				return false
			}
			return true
		}
	}
	c.Hook(nil, lose("POST", "/upload/"))
	w, err := s.Begin(t.Context(), run, snapshot.MariaDB, 0)
	if err != nil {
		t.Fatalf("the claim's answer was lost: %v", err)
	}
	for i := range 3 {
		c.Hook(nil, lose("POST", "/upload/"))
		file(t, w, fmt.Sprintf("%d.zst", i), noise(1000), nil)
	}
	c.Hook(nil, nil)
	k, err := w.Create(t.Context(), "given-up", "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Write(noise(9 << 20)); err != nil {
		t.Fatal(err)
	}
	if err := k.Discard(t.Context()); err != nil {
		t.Error(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	k, err = w.Create(ctx, "stopped", "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Write(noise(5 << 20)); err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := k.Close(); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	if n := c.names(); len(n) != 4 {
		t.Errorf("there is %q", n)
	}
	if _, err := w.Commit(t.Context(), snapshot.Contents{}); err == nil {
		t.Error("a part with a failed file was made whole")
	}
	if err := w.Abort(ctx); err != nil { // though its context has ended
		t.Error(err)
	}
	if n := c.names(); len(n) != 0 {
		t.Errorf("left: %q", n)
	}
	state(t, s, snapshot.Absent)
}
