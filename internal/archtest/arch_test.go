package archtest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// root is the module's root: the directory above this one that has a go.mod.
func root(t *testing.T) string {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		above := filepath.Dir(dir)
		if above == dir {
			t.Fatal("there is no go.mod above")
		}
		dir = above
	}
}

func TestArchitecture(t *testing.T) {
	tr, err := readTree(os.DirFS(root(t)))
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, f := range r.check(tr) {
				key := r.name + " " + f.path
				if exceptions[key] != "" {
					used[key] = true
					continue
				}
				t.Errorf("%s: %s", f.path, f.text)
			}
		})
	}
	for key := range exceptions {
		there := slices.ContainsFunc(tr.files, func(f *file) bool { return strings.HasSuffix(key, " "+f.path) })
		if there && !used[key] {
			t.Errorf("the exception %q is not needed any more", key)
		}
	}
}

// TestRulesCanFail gives each rule little trees that break it, and one that keeps it.
func TestRulesCanFail(t *testing.T) {
	for _, x := range []struct {
		rule, name string
		files      map[string]string // path -> source after the package clause
		want       string            // "" when it is kept
	}{
		{"imports", "the way down", map[string]string{
			"cmd/slipway/main.go": imports("runbooks", "steps/dns", "migrate", "migrate/journal", "internal/ui"), "runbooks/r.go": imports("steps/dns", "migrate", "internal/config"),
			"steps/dns/s.go": imports("migrate", "internal/zone", "inventory", "steps/dns/data"), "migrate/m.go": imports("migrate/journal"), "cmd/slipway-lab/main.go": imports("internal/lab/fleet"),
			"internal/lab/fleet/f.go": imports("internal/remote"), "internal/ui/u.go": imports("migrate"), "steps/dns/s_test.go": imports("migrate/steptest", "internal/lab/labtest")}, ""},
		{"imports", "journal of the engine", map[string]string{"migrate/journal/j.go": imports("migrate")}, "migrate/journal must not import migrate"},
		{"imports", "engine of a step", map[string]string{"migrate/m.go": imports("steps/dns")}, "migrate must not import steps/dns"},
		{"imports", "engine of internal", map[string]string{"migrate/m.go": imports("internal/secret")}, "migrate must not import internal/secret"},
		{"imports", "engine of the crashable disk", map[string]string{"migrate/m.go": imports("migrate/journal/crashfs")}, "must not import migrate/journal/crashfs"},
		{"imports", "step of a step", map[string]string{"steps/dns/s.go": imports("steps/mariadb")}, "steps/dns must not import steps/mariadb"},
		{"imports", "step of the journal", map[string]string{"steps/dns/s.go": imports("migrate/journal")}, "steps/dns must not import migrate/journal"},
		{"imports", "step of the configuration", map[string]string{"steps/dns/s.go": imports("internal/config")}, "must not import internal/config"},
		{"imports", "step of the lab", map[string]string{"steps/dns/s.go": imports("internal/lab/names")}, "must not import internal/lab/names"},
		{"imports", "step of a runbook", map[string]string{"steps/dns/s.go": imports("runbooks")}, "must not import runbooks"},
		{"imports", "runbook of cmd", map[string]string{"runbooks/r.go": imports("cmd/slipway")}, "must not import cmd/slipway"},
		{"imports", "runbook of the terminal", map[string]string{"runbooks/r.go": imports("internal/ui")}, "must not import internal/ui"},
		{"imports", "a tree of anything", map[string]string{"internal/treecopy/tree/t.go": imports("internal/errlist")}, "internal/treecopy/tree must not import internal/errlist"},
		{"imports", "a disk of SSH", map[string]string{"internal/treecopy/disk/d.go": imports("internal/treecopy/tree", "internal/remote")}, "internal/treecopy/disk must not import internal/remote"},
		{"imports", "internal of the engine", map[string]string{"internal/google/g.go": imports("migrate")}, "internal/google must not import migrate"},
		{"imports", "internal of a step", map[string]string{"internal/kube/k.go": imports("steps/cluster")}, "must not import steps/cluster"},
		{"imports", "internal of the lab", map[string]string{"internal/kube/k.go": imports("internal/lab/cloud")}, "must not import internal/lab/cloud"},
		{"imports", "product of the lab", map[string]string{"cmd/slipway/main.go": imports("internal/lab/cloud")}, "cmd/slipway must not import internal/lab/cloud"},
		{"imports", "lab of the engine", map[string]string{"internal/lab/proof/p.go": imports("migrate")}, "internal/lab/proof must not import migrate"},
		{"imports", "lab's program of the engine", map[string]string{"cmd/slipway-lab/main.go": imports("migrate")}, "cmd/slipway-lab must not import migrate"},
		{"imports", "inventory of a step", map[string]string{"inventory/i.go": imports("steps/hosts")}, "inventory must not import steps/hosts"},
		{"imports", "product of the suite", map[string]string{"cmd/slipway/main.go": imports("migrate/steptest")}, "must not import migrate/steptest"},
		{"imports", "agent of its parts", map[string]string{"cmd/slipway-agent/main.go": imports("internal/treecopy/agent", "internal/treecopy/disk", "internal/treecopy/tree")}, ""},
		{"imports", "agent of SSH", map[string]string{"cmd/slipway-agent/main.go": imports("internal/remote")}, "cmd/slipway-agent must not import internal/remote"},
		{"imports", "agent's protocol of the disk", map[string]string{"internal/treecopy/agent/a.go": imports("internal/treecopy/disk")}, "must not import internal/treecopy/disk"},
		{"imports", "pass of a place", map[string]string{"internal/treecopy/pass/p.go": imports("internal/treecopy/place")}, "must not import internal/treecopy/place"},
		{"imports", "tree of anything", map[string]string{"internal/treecopy/tree/t.go": imports("internal/stamp")}, "must not import internal/stamp"},
		{"imports", "elsewhere", map[string]string{"pkg/util/u.go": ""}, "stands in no layer"},

		{"agent is small", "standard library", map[string]string{"internal/treecopy/disk/d.go": plain("context", "golang.org/x/sys/unix"), "internal/treecopy/place/p.go": plain("net")}, ""},
		{"agent is small", "network", map[string]string{"cmd/slipway-agent/main.go": plain("net/http")}, "must not import net/http"},
		{"agent is small", "module", map[string]string{"internal/treecopy/tree/t.go": plain("golang.org/x/sync/errgroup")}, "must not import golang.org/x/sync/errgroup"},
		{"engine is alone", "standard library", map[string]string{"migrate/m.go": plain("context", "github.com/hashicorp/go-multierror")}, ""},
		{"engine is alone", "ssh", map[string]string{"migrate/m.go": plain("golang.org/x/crypto/ssh")}, "must not import golang.org/x/crypto/ssh"},
		{"engine is alone", "sql", map[string]string{"migrate/journal/m.go": plain("database/sql/driver")}, "must not import database/sql/driver"},
		{"engine is alone", "kubernetes", map[string]string{"migrate/steptest/m.go": plain("k8s.io/client-go/kubernetes")}, "must not import k8s.io"},

		{"process is cmd's", "cmd", map[string]string{"cmd/slipway/main.go": plain("os/signal", "flag", "os") + "func main() { os.Exit(len(os.Args)) }"}, ""},
		{"process is cmd's", "a program in a machine", map[string]string{"internal/lab/image/pause/main.go": program + plain("os/signal")}, ""},
		{"process is cmd's", "a program elsewhere", map[string]string{"internal/kube/tool/main.go": program + plain("os/signal")}, "only cmd may import os/signal"},
		{"process is cmd's", "signals", map[string]string{"migrate/m.go": plain("os/signal")}, "only cmd may import os/signal"},
		{"process is cmd's", "cobra", map[string]string{"internal/ui/u.go": plain("github.com/spf13/cobra")}, "only cmd may import github.com/spf13/cobra"},
		{"process is cmd's", "exit", map[string]string{"steps/dns/s.go": plain("os") + "func f() { os.Exit(1) }"}, "only cmd may use os.Exit"},
		{"process is cmd's", "exit by another name", map[string]string{"steps/dns/s.go": `import sys "os"` + "\nvar exit = sys.Exit"}, "only cmd may use os.Exit"},
		{"process is cmd's", "fatal", map[string]string{"internal/kube/k.go": plain("log") + `func f() { log.Fatalf("x") }`}, "only cmd may use log.Fatalf"},

		{"production in one file", "one file", map[string]string{"cmd/slipway/production.go": imports("migrate", "internal/remote") + "var a, b = migrate.Real, remote.NewActor", "cmd/slipway/x.go": imports("migrate") + "var a = migrate.Maker"}, ""},
		{"production in one file", "two files", map[string]string{"cmd/slipway/a.go": imports("migrate") + "var a = migrate.Real", "cmd/slipway/b.go": imports("internal/remote") + "var a = remote.NewActor"}, "is used in cmd/slipway/a.go already"},
		{"production in one file", "zones elsewhere than hands", map[string]string{"cmd/slipway/a.go": imports("migrate") + "var a = migrate.Real", "cmd/slipway/b.go": imports("internal/zone") + "var a, b = zone.NewOVH, zone.OpenCloudDNS"}, ""},
		{"production in one file", "zones in two files", map[string]string{"cmd/slipway/a.go": imports("internal/zone") + "var a = zone.NewOVH", "cmd/slipway/b.go": imports("internal/zone") + "var a = zone.OpenCloudDNS"}, "is used in cmd/slipway/a.go already"},
		{"production in one file", "a zone in a step", map[string]string{"steps/dns/s.go": imports("internal/zone") + "var a = zone.NewOVH"}, "zone.NewOVH is for one file of cmd/slipway"},
		{"production in one file", "a runbook", map[string]string{"runbooks/r.go": imports("migrate") + "func f() { migrate.Real(nil) }"}, "migrate.Real is for one file of cmd/slipway"},
		{"production in one file", "by another name", map[string]string{"runbooks/r.go": `import m "example.com/m/migrate"` + "\nfunc f() { m.Real[int](nil) }"}, "migrate.Real is for one file of cmd/slipway"},
		{"production in one file", "with a dot", map[string]string{"runbooks/r.go": `import . "example.com/m/migrate"` + "\nfunc f() { Real(nil) }"}, "with a dot"},

		{"no init", "a method", map[string]string{"migrate/m.go": "type t int\nfunc (t) init() {}"}, ""},
		{"no init", "a function", map[string]string{"migrate/m_test.go": "func init() {}"}, "has an init function"},

		{"file length", "600", map[string]string{"migrate/m.go": strings.Repeat("\n", 599)}, ""},
		{"file length", "601", map[string]string{"migrate/m_test.go": strings.Repeat("\n", 600)}, "has 601 lines"},

		{"no skips", "none", map[string]string{"migrate/m_test.go": plain("testing") + "func TestX(t *testing.T) { t.Log() }", "migrate/m.go": "func f(s scanner) { s.Skip() }"}, ""},
		{"no skips", "skip", map[string]string{"migrate/m_test.go": plain("testing") + `func TestX(t *testing.T) { t.Skip("no root") }`}, "a test must not be skipped"},
		{"no skips", "skip in a helper", map[string]string{"internal/lab/labtest/l.go": plain("testing") + `func need(tb testing.TB) { tb.SkipNow() }`}, "a test must not be skipped"},
		{"no skips", "short", map[string]string{"migrate/m_test.go": plain("testing") + `func TestX(t *testing.T) { if testing.Short() { return } }`}, "testing.Short leaves something out"},

		{"error lists", "errlist's", map[string]string{"internal/errlist/e.go": plain("example.org/multierror") + `func f(l *multierror.Error) error { return l.ErrorOrNil() }`}, ""},
		{"error lists", "go-multierror's own format", map[string]string{"steps/dns/x.go": plain("example.org/multierror") + `var err = (*multierror.Error)(nil).ErrorOrNil()`}, "a list of errors ends in errlist.OrNil"},

		{"context", "first", map[string]string{"migrate/m.go": plain("context") + "type s struct { f func(context.Context, int) }\nfunc (s) f2(ctx, life context.Context, n int) {}"}, ""},
		{"context", "stored", map[string]string{"migrate/m.go": plain("context") + "type s struct { ctx context.Context }"}, "stores a context"},
		{"context", "embedded", map[string]string{"migrate/m.go": plain("context") + "type s struct { context.Context }"}, "stores a context"},
		{"context", "second", map[string]string{"migrate/m.go": plain("context") + "func f(n int, ctx context.Context) {}"}, "must be the first argument"},

		{"package comment", "there", map[string]string{"migrate/m.go": "", "migrate/doc.go": commented}, ""},
		{"package comment", "missing", map[string]string{"migrate/m.go": ""}, "package migrate has no comment"},
		{"package comment", "in a test only", map[string]string{"migrate/m.go": "", "migrate/m_test.go": commented}, "package migrate has no comment"},

		{"testing is for tests", "tests", map[string]string{"migrate/steptest/s.go": plain("testing"), "migrate/m_test.go": plain("testing")}, ""},
		{"testing is for tests", "product", map[string]string{"migrate/m.go": plain("testing/fstest")}, "imports testing/fstest and is no test"},
	} {
		t.Run(x.rule+"/"+x.name, func(t *testing.T) {
			fsys := fstest.MapFS{"go.mod": {Data: []byte("module example.com/m\n")}}
			for name, src := range x.files {
				clause := "package p\n"
				if src == commented {
					clause, src = commented+clause, ""
				}
				if rest, ok := strings.CutPrefix(src, program); ok {
					clause, src = program, rest
				}
				fsys[name] = &fstest.MapFile{Data: []byte(clause + src)}
			}
			tr, err := readTree(fsys)
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			for _, r := range rules {
				if r.name != x.rule {
					continue
				}
				for _, f := range r.check(tr) {
					said = append(said, f.text)
				}
			}
			text := strings.Join(said, "\n")
			if x.want == "" && text != "" || !strings.Contains(text, x.want) {
				t.Errorf("it says %q, not %q", text, x.want)
			}
		})
	}
}

const program = "package main\n"

const commented = "// Package p is for tests.\n"

// imports are imports of the module.
func imports(pkgs ...string) string {
	var all []string
	for _, p := range pkgs {
		all = append(all, "example.com/m/"+p)
	}
	return plain(all...)
}

func plain(pkgs ...string) string {
	var b strings.Builder
	for _, p := range pkgs {
		b.WriteString("import \"" + p + "\"\n")
	}
	return b.String()
}

// Every rule has a tree that breaks it.
func TestEveryRuleIsTried(t *testing.T) {
	src, err := os.ReadFile("arch_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		if strings.Count(string(src), `{"`+r.name+`", "`) < 2 {
			t.Errorf("rule %q has no tree that breaks it and one that keeps it", r.name)
		}
	}
}

// What isn't the module's code is left out.
func TestReadTree(t *testing.T) {
	tr, err := readTree(fstest.MapFS{
		"go.mod":                   {Data: []byte("module example.com/m\n\ngo 1.26\n")},
		"migrate/m.go":             {Data: []byte("//go:build lab\n\npackage migrate\n")},
		"migrate/testdata/x/x.go":  {Data: []byte("not go")},
		".git/x.go":                {Data: []byte("not go")},
		"migrate/_x.go":            {Data: []byte("not go")},
		"docs/x.md":                {Data: []byte("not go")},
		"node_modules/a/b/init.go": {Data: []byte("not go")},
		"internal/x/go.mod":        {Data: []byte("module example.com/x\n")},
		"internal/x/x.go":          {Data: []byte("not go")},
	})
	if err != nil || len(tr.files) != 1 || tr.module != "example.com/m" {
		t.Errorf("%+v %v", tr, err)
	}
	for _, bad := range []fstest.MapFS{{}, {"go.mod": {Data: []byte("go 1.26\n")}}, {"go.mod": {Data: []byte("module m\n")}, "x.go": {Data: []byte("not go")}}} {
		if _, err := readTree(bad); err == nil {
			t.Errorf("%v was read", bad)
		}
	}
}
