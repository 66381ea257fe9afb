package shopper

import (
	"bytes"
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	acked := entry(Acknowledged, "aa")
	good := found{id: 1, number: acked.Number, token: "aa", checksum: sum, kept: sum}
	with := func(f func(*found)) found {
		o := good
		f(&o)
		return o
	}
	for name, c := range map[string]struct {
		entries []Entry
		rows    []found
		want    Report // lengths count
	}{
		"there":         {[]Entry{acked}, []found{good}, Report{Acknowledged: 1}},
		"lost":          {[]Entry{acked}, nil, Report{Acknowledged: 1, Lost: one}},
		"lines altered": {[]Entry{acked}, []found{with(func(o *found) { o.checksum = "x" })}, Report{Acknowledged: 1, Altered: one}},
		"sum altered":   {[]Entry{acked}, []found{with(func(o *found) { o.kept = "x" })}, Report{Acknowledged: 1, Altered: one}},
		"token altered": {[]Entry{acked}, []found{with(func(o *found) { o.token = "" })}, Report{Acknowledged: 1, Altered: one}},
		"twice by number": {[]Entry{acked}, []found{good, with(func(o *found) { o.id, o.token = 2, "" })},
			Report{Acknowledged: 1, Duplicated: one}},
		"twice by token": {[]Entry{acked}, []found{good, with(func(o *found) { o.id, o.number = 2, "S2" })},
			Report{Acknowledged: 1, Duplicated: one}},
		"one number given twice": {[]Entry{acked, entry(Acknowledged, "bb")}, []found{good},
			Report{Acknowledged: 2, Duplicated: one, Altered: one}},
		"refused, absent":  {[]Entry{entry(Refused, "cc")}, nil, Report{}},
		"refused, there":   {[]Entry{entry(Refused, "cc")}, []found{{id: 3, number: "S3", token: "cc"}}, Report{Phantom: one}},
		"unknown, absent":  {[]Entry{entry(Unknown, "dd")}, nil, Report{Absent: one}},
		"unknown, there":   {[]Entry{entry(Unknown, "dd")}, []found{{id: 3, number: "S3", token: "dd"}}, Report{Arrived: one}},
		"killed, there":    {[]Entry{entry(Attempted, "dd")}, []found{{id: 3, number: "S3", token: "dd"}}, Report{Arrived: one}},
		"unknown, twice":   {[]Entry{entry(Unknown, "dd")}, []found{{id: 3, number: "S3", token: "dd"}, {id: 4, number: "S4", token: "dd"}}, Report{Duplicated: one}},
		"another's orders": {nil, []found{good}, Report{}},
	} {
		last := map[string]Entry{}
		var tokens []string
		for _, e := range c.entries {
			tokens, last[e.Token] = append(tokens, e.Token), e
		}
		got := compare(tokens, last, c.rows)
		counts := func(r Report) [7]int {
			return [7]int{r.Acknowledged, len(r.Lost), len(r.Altered), len(r.Duplicated), len(r.Phantom), len(r.Arrived), len(r.Absent)}
		}
		if counts(got) != counts(c.want) {
			t.Errorf("%s: %+v", name, got)
		}
		bad := len(c.want.Lost)+len(c.want.Altered)+len(c.want.Duplicated)+len(c.want.Phantom) > 0
		if got.Sound() == bad {
			t.Errorf("%s: sound is %v", name, got.Sound())
		}
	}
}

var one = []string{"one"}

func TestReportPrints(t *testing.T) {
	var b bytes.Buffer
	if err := (Report{Acknowledged: 3, Lost: []string{"S1"}, Arrived: one}).Print(&b); err != nil {
		t.Fatal(err)
	}
	const want = "3 orders acknowledged: 1 lost, 0 altered, 0 duplicated; 0 refused but there; 1 of unknown outcome, of which 1 are there\nlost: S1\n"
	if b.String() != want {
		t.Errorf("printed %q", b.String())
	}
}
