package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/progress"
)

func TestResults(t *testing.T) {
	const (
		one  = `{"Action":"run","Test":"TestOne"}` + "\n" + `{"Action":"output","Test":"TestOne","Output":"one says\n"}` + "\n"
		good = one + `{"Action":"pass","Test":"TestOne","Elapsed":12}` + "\n"
		ends = `{"Action":"pass","Elapsed":12}` + "\n"
	)
	for _, c := range []struct {
		name, events string
		err          error
		ok           bool
		shows        string
	}{
		{"passed", good + ends, nil, true, "TestOne 12 s"},
		{"failed", one + `{"Action":"fail","Test":"TestOne"}` + "\n" + `{"Action":"fail"}` + "\n", nil, false, "one says"},
		{"failed, and the program ended well", good + `{"Action":"output","Test":"TestTwo","Output":"two says\n"}` + "\n" + `{"Action":"fail","Test":"TestTwo"}` + "\n" + ends, nil, false, "two says"},
		{"skipped", good + `{"Action":"skip","Test":"TestTwo"}` + "\n" + ends, nil, false, "TestTwo was skipped"},
		{"died", good + `{"Action":"output","Test":"TestTwo","Output":"two says\n"}` + "\n", nil, false, "two says"},
		{"no tests", ends, nil, false, "no test passed or failed"},
		{"could not be run", "", errors.New("no such program"), false, "no such program"},
		{"says something else", good + "what?\n" + ends, nil, false, "what?"},
	} {
		var out strings.Builder
		r := results{to: &out, report: progress.Discard, total: 1}
		read := readEvents(strings.NewReader(c.events), r.begin("./internal/one"))
		r.finish(errors.Join(read, c.err))
		if err := r.end(); (err == nil) != c.ok || !strings.Contains(out.String(), c.shows) {
			t.Errorf("%s: %v\n%s", c.name, err, out.String())
		}
	}
}

// TestLabPackages: every package with a test that needs a lab is found, in this repository as it is.
func TestLabPackages(t *testing.T) {
	found, err := labPackages("../..")
	if err != nil {
		t.Fatal(err)
	}
	all := " " + strings.Join(found, " ") + " "
	for _, want := range []string{"./cmd/slipway-lab", "./internal/lab/fleet", "./internal/dbcopy", "./steps/hosts"} {
		if strings.Count(all, " "+want+" ") != 1 {
			t.Errorf("%s is not there once: %s", want, all)
		}
	}
	if _, err := labPackages(t.TempDir()); err == nil {
		t.Error("a directory without such tests has some")
	}
}
