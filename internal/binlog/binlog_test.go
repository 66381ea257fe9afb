package binlog

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

func TestFileOrder(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want Order
		err  error
	}{
		{"mariadb-bin.000001:4", "mariadb-bin.000001:4", Same, nil},
		{"mariadb-bin.000001:900", "mariadb-bin.000002:4", Before, nil},
		{"mariadb-bin.999999:4", "mariadb-bin.1000000:4", Before, nil},
		{"mariadb-bin.000009:10", "mariadb-bin.000009:9", After, nil},
		{"db1-bin.000001:4", "db2-bin.000001:4", 0, ErrOtherLog},
		{"a.b.000001:4", "a.c.000001:4", 0, ErrOtherLog},
		{"", "db2-bin.000001:4", 0, ErrSyntax},
	} {
		a, b := must(ParseFile(c.a)), must(ParseFile(c.b))
		got, err := a.Compare(b)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q to %q: %v, %v; want %v, %v", c.a, c.b, got, err, c.want, c.err)
		}
	}
	for _, bad := range []string{"x", "bin.000001", "bin.000001:", "bin.000001:-1", "bin.000001:+1", "bin:4", ".000001:4", "bin.1:4", "bin.00000a:4", "bin.000001:04", "bin.+00001:4"} {
		if f, err := ParseFile(bad); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q parsed as %v, %v", bad, f, err)
		}
	}
}

func TestMariaDBOrder(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want Order
		err  error
	}{
		{"", "", Same, nil},
		{"", "0-1-1", Before, nil},
		{"0-1-1", "", After, nil},
		{"0-1-5", "0-1-5", Same, nil},
		{"0-1-5", "0-2-6", Before, nil}, // another server's turn in one domain
		{"0-1-5,1-2-7", "1-2-7,0-1-5", Same, nil},
		{"0-1-5,1-2-7", "0-1-6,1-2-7", Before, nil},
		{"0-1-5", "0-1-5,1-2-7", Before, nil},
		{"0-1-6,1-2-7", "0-1-5,1-2-8", 0, ErrDiverged},
		{"0-1-5", "1-2-7", 0, ErrDiverged},
		{"0-1-6", "0-1-5,1-2-7", 0, ErrDiverged},
		{"0-1-5", "0-2-5", 0, ErrDiverged}, // one number, two servers: bool comparisons call this equal
		{"4294967295-4294967295-18446744073709551615", "4294967295-1-1", After, nil},
	} {
		a, b := must(ParseMariaDB(c.a)), must(ParseMariaDB(c.b))
		got, err := a.Compare(b)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q to %q: %v, %v; want %v, %v", c.a, c.b, got, err, c.want, c.err)
		}
		back, err := b.Compare(a)
		if back != -c.want || !errors.Is(err, c.err) {
			t.Errorf("%q to %q: %v, %v; want %v, %v", c.b, c.a, back, err, -c.want, c.err)
		}
	}
	for _, bad := range []string{"0", "0-1", "0-1-", "0-1-2-3", "0-1-x", "-1-1-1", "0-1--1", "4294967296-1-1", "0-1-18446744073709551616", "0-1-1,0-2-2", "0-1-1,", ",", "0-1-01", "0-1-+1"} {
		if p, err := ParseMariaDB(bad); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q parsed as %v, %v", bad, p, err)
		}
	}
}

const (
	ua = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	ub = "4e11fa47-71ca-11e1-9e33-c80aa9429562"
)

func TestMySQLText(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{"", ""},
		{" \n", ""},
		{strings.ToUpper(ua) + ":1", ua + ":1"},
		{ua + ":1-1", ua + ":1"},
		{ua + ":5-9:1-4", ua + ":1-9"},
		{ua + ":1-3:5", ua + ":1-3:5"},
		{ua + ":1-5:2-3", ua + ":1-5"},
		{ub + ":7,\n" + ua + ":1-5", ua + ":1-5," + ub + ":7"},
		{ua + ":1-5," + ua + ":6", ua + ":1-6"},
		{ua + ":1-5:Tag_1:3:4", ua + ":1-5:tag_1:3-4"},
		{ua + ":tag:3", ua + ":tag:3"},
		{ua + ":b:3:a:1:b:4", ua + ":a:1:b:3-4"},
		{ua + ":1-9223372036854775806", ua + ":1-9223372036854775806"},
	} {
		s, err := ParseMySQL(c.in)
		if err != nil || s.String() != c.out {
			t.Errorf("%q: %q, %v; want %q", c.in, s, err, c.out)
		}
	}
	for _, bad := range []string{"x", ua, ua + ":", ua + ":0", ua + ":5-3", ua + ":1-", ua + ":-3", ua + ":tag", ua + ":1:tag", ua + ":tag:tag2:1", ua + ":1,", ua + ":9223372036854775807",
		strings.ReplaceAll(ua, "-", "") + ":1", "{" + ua + "}:1", ua + ":1abc", ua + ":" + strings.Repeat("a", 33) + ":1", ua + ":ä:1"} {
		if s, err := ParseMySQL(bad); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q parsed as %v, %v", bad, s, err)
		}
	}
}

func TestMySQLOrder(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want Order
		err  error
	}{
		{"", ua + ":1", Before, nil},
		{ua + ":1-5", ua + ":1-5", Same, nil},
		{ua + ":2-4", ua + ":1-5", Before, nil},
		{ua + ":1-2:4-5", ua + ":1-5", Before, nil},
		{ua + ":1-3", ua + ":1-2:4", 0, ErrDiverged},
		{ua + ":1-3", ub + ":1-3", 0, ErrDiverged},
		{ua + ":1-3", ua + ":tag:1-3", 0, ErrDiverged}, // a tag is a numbering of its own
		{ua + ":1-3", ua + ":1-3:tag:1", Before, nil},
		{ua + ":1-3," + ub + ":1", ua + ":1-4", 0, ErrDiverged},
	} {
		a, b := must(ParseMySQL(c.a)), must(ParseMySQL(c.b))
		got, err := a.Compare(b)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q to %q: %v, %v; want %v, %v", c.a, c.b, got, err, c.want, c.err)
		}
	}
}

// TestMySQLModel holds the interval arithmetic against plain sets of numbers.
func TestMySQLModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func() (MySQL, map[[2]int]bool) {
		model, text := map[[2]int]bool{}, []string{}
		for range r.IntN(6) {
			o, first := r.IntN(2), 1+r.IntN(12)
			last := first + r.IntN(4)
			text = append(text, []string{ua, ub}[o]+":"+strconv.Itoa(first)+"-"+strconv.Itoa(last))
			for n := first; n <= last; n++ {
				model[[2]int{o, n}] = true
			}
		}
		return must(ParseMySQL(strings.Join(text, ","))), model
	}
	within := func(a, b map[[2]int]bool) bool {
		for k := range a {
			if !b[k] {
				return false
			}
		}
		return true
	}
	seen := map[Order]int{}
	for range 20000 {
		a, am := random()
		b, bm := random()
		got, err := a.Compare(b)
		ab, ba := within(am, bm), within(bm, am)
		want := map[[2]bool]Order{{true, true}: Same, {true, false}: Before, {false, true}: After}[[2]bool{ab, ba}]
		if (err != nil) != (!ab && !ba) || err == nil && got != want {
			t.Fatalf("%q to %q: %v, %v; model says %v %v", a, b, got, err, ab, ba)
		}
		u := a.Union(b)
		for _, s := range []MySQL{a, b} {
			if o, err := s.Compare(u); err != nil || o == After {
				t.Fatalf("%q is not within its union %q: %v %v", s, u, o, err)
			}
		}
		if err == nil {
			seen[got]++
		}
	}
	if len(seen) != 3 {
		t.Fatalf("not every order was met: %v", seen)
	}
}

func TestJSON(t *testing.T) {
	type out struct {
		F File
		M MariaDB
		S MySQL
	}
	for _, want := range []out{{}, {must(ParseFile("b.000003:77")), must(ParseMariaDB("0-1-5,7-2-9")), must(ParseMySQL(ua + ":1-5:tag:2"))}} {
		raw := must(json.Marshal(want))
		var got out
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		if again := must(json.Marshal(got)); string(again) != string(raw) {
			t.Errorf("%s came back as %s", raw, again)
		}
	}
	var got out
	if err := json.Unmarshal([]byte(`{"M":"0-1"}`), &got); !errors.Is(err, ErrSyntax) {
		t.Errorf("a wrong position was taken: %v", err)
	}
}

// The fuzz targets: what parses prints as something that parses to the same, and is the same as itself.

func FuzzFile(f *testing.F) {
	f.Add("mariadb-bin.000001:4")
	f.Add("a.b.999999:18446744073709551615")
	f.Fuzz(func(t *testing.T, text string) { roundTrip(t, text, ParseFile) })
}

func FuzzMariaDB(f *testing.F) {
	f.Add("0-1-1,2-3-4")
	f.Add("0-1-1,\n0-2-4")
	f.Fuzz(func(t *testing.T, text string) { roundTrip(t, text, ParseMariaDB) })
}

func FuzzMySQL(f *testing.F) {
	f.Add(ua + ":1-5:7," + ub + ":1-9223372036854775806")
	f.Add(ua + ":tag:1:other:2-3")
	f.Fuzz(func(t *testing.T, text string) { roundTrip(t, text, ParseMySQL) })
}

func roundTrip[T interface {
	String() string
	Compare(T) (Order, error)
}](t *testing.T, text string, parse func(string) (T, error)) {
	p, err := parse(text)
	if err != nil {
		if !errors.Is(err, ErrSyntax) {
			t.Fatalf("%q: an error of no kind: %v", text, err)
		}
		return
	}
	q, err := parse(p.String())
	if err != nil || q.String() != p.String() {
		t.Fatalf("%q printed %q, which reads as %q, %v", text, p, q, err)
	}
	if o, err := p.Compare(q); err != nil || o != Same {
		t.Fatalf("%q to itself: %v, %v", p, o, err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
