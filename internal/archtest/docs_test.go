package archtest

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// documents gives the Markdown files of a module, by path.
func documents(t *testing.T, fsys fs.FS) map[string]string {
	t.Helper()
	docs := map[string]string{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() && name != "." && (base == "testdata" || base == "bin" || base[0] == '.' || base[0] == '_') {
			return fs.SkipDir
		}
		if d.IsDir() || path.Ext(name) != ".md" {
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		docs[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

var (
	fenced  = regexp.MustCompile("(?ms)^```.*?^```$")
	quoted  = regexp.MustCompile("`[^`\n]*`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	outside = regexp.MustCompile(`^(https?|mailto):`)
)

// anchor is the name that a heading has in links.
func anchor(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(heading)) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 0x7f:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// deadLinks are the links of documents to files and headings that aren't there.
func deadLinks(fsys fs.FS, docs map[string]string) (bad []string) {
	for name, text := range docs {
		plain := quoted.ReplaceAllString(fenced.ReplaceAllString(text, ""), "")
		for _, m := range link.FindAllStringSubmatch(plain, -1) {
			if outside.MatchString(m[1]) {
				continue
			}
			file, at, _ := strings.Cut(m[1], "#")
			to := name
			if file != "" {
				to = path.Join(path.Dir(name), file)
			}
			if _, err := fs.Stat(fsys, to); err != nil {
				bad = append(bad, fmt.Sprintf("%s: %s leads to %s, which isn't there", name, m[1], to))
				continue
			}
			there := func(h []string) bool { return anchor(h[1]) == at }
			if at != "" && !slices.ContainsFunc(heading.FindAllStringSubmatch(fenced.ReplaceAllString(docs[to], ""), -1), there) {
				bad = append(bad, fmt.Sprintf("%s: %s: %s has no such heading", name, m[1], to))
			}
		}
	}
	slices.Sort(bad)
	return bad
}

func TestLinks(t *testing.T) {
	fsys := os.DirFS(root(t))
	docs := documents(t, fsys)
	if len(docs) < 10 {
		t.Fatalf("%d documents", len(docs))
	}
	for _, b := range deadLinks(fsys, docs) {
		t.Error(b)
	}
}

func TestLinksCanFail(t *testing.T) {
	fsys := fstest.MapFS{
		"README.md":   {Data: []byte("[a](docs/a.md) [b](docs/b.md) [c](docs/a.md#what-it-s-not) [d](#here) [e](https://example.com/x) `[f](x)`\n```\n[g](y)\n# here\n```\n")},
		"docs/a.md":   {Data: []byte("# What it's not\n[up](../README.md)\n")},
		"docs/b/c.md": {Data: []byte("nothing\n")},
	}
	want := []string{
		"README.md: #here: README.md has no such heading",
		"README.md: docs/a.md#what-it-s-not: docs/a.md has no such heading",
		"README.md: docs/b.md leads to docs/b.md, which isn't there",
	}
	if got := deadLinks(fsys, documents(t, fsys)); !slices.Equal(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
}

// unfinished is what a document has where something is still to be filled in.
var unfinished = regexp.MustCompile(`@@[A-Z]+@@|\{\{[A-Z]+\}\}|\b(MEASURE|TODO|FIXME|XXX)\b`)

func TestUnfinished(t *testing.T) {
	for name, text := range documents(t, os.DirFS(root(t))) {
		if m := unfinished.FindString(text); m != "" {
			t.Errorf("%s has %s", name, m)
		}
	}
	for _, bad := range []string{"it takes @@FIGURES@@", "version {{VERSION}}", "MEASURE: x", "TODO"} {
		if !unfinished.MatchString(bad) {
			t.Errorf("%q is not found", bad)
		}
	}
}

var named = regexp.MustCompile(`\bdocs/[A-Za-z_/-]+\.md\b`)

// TestNamedDocuments: what the program's texts and comments tell a person to read is there.
func TestNamedDocuments(t *testing.T) {
	fsys := os.DirFS(root(t))
	tr, err := readTree(fsys)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range tr.files {
		if f.pkg == "internal/archtest" {
			continue
		}
		src, err := fs.ReadFile(fsys, f.path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range named.FindAllString(string(src), -1) {
			seen++
			if _, err := fs.Stat(fsys, name); err != nil {
				t.Errorf("%s names %s, which isn't there", f.path, name)
			}
		}
	}
	if seen == 0 {
		t.Error("no file names a document")
	}
}

// direct gives the direct requirements of a go.mod, and the modules of its tools, which it calls indirect.
func direct(mod string) (out []string) {
	inside := false
	var tools []string
	for line := range strings.Lines(mod) {
		if tool, ok := strings.CutPrefix(strings.TrimSpace(line), "tool "); ok {
			tools = append(tools, strings.TrimSpace(tool))
		}
	}
	isTool := func(line string) bool {
		f := strings.Fields(line)
		return inside && len(f) > 0 && slices.ContainsFunc(tools, func(t string) bool { return under(t, f[0]) })
	}
	for line := range strings.Lines(mod) {
		line = strings.TrimSpace(line)
		switch {
		case line == "require (":
			inside = true
		case line == ")":
			inside = false
		case isTool(line):
			out = append(out, strings.Fields(line)[0])
		case strings.HasSuffix(line, "// indirect"), line == "", strings.HasPrefix(line, "//"):
		case inside, strings.HasPrefix(line, "require "):
			out = append(out, strings.Fields(strings.TrimPrefix(line, "require "))[0])
		}
	}
	slices.Sort(out)
	return out
}

var module = regexp.MustCompile("(?m)^\\| `([a-z0-9.-]+\\.[a-z]+/[^`]+)` \\|")

// requirements compares a go.mod with the section of docs/dependencies.md that is about it.
func requirements(mod, section string) (bad []string) {
	var have []string
	for _, m := range module.FindAllStringSubmatch(section, -1) {
		if slices.Contains(have, m[1]) {
			bad = append(bad, m[1]+" has two lines")
		}
		have = append(have, m[1])
	}
	want := direct(mod)
	for _, w := range want {
		if !slices.Contains(have, w) {
			bad = append(bad, w+" is required and has no line")
		}
	}
	for _, h := range have {
		if !slices.Contains(want, h) {
			bad = append(bad, h+" has a line and is not required")
		}
	}
	return bad
}

// section is what stands below a heading, up to the next of its level.
func section(text, heading string) string {
	_, rest, found := strings.Cut(text, "\n"+heading+"\n")
	if !found {
		return ""
	}
	level := strings.Fields(heading)[0]
	body, _, _ := strings.Cut(rest, "\n"+level+" ")
	return body
}

func TestDependencies(t *testing.T) {
	fsys := os.DirFS(root(t))
	page, err := fs.ReadFile(fsys, "docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ mod, heading string }{
		{"go.mod", "## Go modules"},
		{"internal/lab/kubernetes/build/go.mod", "## Go modules of the lab's Kubernetes"},
	} {
		mod, err := fs.ReadFile(fsys, x.mod)
		if err != nil {
			t.Fatal(err)
		}
		if len(direct(string(mod))) == 0 {
			t.Errorf("%s requires nothing", x.mod)
		}
		for _, b := range requirements(string(mod), section(string(page), x.heading)) {
			t.Errorf("docs/dependencies.md, %s: %s", x.heading, b)
		}
	}
}

func TestDependenciesCanFail(t *testing.T) {
	mod := "module m\n\nrequire example.com/one v1.0.0\n\nrequire (\n\texample.com/two v1.0.0\n\texample.com/three v1.0.0 // indirect\n\texample.com/four v1.0.0 // indirect\n)\n\ntool example.com/four/cmd/x\n"
	page := "# D\n\n## A\n| module | why |\n|---|---|\n| `example.com/one` | x |\n| `example.com/one` | x |\n| `example.com/three` | x |\n\n## B\n| `example.com/two` | x |\n"
	want := []string{"example.com/one has two lines", "example.com/four is required and has no line", "example.com/two is required and has no line", "example.com/three has a line and is not required"}
	if got := requirements(mod, section(page, "## A")); !slices.Equal(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
}

// TestWalk: the Go in docs/adding-a-step.md is that of the real step, word for word.
func TestWalk(t *testing.T) {
	fsys := os.DirFS(root(t))
	read := func(name string) string {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	code := ""
	for _, f := range []string{"steps/cluster/namespace.go", "steps/cluster/objects_test.go", "steps/dns/flip.go", "runbooks/phases.go"} {
		code += read(f)
	}
	blocks := strings.Split(read("docs/adding-a-step.md"), "```go\n")[1:]
	if len(blocks) < 8 {
		t.Errorf("%d blocks of Go", len(blocks))
	}
	for _, b := range blocks {
		if b, _, _ = strings.Cut(b, "```"); !strings.Contains(code, b) {
			t.Errorf("this is in the document and not in the code:\n%s", b)
		}
	}
}

var (
	eventName = regexp.MustCompile(`\) Name\(\) string +\{ return "([a-z-]+)" \}`)
	runState  = regexp.MustCompile(`(?m)^\tState[A-Za-z]+ +State += "([a-z ]+)"`)
	exitCode  = regexp.MustCompile(`(?m)^\texit[A-Za-z]+ += ([0-9])$`)
)

// TestContract: what scripts rely on (events, states, exit codes) is in the documents.
func TestContract(t *testing.T) {
	fsys := os.DirFS(root(t))
	for _, x := range []struct {
		code string
		find *regexp.Regexp
		doc  string
		as   string // how the document shows it
		list int
	}{
		{"migrate/event.go", eventName, "docs/json.md", "`%s`", 20},
		{"migrate/history.go", runState, "docs/json.md", "`%s`", 8},
		{"cmd/slipway/exit.go", exitCode, "docs/errors.md", "\n| %s | ", 7},
		{"cmd/slipway/exit.go", exitCode, "README.md", "\n| %s | ", 7},
	} {
		code, err := fs.ReadFile(fsys, x.code)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := fs.ReadFile(fsys, x.doc)
		if err != nil {
			t.Fatal(err)
		}
		found := x.find.FindAllStringSubmatch(string(code), -1)
		if len(found) < x.list {
			t.Errorf("%s: %d found, and there were %d", x.code, len(found), x.list)
		}
		for _, m := range found {
			if !strings.Contains(string(doc), fmt.Sprintf(x.as, m[1])) {
				t.Errorf("%s has %q, and %s hasn't", x.code, m[1], x.doc)
			}
		}
	}
}
