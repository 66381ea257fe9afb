//go:build lab

package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/labtest"
)

var update = flag.Bool("update", false, "rewrite testdata/plan.golden")

// TestPlan: the same inputs print the same plan, byte for byte, and it is the one that is committed.
func TestPlan(t *testing.T) {
	s := newDesk(t, labtest.Join(t))
	plan := s.must(t, exitDone, "plan")
	if again := s.must(t, exitDone, "plan"); again != plan {
		t.Errorf("the second plan is another:\n%s\n%s", plan, again)
	}
	if _, err := os.Stat(filepath.Join(s.dir, ".slipway")); !os.IsNotExist(err) {
		t.Errorf("a plan leaves something behind: %v", err)
	}
	// What depends on the test's directory and on the lab's size.
	plan = strings.ReplaceAll(plan, s.dir, "DIR")
	plan = regexp.MustCompile(`shop-assets: \d+Mi`).ReplaceAllString(plan, "shop-assets: SIZE")
	plan = regexp.MustCompile(`/assets/\S+: an image`).ReplaceAllString(plan, "/assets/PICTURE: an image")
	golden := filepath.Join("testdata", "plan.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(plan), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if plan != string(want) {
		t.Errorf("the plan is not testdata/plan.golden any more (-update rewrites it):\n%s", plan)
	}
}
