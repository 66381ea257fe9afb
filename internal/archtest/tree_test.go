package archtest

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// tree is a module's Go files, parsed, whatever their build constraints.
type tree struct {
	module string
	fset   *token.FileSet
	files  []*file
}

type file struct {
	*ast.File
	path  string // from the module's root, with slashes
	pkg   string // its directory; "." for the root
	lines int
	test  bool
}

// readTree parses the Go files of a module, but for testdata, modules of their own below it, and what begins with a dot or
// underscore, as the go command does.
func readTree(fsys fs.FS) (*tree, error) {
	mod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, err
	}
	t := &tree{fset: token.NewFileSet()}
	for line := range bytes.Lines(mod) {
		if name, ok := strings.CutPrefix(string(line), "module "); ok {
			t.module = strings.TrimSpace(name)
		}
	}
	if t.module == "" {
		return nil, errors.New("go.mod names no module")
	}
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() {
			if name != "." && (base == "testdata" || base == "node_modules" || base[0] == '.' || base[0] == '_') {
				return fs.SkipDir
			}
			if _, err := fs.Stat(fsys, path.Join(name, "go.mod")); name != "." && err == nil {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" || base[0] == '.' || base[0] == '_' {
			return nil
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(t.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		t.files = append(t.files, &file{File: f, path: name, pkg: path.Dir(name), lines: bytes.Count(src, []byte("\n")), test: strings.HasSuffix(name, "_test.go")})
		return nil
	})
	return t, err
}

// imports gives a file's imports: those of the module as its directories, all others as they are.
func (t *tree) imports(f *file) (own, other []*imported) {
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // it would not have parsed
		}
		i := &imported{path: p, name: path.Base(p), pos: spec.Pos()}
		if spec.Name != nil {
			i.name = spec.Name.Name
		}
		switch {
		case p == t.module:
			i.path = "."
			own = append(own, i)
		case strings.HasPrefix(p, t.module+"/"):
			i.path = strings.TrimPrefix(p, t.module+"/")
			own = append(own, i)
		default:
			other = append(other, i)
		}
	}
	return own, other
}

type imported struct {
	path string
	name string // as which the file knows it
	pos  token.Pos
}

// mentions gives the places at which a file says package.name, for a package that it imports.
func (t *tree) mentions(f *file, pkg, name string) (at []token.Pos) {
	own, other := t.imports(f)
	for _, i := range append(own, other...) {
		if i.path != pkg {
			continue
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == name {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == i.name {
					at = append(at, s.Pos())
				}
			}
			return true
		})
	}
	return at
}

func (t *tree) at(p token.Pos) string {
	at := t.fset.Position(p)
	return fmt.Sprintf("%s:%d", at.Filename, at.Line)
}

// under says whether a directory is one of those, or below it.
func under(dir string, above ...string) bool {
	for _, a := range above {
		if dir == a || strings.HasPrefix(dir, a+"/") {
			return true
		}
	}
	return false
}
