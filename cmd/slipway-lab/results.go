package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/progress"
)

// event is a line of test2json (go doc test2json). Test is empty for what is the package's.
type event struct {
	Action, Test, Output string
	Elapsed              float64
}

// readEvents hands on what comes, and every few seconds an event without an action, for whoever wants to say what it waits for.
func readEvents(from io.Reader, take func(event)) error {
	lines := make(chan []byte)
	ended := make(chan error, 1)
	go func() {
		scan := bufio.NewScanner(from)
		scan.Buffer(nil, 16<<20)
		for scan.Scan() {
			lines <- bytes.Clone(scan.Bytes())
		}
		ended <- scan.Err()
	}()
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	var bad error // it is read to the end in any case: whoever writes must not get stuck
	for {
		select {
		case line := <-lines:
			var e event
			if err := json.Unmarshal(line, &e); err != nil {
				bad = fmt.Errorf("not an event of test2json: %q: %w", line, err)
				continue
			}
			take(e)
		case <-tick.C:
			take(event{})
		case err := <-ended:
			return errors.Join(bad, err)
		}
	}
}

// results makes of the packages' events a line for each, all that failing tests had to say, and what took longest.
type results struct {
	to     io.Writer
	report progress.Func
	total  int // packages
	done   int
	passed int // tests
	bad    []string
	now    *tested
}

// tested is the package whose tests run.
type tested struct {
	name            string
	task            *progress.Task
	running         string // test
	since, began    time.Time
	said            map[string]*bytes.Buffer // by test; "": outside of any
	passed          int
	skipped, failed []string
	long            []longTest
	verdict         string
}

type longTest struct {
	name    string
	seconds float64
}

// begin gives what takes a package's events.
func (r *results) begin(pkg string) func(event) {
	name := strings.TrimPrefix(pkg, "./")
	p := &tested{name: name, task: progress.Begin(r.report, name), began: time.Now(), since: time.Now(), said: map[string]*bytes.Buffer{}}
	r.now = p
	return func(e event) {
		p.take(e)
		p.task.At(fmt.Sprintf("%s, %d s", cmp.Or(p.running, "starts"), int(time.Since(p.since).Seconds())), int64(r.done), int64(r.total))
	}
}

func (p *tested) take(e event) {
	switch e.Action {
	case "run":
		p.running, p.since = e.Test, time.Now()
	case "output":
		if p.said[e.Test] == nil {
			p.said[e.Test] = &bytes.Buffer{}
		}
		p.said[e.Test].WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			p.verdict = e.Action
			return
		}
		p.end(e)
	}
}

// end notes how a test ended; subtests that passed count with the test they are of.
func (p *tested) end(e event) {
	switch {
	case e.Action == "fail":
		p.failed = append(p.failed, e.Test)
		return // what it said is shown at the end
	case e.Action == "skip":
		p.skipped = append(p.skipped, e.Test)
	case !strings.Contains(e.Test, "/"):
		p.passed++
		p.long = append(p.long, longTest{e.Test, e.Elapsed})
	}
	delete(p.said, e.Test)
}

// finish shows the package: one line, and if something failed all that was said about it. A package without a verdict, with a skipped test or without any has
// failed.
func (r *results) finish(err error) {
	p := r.now
	p.task.End()
	r.done++
	r.passed += p.passed
	verdict := "ok  "
	if err != nil || p.verdict != "pass" || len(p.failed) > 0 || len(p.skipped) > 0 || p.passed == 0 {
		verdict = "FAIL"
		r.bad = append(r.bad, p.name)
		p.tell(r.to, err)
	}
	fmt.Fprintf(r.to, "%s %-36s %3d tests %7.1f s%s\n", verdict, p.name, p.passed, time.Since(p.began).Seconds(), p.longest())
}

func (p *tested) tell(to io.Writer, err error) {
	var rest []string // what ran when the process died, and what it said outside of its tests
	for test := range p.said {
		if !slices.Contains(p.failed, test) {
			rest = append(rest, test)
		}
	}
	slices.Sort(rest)
	for _, test := range append(slices.Clone(p.failed), rest...) {
		if said := p.said[test]; said != nil {
			fmt.Fprint(to, said.String())
		}
	}
	for _, test := range p.skipped {
		fmt.Fprintf(to, "%s was skipped: a test that can't run has to fail\n", test)
	}
	if p.passed == 0 && len(p.failed) == 0 {
		fmt.Fprintln(to, "no test passed or failed")
	}
	if err != nil {
		fmt.Fprintln(to, err)
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

// end adds it up.
func (r *results) end() error {
	if len(r.bad) > 0 {
		return fmt.Errorf("tests failed in %d of %d packages: %s", len(r.bad), r.total, strings.Join(r.bad, ", "))
	}
	fmt.Fprintf(r.to, "%d tests in %d packages passed\n", r.passed, r.total)
	return nil
}
