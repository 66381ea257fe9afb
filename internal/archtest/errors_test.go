package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// docs/errors.md shows messages as they are printed. In them, words of capitals, numbers and "..." stand for what differs
// from one time to the next. What is fixed must be said by the code, so that the page can't fall behind it.
//
// A message is put together from several texts (each layer wraps the one below), so a fixed stretch may be cut into a few
// pieces, at blanks; each piece must stand in one text of the code, and one of them must be long enough to be no accident,
// and most of the stretch.
const (
	mostPieces = 2
	longEnough = 10 // bytes, of the longest piece
	inOnePiece = 5  // bytes, of a stretch that stands whole in one text
)

var (
	varies = regexp.MustCompile(`\.\.\.|…|\b[A-Z][A-Z0-9_]*\b|\b[0-9][0-9a-z.]*\b`)
	joints = regexp.MustCompile(`: |; |, | \(|\)`)
	verb   = regexp.MustCompile(`%[-+# 0]*[0-9*]*(\.[0-9*]+)?[a-zA-Z]|%%`)
)

// texts are the string constants in the code of the packages, cut at their verbs.
func texts(t *tree, in func(pkg string) bool) (out []string) {
	for _, f := range t.files {
		if f.test || !in(f.pkg) {
			continue
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			s, all := constant(e)
			if s == "" {
				return true
			}
			out = append(out, verb.Split(s, -1)...)
			return !all
		})
	}
	return out
}

// constant gives the text of a string literal, or of several that are added up; all is false where something else is
// added too.
func constant(e ast.Expr) (s string, all bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		s, err := strconv.Unquote(e.Value)
		return s, err == nil
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "", false
		}
		x, xAll := constant(e.X)
		y, yAll := constant(e.Y)
		if xAll && yAll {
			return x + y, true
		}
	}
	return "", false
}

// messages are what the first cells of the page's tables of messages show.
func messages(page string) (out []string) {
	in := false
	for line := range strings.Lines(page) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 3 || cells[0] != "" {
			in = false
			continue
		}
		first := strings.TrimSpace(cells[1])
		switch {
		case first == "message":
			in = true
		case in:
			for _, q := range quoted.FindAllString(first, -1) {
				out = append(out, strings.Trim(q, "`"))
			}
		}
	}
	return out
}

// unsaid gives what of a message no text of the code says; "" when all of it is said.
func unsaid(message string, all string) string {
	checked := false
	for _, fixed := range varies.Split(message, -1) {
		for _, stretch := range joints.Split(fixed, -1) {
			stretch = strings.Trim(strings.TrimSpace(stretch), `"'`+":;,.()/")
			if stretch = strings.TrimSpace(stretch); stretch == "" {
				continue
			}
			longest, pieces := 0, 0
			for rest := strings.Fields(stretch); len(rest) > 0; pieces++ {
				n := len(rest)
				for n > 0 && !strings.Contains(all, strings.Join(rest[:n], " ")) {
					n--
				}
				if n == 0 || pieces == mostPieces {
					return stretch
				}
				longest = max(longest, len(strings.Join(rest[:n], " ")))
				rest = rest[n:]
			}
			if pieces > 1 && (longest < longEnough || 4*longest < 3*len(stretch)) {
				return stretch
			}
			checked = checked || longest >= longEnough || pieces == 1 && longest >= inOnePiece
		}
	}
	if !checked {
		return "anything that is fixed and long enough to look for"
	}
	return ""
}

func TestErrorsPage(t *testing.T) {
	fsys := os.DirFS(root(t))
	page, err := fs.ReadFile(fsys, "docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	tr, err := readTree(fsys)
	if err != nil {
		t.Fatal(err)
	}
	// The lab is a program of its own: what it says proves nothing of what slipway says.
	lab := func(pkg string) bool { return under(pkg, "internal/lab", "cmd/slipway-lab") }
	product, ofLab, found := strings.Cut(string(page), "\n## The lab\n")
	if !found {
		t.Fatal("the page has no section of the lab")
	}
	for _, x := range []struct {
		page string
		in   func(string) bool
		list int
	}{
		{product, func(pkg string) bool { return !lab(pkg) }, 80},
		{ofLab, lab, 5},
	} {
		all := strings.Join(texts(tr, x.in), "\n")
		list := messages(x.page)
		if len(list) < x.list {
			t.Errorf("the page shows %d messages, which are fewer than there were", len(list))
		}
		for _, m := range list {
			if u := unsaid(m, all); u != "" {
				t.Errorf("docs/errors.md shows %q, and the code doesn't say %q", m, u)
			}
		}
	}
}

func TestErrorsPageCanFail(t *testing.T) {
	all := strings.Join([]string{"no such run", "run ", ": ", " in ", "the host is down, or this machine isn't in its network", "host key of ", "ended"}, "\n")
	for _, x := range []struct {
		message string
		said    bool
	}{
		{"run RUN: no such run in DIR", true},
		{"run RUN: no such thing in DIR", false},
		{"run RUN", false}, // says nothing
		{"it ended in it", false},
		{"HOST: the host is down, or this machine isn't in its network", true},
		{"the host is down, or this computer isn't in its network", false},
		{"host key of ADDRESS: the host is down", true},
		{"host key of ADDRESS: the host is gone", false},
		{"HOST: ...", false},
	} {
		if u := unsaid(x.message, all); (u == "") != x.said {
			t.Errorf("%q: %q", x.message, u)
		}
	}
	if got := fmt.Sprint(messages("# E\n| message | do |\n|---|---|\n| `a` or `b` | `c` |\n\ntext `d`\n| key | x |\n|---|---|\n| `e` | y |\n")); got != "[a b]" {
		t.Error(got)
	}
}
