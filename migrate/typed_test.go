package migrate_test

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestWhatMustNotCompile type-checks testdata/typed: each error that is named in a comment must come at its line, and no
// other error.
func TestWhatMustNotCompile(t *testing.T) {
	fset := token.NewFileSet()
	var files []*ast.File
	want := map[string]string{} // file:line -> what the error says
	for _, name := range []string{"testdata/typed/allowed.go", "testdata/typed/refused.go"} {
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
		for _, g := range f.Comments {
			for _, c := range g.List {
				if text, ok := strings.CutPrefix(c.Text, "// error: "); ok {
					want[place(fset, c.Pos())] = text
				}
			}
		}
	}
	if len(want) < 15 {
		t.Fatalf("only %d errors are expected", len(want))
	}
	conf := types.Config{Importer: importer.ForCompiler(fset, "gc", exports(t)), Error: func(err error) {
		var te types.Error
		if !errors.As(err, &te) {
			t.Fatal(err)
		}
		at := place(fset, te.Pos)
		text, expected := want[at]
		switch {
		case !expected && !strings.HasPrefix(te.Msg, "\t"): // a tab: more about the error before
			t.Errorf("%s: does not compile: %s", at, te.Msg)
		case expected && strings.Contains(te.Msg, text):
			want[at] = ""
		}
	}}
	_, err := conf.Check("typed", fset, files, nil)
	if err == nil {
		t.Error("all of it compiles")
	}
	for at, text := range want {
		if text != "" {
			t.Errorf("%s: compiles, or fails for another reason than: %s", at, text)
		}
	}
}

func place(fset *token.FileSet, p token.Pos) string {
	at := fset.Position(p)
	return fmt.Sprintf("%s:%d", at.Filename, at.Line)
}

// exports finds the compiled form of migrate and of all that it imports.
func exports(t *testing.T) func(path string) (io.ReadCloser, error) {
	out, err := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}", ".").Output()
	if err != nil {
		t.Fatal("go list: ", err)
	}
	file := map[string]string{}
	for line := range bytes.Lines(out) {
		path, export, _ := strings.Cut(strings.TrimSpace(string(line)), "=")
		file[path] = export
	}
	return func(path string) (io.ReadCloser, error) {
		if file[path] == "" {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(file[path])
	}
}
