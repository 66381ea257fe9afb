package strictyaml

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong in a file. Path is where it is in words (dns.records[1].ttl); Line and Column count
// from 1, and are 0 for the file as a whole.
type Problem struct {
	File         string
	Line, Column int
	Path         string
	What         string
	Remedy       string // what to write instead; "" where What says it
}

// String is "slipway.yaml:12:3: google.projekt: unknown key; did you mean project".
func (p Problem) String() string {
	s := p.File + ": "
	if p.Line > 0 {
		s = fmt.Sprintf("%s:%d:%d: ", p.File, p.Line, p.Column)
	}
	if p.Path != "" {
		s += p.Path + ": "
	}
	s += p.What
	if p.Remedy != "" {
		s += "; " + p.Remedy
	}
	return s
}

// Problems is all that is wrong in a file, by place.
type Problems []Problem

func (ps Problems) Error() string {
	if len(ps) == 1 {
		return ps[0].String()
	}
	lines := make([]string, len(ps)+1)
	lines[0] = fmt.Sprintf("%d problems:", len(ps))
	for i, p := range ps {
		lines[i+1] = "  " + p.String()
	}
	return strings.Join(lines, "\n")
}

func (f *File) add(p Problem) { f.problems = append(f.problems, p) }

// Problem adds what a check found at a path. A path that isn't in the file takes the place of what it would be in.
func (f *File) Problem(path, what, remedy string) {
	p := f.at(path)
	f.add(Problem{f.Name, p.line, p.column, path, what, remedy})
}

// Has says whether the file has the path.
func (f *File) Has(path string) bool {
	_, ok := f.places[path]
	return ok
}

// Place is "slipway.yaml:12:3" for a path, of its surroundings where the file doesn't have it.
func (f *File) Place(path string) string {
	p := f.at(path)
	if p.line == 0 {
		return f.Name
	}
	return fmt.Sprintf("%s:%d:%d", f.Name, p.line, p.column)
}

func (f *File) at(path string) place {
	for path != "" {
		if p, ok := f.places[path]; ok {
			return p
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return f.places[""]
}

// Err gives all problems, by place and then in the order in which they were found, as a Problems; or nil. Of several
// problems at one path only the first is given: what follows from it would be noise.
func (f *File) Err() error {
	if len(f.problems) == 0 {
		return nil
	}
	var ps Problems
	seen := map[string]bool{}
	for _, p := range f.problems {
		if p.Path == "" || !seen[p.Path] {
			ps = append(ps, p)
		}
		seen[p.Path] = true
	}
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return ps
}

// suggest says which known key was probably meant.
func suggest(got string, known []string) string {
	best, least := "", 1+max(len(got), 3)/3
	for _, k := range known {
		if d := distance(strings.ToLower(got), k); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return "did you mean " + best
	}
	if len(known) == 0 {
		return ""
	}
	return "known here: " + strings.Join(known, ", ")
}

// distance counts the insertions, deletions, substitutions and swaps of neighbours between two words (optimal string
// alignment).
func distance(a, b string) int {
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}

// Suggest is the remedy for a word that should have been one of known.
func Suggest(got string, known []string) string { return suggest(got, known) }
