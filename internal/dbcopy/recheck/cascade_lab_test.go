//go:build lab

package recheck

import (
	"errors"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
)

var family = []string{
	"CREATE TABLE parent (id INT PRIMARY KEY, name VARCHAR(30))",
	"CREATE TABLE child (p INT NOT NULL, n INT NOT NULL, note VARCHAR(40), PRIMARY KEY (p, n), CONSTRAINT cp FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE)",
	"CREATE TABLE grand (id INT PRIMARY KEY, p INT, n INT, KEY (p, n), CONSTRAINT gc FOREIGN KEY (p, n) REFERENCES child (p, n) ON DELETE CASCADE ON UPDATE CASCADE)",
	"CREATE TABLE friend (id INT PRIMARY KEY, p INT, KEY (p), CONSTRAINT fp FOREIGN KEY (p) REFERENCES parent (id) ON DELETE SET NULL ON UPDATE CASCADE)",
	"CREATE TABLE side (p INT PRIMARY KEY, CONSTRAINT sp FOREIGN KEY (p) REFERENCES parent (id) ON UPDATE CASCADE)", // MySQL refuses two levels of several columns
	"CREATE TABLE low (id INT PRIMARY KEY, p INT, KEY (p), CONSTRAINT lp FOREIGN KEY (p) REFERENCES side (p) ON UPDATE CASCADE)",
	"INSERT INTO parent VALUES (1, 'one'), (2, 'two'), (3, 'three'), (5, 'five')", "INSERT INTO side VALUES (5)", "INSERT INTO low VALUES (1, 5), (2, 5)",
	"INSERT INTO child VALUES (1, 1, 'a'), (1, 2, 'b'), (2, 1, 'c'), (3, 1, 'd')",
	"INSERT INTO grand VALUES (1, 1, 1), (2, 1, 2), (3, 2, 1), (4, 3, 1)",
	"INSERT INTO friend VALUES (1, 1), (2, 2), (3, 3), (5, 5)",
}

var familyTables = []string{"parent", "child", "grand", "friend", "side", "low"}

// TestCascades: what foreign keys did isn't in the log. Where they did it at the target too, nothing is found; where they didn't, the rows are named,
// at each level that the log says the values of.
func TestCascades(t *testing.T) {
	here := "UPDATE parent SET name = 'here' WHERE id = 3"
	for _, x := range []struct {
		name, do string
		alone    bool   // the follower does it without the foreign keys
		behind   string // done at the target then
		want     []string
	}{
		{name: "deleted", do: "DELETE FROM parent WHERE id = 1"},
		{name: "moved", do: "UPDATE parent SET id = 9 WHERE id = 5"},
		{name: "deleted alone", do: "DELETE FROM parent WHERE id = 1", alone: true, want: []string{
			"table shop.child, row with `p`=1, `n`=1: only the target has it", "table shop.child, row with `p`=1, `n`=2: only the target has it", "table shop.friend, row with `id`=1: differs in p",
			"table shop.grand, row with `id`=1: only the target has it", "table shop.grand, row with `id`=2: only the target has it"}},
		{name: "moved alone", do: "UPDATE parent SET id = 9 WHERE id = 5", alone: true, want: []string{
			"table shop.friend, row with `id`=5: differs in p", "table shop.low, row with `id`=1: differs in p", "table shop.low, row with `id`=2: differs in p",
			"table shop.side, row with `p`=5: only the target has it", "table shop.side, row with `p`=9: the target hasn't it"}},
		{name: "moved, and a row lost where it went", do: "UPDATE parent SET id = 9 WHERE id = 5", behind: "DELETE FROM low WHERE id = 2", want: []string{"table shop.low, row with `id`=2: the target hasn't it"}},
		{name: "another change of the parent", do: here, alone: true, behind: "DELETE FROM grand WHERE id = 4"}, // it is a comparison's to find
	} {
		t.Run(x.name, func(t *testing.T) {
			p := newPair(t, family...)
			p.do(p.maria, here)
			p.passBy(func(ch *changes.Change) bool { ch.NoForeignKeys = x.alone; return false })
			p.do(p.maria, x.do)
			p.caughtUp()
			if x.behind != "" {
				p.do(p.my, x.behind)
			}
			err := p.check(p.link).drain()
			if x.want != nil {
				p.names(err, x.want...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if x.behind == "" {
				p.equal(familyTables...)
			}
		})
	}
}

// TestNoCascade: what a session changed without foreign keys had no consequences, and none are looked for.
func TestNoCascade(t *testing.T) {
	p := newPair(t, family...)
	c := p.check(p.link)
	p.do(p.maria, "SET SESSION foreign_key_checks = 0", "DELETE FROM parent WHERE id = 1", "SET SESSION foreign_key_checks = 1")
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	p.equal(familyTables...)
}

// TestCascadesDiffer: a foreign key that does something else at the target is refused.
func TestCascadesDiffer(t *testing.T) {
	p := newPair(t, family...)
	p.do(p.my, "ALTER TABLE grand DROP FOREIGN KEY gc", "ALTER TABLE grand ADD CONSTRAINT gc FOREIGN KEY (p, n) REFERENCES child (p, n)")
	if err := p.check(p.link).end(20 * time.Second); !errors.Is(err, ErrCascades) {
		t.Errorf("it ended with %v", err)
	}
}

// TestCascadeWhileCompared: a row that a cascade takes, of which the log says nothing, just when it was looked at for another reason, isn't a
// difference.
func TestCascadeWhileCompared(t *testing.T) {
	p := newPair(t, family...)
	c := p.check(p.link)
	for range 30 {
		p.do(p.maria, "INSERT INTO parent VALUES (8, 'eight')", "INSERT INTO child VALUES (8, 1, 'x'), (8, 2, 'y')", "INSERT INTO grand VALUES (80, 8, 1)",
			"UPDATE child SET note = 'z' WHERE p = 8", "DELETE FROM parent WHERE id = 8")
	}
	if err := c.drain(); err != nil {
		t.Error(err)
	}
	p.equal(familyTables...)
}

// TestRoom: what is kept of the log has an end, whatever the transactions; and all of them is looked at.
func TestRoom(t *testing.T) {
	p := newPair(t, "CREATE TABLE big (id INT PRIMARY KEY, n INT NOT NULL)")
	link := p.link
	link.room = 200 * (keyBytes + 5)
	p.do(p.maria, "INSERT INTO big SELECT seq, 0 FROM shop.seq_1_to_4000")
	for range 3 { // what is looked at of one has the next
		p.do(p.maria, "UPDATE big SET n = n + 1")
	}
	p.do(p.maria, "DELETE FROM big WHERE id <= 2000")
	p.caughtUp() // inserts have nothing before them
	p.passBy(func(ch *changes.Change) bool { return string(ch.Before[0]) == "3500" })
	p.do(p.maria, "UPDATE big SET n = n + 1 WHERE id > 3000")
	p.caughtUp()
	r := &run{Link: link, until: make(chan changes.Position), verified: func(changes.Position, time.Duration) {}, tell: func(string) {}}
	began := time.Now()
	p.names(r.once(t.Context(), p.from), "table shop.big, row with `id`=3500: differs in n")
	if most := r.book.most; most > link.room+2*keyBytes || most < link.room/2 {
		t.Errorf("at most %d bytes were kept, of %d", most, link.room)
	}
	t.Logf("at most %d bytes were kept; it took %s", r.book.most, time.Since(began).Round(time.Millisecond))
}
