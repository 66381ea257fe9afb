package archtest

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
)

// exceptions are places that may break a rule. The key is "rule path", the value the reason.
var exceptions = map[string]string{
	"process is cmd's internal/lab/machine/launcher.go":  "starts this program anew as a machine's first process, and so must know its name",
	"process is cmd's internal/lab/machine/sys_linux.go": "is that first process, which has nobody to return to",
}

// rules are all that the code must keep, by name. Each gives what breaks it, as "path: what is wrong".
var rules = []struct {
	name  string
	check func(*tree) []finding
}{
	{"imports", checkImports},
	{"engine is alone", checkEngineAlone},
	{"agent is small", checkAgentSmall},
	{"process is cmd's", checkProcess},
	{"production in one file", checkProduction},
	{"no init", checkInit},
	{"file length", checkLength},
	{"no skips", checkSkips},
	{"context", checkContext},
	{"package comment", checkComment},
	{"testing is for tests", checkTesting},
	{"error lists", checkErrorLists},
}

type finding struct{ path, text string }

// layer says what the files of some packages may import of the module, tests left aside.
type layer struct {
	of   []string // the packages, with all below them
	may  []string // import
	not  []string // and not, of what they may
	self bool     // each other, below the same directory of depth two
}

// layers are looked through from the top: the first that a package is in counts.
var layers = []layer{
	{of: []string{"migrate/journal/crashfs"}, may: []string{"migrate/journal"}},
	{of: []string{"migrate/journal"}},
	{of: []string{"migrate/steptest"}, may: []string{"migrate"}},
	{of: []string{"migrate/requests"}, may: []string{"migrate"}, not: []string{"migrate/steptest", "migrate/journal/crashfs"}},
	{of: []string{"migrate"}, may: []string{"migrate/journal"}, not: []string{"migrate/journal/crashfs"}},
	{of: []string{"steps"}, may: []string{"migrate", "inventory", "internal"}, self: true,
		not: []string{"migrate/journal", "migrate/steptest", "internal/lab", "internal/ui", "internal/config", "internal/archtest"}},
	{of: []string{"runbooks"}, may: []string{"steps", "migrate", "inventory", "internal"},
		not: []string{"migrate/journal", "migrate/steptest", "internal/lab", "internal/ui", "internal/archtest"}},
	{of: []string{"inventory"}, may: []string{"inventory", "internal"}, not: []string{"internal/lab", "internal/ui", "internal/archtest"}},
	{of: []string{"internal/archtest"}},
	{of: []string{"internal/treecopy/tree", "internal/treecopy/hostile"}},
	{of: []string{"internal/treecopy/disk", "internal/treecopy/agent", "internal/treecopy/pass"}, may: []string{"internal/treecopy/tree"}},
	{of: []string{"cmd/slipway-agent"}, may: []string{"internal/treecopy/tree", "internal/treecopy/disk", "internal/treecopy/agent"}},
	{of: []string{"internal/lab"}, may: []string{"internal"}, not: []string{"internal/ui", "internal/archtest"}},
	{of: []string{"internal/ui"}, may: []string{"internal", "inventory", "migrate"}, not: []string{"internal/lab", "internal/archtest", "migrate/steptest"}},
	{of: []string{"internal"}, may: []string{"internal", "inventory"}, not: []string{"internal/lab", "internal/ui", "internal/archtest"}},
	{of: []string{"cmd/slipway-lab"}, may: []string{"internal", "inventory"}, not: []string{"internal/archtest"}},
	{of: []string{"cmd"}, may: []string{"runbooks", "steps", "migrate", "inventory", "internal"},
		not: []string{"internal/lab", "internal/archtest", "migrate/steptest", "migrate/journal/crashfs"}},
}

// system is the directory of depth two that a package under steps is in: steps/mariadb.
func system(pkg string) string {
	parts := strings.SplitN(pkg, "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/")
}

func (l layer) allows(from, to string) bool {
	if from == to || l.self && system(from) == system(to) {
		return true
	}
	return under(to, l.may...) && !under(to, l.not...)
}

func checkImports(t *tree) (bad []finding) {
	for _, f := range t.files {
		i := slices.IndexFunc(layers, func(l layer) bool { return under(f.pkg, l.of...) })
		if i < 0 {
			bad = append(bad, finding{f.path, "stands in no layer of the layout"})
			continue
		}
		own, _ := t.imports(f)
		for _, to := range own {
			if !f.test && !layers[i].allows(f.pkg, to.path) {
				bad = append(bad, finding{f.path, fmt.Sprintf("%s must not import %s", f.pkg, to.path)})
			}
		}
	}
	return bad
}

// engineMay is what the engine may import from outside the standard library.
var engineMay = []string{"github.com/hashicorp/go-multierror", "golang.org/x/sys/unix"}

// engineNot is what it may not import of the standard library: the engine reaches nothing but its journal.
var engineNot = []string{"net/http", "database/sql", "os/exec", "net/rpc", "net/smtp", "net/textproto"}

func checkEngineAlone(t *tree) (bad []finding) {
	for _, f := range t.files {
		if !under(f.pkg, "migrate") || f.test {
			continue
		}
		_, other := t.imports(f)
		for _, to := range other {
			standard := !strings.Contains(strings.SplitN(to.path, "/", 2)[0], ".")
			if standard && under(to.path, engineNot...) || !standard && !slices.Contains(engineMay, to.path) {
				bad = append(bad, finding{f.path, "the engine must not import " + to.path})
			}
		}
	}
	return bad
}

// agentIs are the packages of which the file agent is made.
var agentIs = []string{"cmd/slipway-agent", "internal/treecopy/agent", "internal/treecopy/disk", "internal/treecopy/tree"}

// agentNot is what makes a program of 2 MB one of 10, or slow to start.
var agentNot = []string{"net", "encoding/json", "encoding/gob", "text/template", "html", "go", "testing"}

// checkAgentSmall: the agent is sent over the wire for each pass.
func checkAgentSmall(t *tree) (bad []finding) {
	for _, f := range t.files {
		if !under(f.pkg, agentIs...) || f.test {
			continue
		}
		_, other := t.imports(f)
		for _, to := range other {
			standard := !strings.Contains(strings.SplitN(to.path, "/", 2)[0], ".")
			if standard && under(to.path, agentNot...) || !standard && to.path != "golang.org/x/sys/unix" {
				bad = append(bad, finding{f.path, "the agent must not import " + to.path})
			}
		}
	}
	return bad
}

// checkProcess: arguments, signals and exit are cmd's, and those of the programs that run in the lab's machines.
func checkProcess(t *tree) (bad []finding) {
	for _, f := range t.files {
		if under(f.pkg, "cmd") || f.test || f.Name.Name == "main" && under(f.pkg, "internal/lab") {
			continue
		}
		_, other := t.imports(f)
		for _, to := range other {
			if slices.Contains([]string{"os/signal", "flag", "github.com/spf13/cobra", "github.com/spf13/pflag"}, to.path) {
				bad = append(bad, finding{f.path, "only cmd may import " + to.path})
			}
		}
		for _, x := range []struct{ pkg, name string }{
			{"os", "Exit"}, {"os", "Args"}, {"log", "Fatal"}, {"log", "Fatalf"}, {"log", "Fatalln"}, {"syscall", "Exit"}, {"runtime", "Goexit"},
		} {
			for _, at := range t.mentions(f, x.pkg, x.name) {
				bad = append(bad, finding{f.path, fmt.Sprintf("%s: only cmd may use %s.%s", t.at(at), x.pkg, x.name)})
			}
		}
	}
	return bad
}

// production are groups of what can reach production: what makes a hand on it, or an actor for it; and what opens a zone,
// which can change whatever zone it is told.
var production = [][]struct{ pkg, name string }{
	{{"migrate", "Real"}, {"internal/remote", "NewActor"}},
	{{"internal/zone", "NewOVH"}, {"internal/zone", "OpenCloudDNS"}},
}

// checkProduction: all of a group is used in one file of cmd/slipway, so that one file shows what can reach production.
func checkProduction(t *tree) (bad []finding) {
	first := make([]string, len(production))
	for _, f := range t.files {
		if f.test {
			continue
		}
		own, _ := t.imports(f)
		for _, i := range own {
			if i.name == "." {
				bad = append(bad, finding{f.path, "imports " + i.path + " with a dot, and so hides what it uses"})
			}
		}
		for i, group := range production {
			for _, x := range group {
				for _, at := range t.mentions(f, x.pkg, x.name) {
					where := fmt.Sprintf("%s: %s.%s", t.at(at), path.Base(x.pkg), x.name)
					switch {
					case f.pkg != "cmd/slipway":
						bad = append(bad, finding{f.path, where + " is for one file of cmd/slipway"})
					case first[i] == "":
						first[i] = f.path
					case first[i] != f.path:
						bad = append(bad, finding{f.path, where + " is used in " + first[i] + " already, and must be in one file"})
					}
				}
			}
		}
	}
	return bad
}

func checkInit(t *tree) (bad []finding) {
	for _, f := range t.files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				bad = append(bad, finding{f.path, t.at(fn.Pos()) + ": has an init function"})
			}
		}
	}
	return bad
}

const longest = 600

func checkLength(t *tree) (bad []finding) {
	for _, f := range t.files {
		if f.lines > longest {
			bad = append(bad, finding{f.path, fmt.Sprintf("has %d lines, and may have %d", f.lines, longest)})
		}
	}
	return bad
}

// checkSkips: a test that needs what it can't get fails.
func checkSkips(t *tree) (bad []finding) {
	for _, f := range t.files {
		_, other := t.imports(f)
		if !slices.ContainsFunc(other, func(i *imported) bool { return i.path == "testing" }) {
			continue
		}
		for _, at := range t.mentions(f, "testing", "Short") {
			bad = append(bad, finding{f.path, t.at(at) + ": testing.Short leaves something out"})
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if s, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, s.Sel.Name) {
				bad = append(bad, finding{f.path, t.at(s.Pos()) + ": a test must not be skipped"})
			}
			return true
		})
	}
	return bad
}

// checkContext: a context is the first argument and is never stored.
func checkContext(t *tree) (bad []finding) {
	for _, f := range t.files {
		if f.test {
			continue
		}
		isContext := func(e ast.Expr) bool {
			s, ok := e.(*ast.SelectorExpr)
			return ok && slices.Contains(t.mentions(f, "context", "Context"), s.Pos())
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.StructType:
				for _, field := range n.Fields.List {
					if isContext(field.Type) {
						bad = append(bad, finding{f.path, t.at(field.Pos()) + ": stores a context"})
					}
				}
			case *ast.FuncType:
				other := false // a parameter that is no context came before
				for _, field := range n.Params.List {
					if isContext(field.Type) && other {
						bad = append(bad, finding{f.path, t.at(field.Pos()) + ": a context must be the first argument"})
					}
					other = other || !isContext(field.Type)
				}
			}
			return true
		})
	}
	return bad
}

func checkComment(t *tree) (bad []finding) {
	has := map[string]bool{}
	for _, f := range t.files {
		has[f.pkg] = has[f.pkg] || !f.test && f.Doc != nil
	}
	var said []string
	for _, f := range t.files {
		if !has[f.pkg] && !slices.Contains(said, f.pkg) {
			said = append(said, f.pkg)
			bad = append(bad, finding{f.path, "package " + f.pkg + " has no comment that says what it is for"})
		}
	}
	return bad
}

// checkTesting: the product carries no test code.
func checkTesting(t *tree) (bad []finding) {
	for _, f := range t.files {
		if f.test || strings.HasSuffix(f.pkg, "test") {
			continue
		}
		_, other := t.imports(f)
		for _, to := range other {
			if under(to.path, "testing") {
				bad = append(bad, finding{f.path, "imports " + to.path + " and is no test"})
			}
		}
	}
	return bad
}

// checkErrorLists: lists of errors are written in one way, errlist's. The engine imports nothing of internal and has its own.
func checkErrorLists(t *tree) (bad []finding) {
	for _, f := range t.files {
		if f.test || under(f.pkg, "internal/errlist", "migrate") {
			continue
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "ErrorOrNil" {
				bad = append(bad, finding{f.path, t.at(s.Pos()) + ": a list of errors ends in errlist.OrNil"})
			}
			return true
		})
	}
	return bad
}
