package kubernetes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/progress"
)

func TestFollowCountsPackages(t *testing.T) {
	var said []progress.Report
	task := progress.Begin(func(r progress.Report) { said = append(said, r) }, "build")
	var last lines
	if err := follow(strings.NewReader("a/b\nc/d\ne/f\ng/h\n"), 3, task, &last); err != nil {
		t.Fatal(err)
	}
	end := said[len(said)-1]
	if end.Done != 3 || end.Total != 3 || end.Note != "packages; now g/h" {
		t.Errorf("%+v", end)
	}
	if last.String() != "a/b\nc/d\ne/f\ng/h" {
		t.Errorf("kept %q", last.String())
	}
}

// TestFindSource: from a package's directory it is the repository; from elsewhere an error that says what to do.
func TestFindSource(t *testing.T) {
	root, err := FindSource()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "internal/lab/kubernetes/build/kube/main.go")); err != nil {
		t.Error(err)
	}
	t.Chdir(t.TempDir())
	if _, err := FindSource(); err == nil || !strings.Contains(err.Error(), "run it from a clone") {
		t.Errorf("from nowhere: %v", err)
	}
}

// TestKeyFollowsSource: another source is another build.
func TestKeyFollowsSource(t *testing.T) {
	dir := t.TempDir()
	b := &Builder{source: dir}
	write := func(content string) string {
		if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		key, err := b.sourceKey("go version go1.26.8 linux/amd64")
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	one, two, again := write("package a"), write("package b"), write("package a")
	if one == two || one != again {
		t.Errorf("keys %s, %s, %s", one, two, again)
	}
}
