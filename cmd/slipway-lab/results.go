package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/progress"
)

// event is a line of go test -json (go doc test2json). Test is empty for what is the package's; a build's output has ImportPath and no Package.
type event struct {
	Action, Package, ImportPath, Test, Output string
	Elapsed                                   float64
}

// results makes of go test's events a line for each package, all that failing tests had to say, and what took longest.
type results struct {
	to      io.Writer
	report  progress.Func
	running map[string]*tested
	ended   []*tested
	built   bytes.Buffer // what the compiler said
}

// tested is a package whose tests run or ran.
type tested struct {
	name            string
	task            *progress.Task
	said            map[string]*bytes.Buffer // by test; "": outside of any
	passed          int
	skipped, failed []string
	long            []longTest
	bad             bool
}

type longTest struct {
	name    string
	seconds float64
}

const module = "github.com/slipway-dev/slipway/"

func newResults(to io.Writer, report progress.Func) *results {
	return &results{to: to, report: report, running: map[string]*tested{}}
}

func (r *results) read(events io.Reader) error {
	scan := bufio.NewScanner(events)
	scan.Buffer(nil, 16<<20)
	for scan.Scan() {
		var e event
		if err := json.Unmarshal(scan.Bytes(), &e); err != nil {
			fmt.Fprintf(r.to, "%s\n", scan.Bytes()) // go itself has something to say
			continue
		}
		r.take(e)
	}
	return scan.Err()
}

func (r *results) take(e event) {
	if strings.HasPrefix(e.Action, "build-") {
		r.built.WriteString(e.Output)
		return
	}
	p := r.running[e.Package]
	if p == nil {
		name := strings.TrimPrefix(e.Package, module)
		p = &tested{name: name, task: progress.Begin(r.report, name), said: map[string]*bytes.Buffer{}}
		r.running[e.Package] = p
	}
	switch e.Action {
	case "run":
		p.task.At(e.Test, 0, 0)
	case "output":
		if p.said[e.Test] == nil {
			p.said[e.Test] = &bytes.Buffer{}
		}
		p.said[e.Test].WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.finish(e, p)
			return
		}
		p.end(e)
	}
}

// end notes how a test ended; subtests count with the test they are of.
func (p *tested) end(e event) {
	switch {
	case e.Action == "fail":
		p.failed = append(p.failed, e.Test)
		return
	case e.Action == "skip":
		p.skipped = append(p.skipped, e.Test)
	case !strings.Contains(e.Test, "/"):
		p.passed++
		p.long = append(p.long, longTest{e.Test, e.Elapsed})
	}
	delete(p.said, e.Test)
}

// finish shows a package: one line, and if something failed all that was said about it.
func (r *results) finish(e event, p *tested) {
	p.task.End()
	delete(r.running, e.Package)
	r.ended = append(r.ended, p)
	p.bad = e.Action != "pass" || len(p.skipped) > 0 || p.passed == 0
	verdict := "ok  "
	if p.bad {
		verdict = "FAIL"
		r.tell(p)
	}
	fmt.Fprintf(r.to, "%s %-36s %3d tests %7.1f s%s\n", verdict, p.name, p.passed+len(p.failed), e.Elapsed, p.longest())
}

func (r *results) tell(p *tested) {
	fmt.Fprint(r.to, r.built.String())
	r.built.Reset()
	for _, test := range p.failed {
		if said := p.said[test]; said != nil {
			fmt.Fprint(r.to, said.String())
			delete(p.said, test)
		}
	}
	var rest []string
	for test := range p.said {
		rest = append(rest, test)
	}
	slices.Sort(rest)
	for _, test := range rest { // what ran when the process died, and what it said outside of its tests
		fmt.Fprint(r.to, p.said[test].String())
	}
	for _, test := range p.skipped {
		fmt.Fprintf(r.to, "%s was skipped: a test that can't run has to fail\n", test)
	}
}

// longest names the tests that took over ten seconds, the longest first.
func (p *tested) longest() string {
	slices.SortStableFunc(p.long, func(a, b longTest) int { return cmp.Compare(b.seconds, a.seconds) })
	var b strings.Builder
	for _, l := range p.long {
		if l.seconds >= 10 {
			fmt.Fprintf(&b, "  %s %.0f s", l.name, l.seconds)
		}
	}
	return b.String()
}

// end adds it up. That every package is among the results is part of it.
func (r *results) end(packages []string) error {
	fmt.Fprint(r.to, r.built.String())
	tests, bad := 0, []string{}
	for _, pkg := range packages {
		i := slices.IndexFunc(r.ended, func(p *tested) bool { return "./"+p.name == pkg })
		switch {
		case i < 0:
			bad = append(bad, pkg+" (no result)")
		case r.ended[i].bad:
			bad = append(bad, pkg)
		}
		if i >= 0 {
			tests += r.ended[i].passed
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("tests failed in %d of %d packages: %s", len(bad), len(packages), strings.Join(bad, ", "))
	}
	fmt.Fprintf(r.to, "%d tests in %d packages passed\n", tests, len(packages))
	return nil
}
