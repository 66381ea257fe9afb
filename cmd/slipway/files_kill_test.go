package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/treecopy/pass"
)

// TestFilesKilled: a copy that is killed with SIGKILL again and again while it works goes on where it was each time, and in the end everything is there
// and nothing half made.
func TestFilesKilled(t *testing.T) {
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	const files, size = 60, 256 << 10
	for _, d := range []string{src, dst} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-time.Hour)
	for i := range files {
		name := filepath.Join(src, fmt.Sprint(i))
		if err := errors.Join(os.WriteFile(name, bytes.Repeat([]byte{byte(i)}, size), 0o644), os.Chtimes(name, old, old)); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(2100 * time.Millisecond) // what was changed right before it is read is read again
	run := func(args ...string) *exec.Cmd {
		cmd := exec.Command("slipway", append([]string{"files", "copy", src, dst, "--state", filepath.Join(dir, "state"), "-o", "json", "--parallel", "1"}, args...)...)
		cmd.Stderr = os.Stderr
		return cmd
	}
	log := func() (n int64) {
		names, err := filepath.Glob(filepath.Join(dir, "state", "files", "*", "log"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if info, err := os.Stat(name); err == nil {
				n += info.Size()
			}
		}
		return n
	}
	for kill := range 3 {
		before := log()
		cmd := run("--rate", "8M", "--batch", "1M")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(soon); log() == before; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Error("nothing was recorded")
				break
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Fatalf("the copy ended before it was killed for the %d. time", kill+1)
		}
	}
	out, err := run().Output()
	var r pass.Report
	if err := errors.Join(err, json.Unmarshal(out, &r)); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if r.Kept < 3*4 || r.Sent+r.Kept != files || r.Adopted != 0 {
		t.Errorf("%d were kept, %d sent", r.Kept, r.Sent)
	}
	seen := 0
	err = filepath.WalkDir(dst, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		seen++
		a, err := os.ReadFile(name)
		b, other := os.ReadFile(filepath.Join(src, filepath.Base(name)))
		if sha256.Sum256(a) != sha256.Sum256(b) {
			t.Errorf("%s differs", name)
		}
		return errors.Join(err, other)
	})
	if err != nil || seen != files {
		t.Errorf("%v; %d files", err, seen)
	}
}
