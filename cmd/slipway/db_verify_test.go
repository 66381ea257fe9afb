package main

import (
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
)

func TestWriteComparison(t *testing.T) {
	c := dbcopy.Comparison{Source: dbcopy.ServerVersion{Name: "source db1:3306", Version: "10.11.9-MariaDB"}, Target: dbcopy.ServerVersion{Name: "target t:3306", Version: "9.7.4"}, Schemas: []string{"shop"},
		Took: 14200 * time.Millisecond, Decided: "time", Tables: 3, Views: 1, Chunks: 12, Rows: 2300000, Bytes: 5 << 20}
	const head = "source db1:3306, 10.11.9-MariaDB\ntarget t:3306, 9.7.4\nschemas shop: 3 tables, 1 views; 2,300,000 rows in 12 ranges, about 5.0 MiB, in 14.2 s\n"
	for _, x := range []struct {
		alter func()
		want  string
	}{
		{func() {}, "the target has every row that the source has, as it has it, and no other\n"},
		{func() { c.Again = dbcopy.Again{Ranges: 3, Rows: 40, Longest: 1300 * time.Millisecond} },
			"3 ranges differed at first: 40 rows of them were looked at again, and the last that became equal was so after 1.3 s\nthe target has every row that the source has, as it has it, and no other\n"},
		{func() {
			c.Again, c.Different, c.Repaired = dbcopy.Again{}, 2, 1
			c.Found = []dbcopy.Difference{{Object: "table shop.a", What: "differs", Key: "`id`=7", Fields: []string{"x", "y"}, Repaired: true}, {Object: "table shop.a", What: "the target hasn't it", Key: "`id`=8", Why: "it wasn't repaired: why"}}
		}, "\ndiffering: 2; repaired: 1\n  table shop.a, row with `id`=7: differs in x, y; repaired\n  table shop.a, row with `id`=8: the target hasn't it; it wasn't repaired: why\n" +
			"how far a follower is isn't known here: what had differed until --settle was over counts as differing\n"},
		{func() { c.Different, c.Repaired, c.Found, c.More, c.Decided = 51, 0, c.Found[1:], true, "gtid" },
			"\ndiffering: 51 or more, of which no more were looked for; repaired: 0\n  table shop.a, row with `id`=8: the target hasn't it; it wasn't repaired: why\n"},
		{func() { c.Repaired = 50 }, "\ndiffering: 51, of which 1 are named; repaired: 50\n  table shop.a, row with `id`=8: the target hasn't it; it wasn't repaired: why\n"},
	} {
		x.alter()
		var b strings.Builder
		if err := writeComparison(&b, &c); err != nil || b.String() != head+x.want {
			t.Errorf("%v, got\n%s\nwant\n%s", err, b.String(), head+x.want)
		}
	}
}

func TestCompareTeller(t *testing.T) {
	var b strings.Builder
	p := dbcopy.CompareProgress{Chunks: 5, Ranges: 2, Again: 30, Longest: 1500 * time.Millisecond, Why: "they differed", Different: 3, Repaired: 2}
	p.Rows, p.Bytes, p.TotalBytes = 1000, 10<<20, 30<<20
	began := time.Now().Add(-8 * time.Second)
	tell := &compareTeller{to: &b, began: began}
	tell.tell(p)
	tell.tell(p) // too soon after
	lost := dbcopy.CompareProgress{Say: "source: connection lost"}
	tell.tell(lost)
	tell.tell(lost) // said already
	const want = "10.0 MiB of about 30.0 MiB compared, 1,000 rows in 5 ranges, 1.2 MiB/s, about 16.0 s left; 30 rows of 2 ranges are looked at again, for 1.5 s: they differed; 3 differ, 2 of them repaired\nsource: connection lost\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	b.Reset()
	(&compareTeller{to: &b, began: time.Now()}).tell(p) // nothing before a second is over
	(&compareTeller{to: &b, began: began, quiet: true}).tell(p)
	if b.String() != "" {
		t.Errorf("said: %s", b.String())
	}
}
