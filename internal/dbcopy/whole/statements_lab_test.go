//go:build lab

package whole

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/dbgen"
)

// schema is one of the made-up ones.
type schema struct {
	name   string
	tables []*dbgen.Table
}

// on is a table of a schema.
type on struct {
	schema string
	*dbgen.Table
}

func (o on) String() string { return dbgen.Quote(o.schema) + "." + dbgen.Quote(o.Name) }

// statement is one that is sent. Whether the server takes it depends on the rows that there are.
type statement struct {
	text string
	what string // counted when it changed rows and was committed; "": not
	of   string // the table
	// after: what is counted only if as many statements before it, of the same transaction, changed rows as well.
	after int
	lines string // LOAD DATA: what it reads
}

// made makes statements. The same random numbers make the same.
type made struct {
	r       *rand.Rand
	schemas []schema
	favour  int // of the schemas, these every favourth get most
	of      int
	reader  string // what LOAD DATA reads
}

// table draws one for which ok holds; ok may be nil.
func (m *made) table(ok func(*dbgen.Table) bool) (on, bool) {
	for range 40 {
		i := m.r.IntN(len(m.schemas))
		if m.r.IntN(6) > 0 { // others mostly write elsewhere, so that they don't wait for each other all the time
			i -= i % m.of
			i += m.favour
		}
		s := m.schemas[min(i, len(m.schemas)-1)]
		t := dbgen.Pick(m.r, s.tables...)
		if ok == nil || ok(t) {
			return on{s.name, t}, true
		}
	}
	return on{}, false
}

// row is values for all stored columns, given ones among them.
func (m *made) row(t on, given map[int]string) string {
	var vals []string
	_, at := t.Stored()
	for _, i := range at {
		v, ok := given[i]
		if !ok {
			v = t.Columns[i].Value(m.r)
		}
		vals = append(vals, v)
	}
	return "(" + strings.Join(vals, ",") + ")"
}

func (m *made) into(t on) string {
	names, _ := t.Stored()
	return "INTO " + t.String() + " (" + strings.Join(names, ",") + ")"
}

// equal is a condition that columns have values, or with a comma what gives them these.
func equal(t on, columns []int, values []string, between string) string {
	var out []string
	for k, i := range columns {
		out = append(out, dbgen.Quote(t.Columns[i].Name)+" = "+values[k])
	}
	return strings.Join(out, between)
}

func (m *made) known(t on, columns []int) []string {
	out := make([]string, len(columns))
	for k, i := range columns {
		out[k] = t.Columns[i].Known(m.r)
	}
	return out
}

func byKey(t on, desc string) string {
	var out []string
	for _, i := range t.Keys[0].Columns {
		out = append(out, dbgen.Quote(t.Columns[i].Name)+desc)
	}
	return " ORDER BY " + strings.Join(out, ",")
}

// some chooses one row, or a few.
func (m *made) some(t on) string {
	k := dbgen.Pick(m.r, t.Keys...)
	switch m.r.IntN(5) {
	case 0:
		return byKey(t, dbgen.Pick(m.r, "", " DESC")) + fmt.Sprintf(" LIMIT %d", 1+m.r.IntN(3))
	case 1:
		return fmt.Sprintf(" ORDER BY RAND(%d) LIMIT %d", m.r.IntN(1000), 1+m.r.IntN(3))
	}
	return " WHERE " + equal(t, k.Columns, m.known(t, k.Columns), " AND ")
}

// plain are the columns that are in no key.
func plain(t *dbgen.Table) (out []int) {
	_, at := t.Stored()
	for _, i := range at {
		if !t.InKey(i) {
			out = append(out, i)
		}
	}
	return out
}

// set gives columns that are in no key other values.
func (m *made) set(t on) string {
	can := plain(t.Table)
	m.r.Shuffle(len(can), func(i, j int) { can[i], can[j] = can[j], can[i] })
	var out []string
	for _, i := range can[:1+m.r.IntN(min(3, len(can)))] {
		out = append(out, dbgen.Quote(t.Columns[i].Name)+" = "+t.Columns[i].Value(m.r))
	}
	return strings.Join(out, ", ")
}

func hasPlain(t *dbgen.Table) bool { return len(plain(t)) > 0 }

// a numbered table grows without bounds, so it is for many rows.
func numbered(t *dbgen.Table) bool { return t.Columns[0].Auto && len(t.Keys) == 1 && len(t.Refs) == 0 }

// The kinds of changes that are counted when they changed a row and were committed.
const (
	insertRow     = "INSERT"
	insertRows    = "INSERT of several rows"
	insertSelect  = "INSERT SELECT"
	loadData      = "LOAD DATA"
	replaceRow    = "REPLACE"
	replaced      = "REPLACE of rows that were there"
	onDuplicate   = "ON DUPLICATE KEY UPDATE"
	onDuplicateUp = "ON DUPLICATE KEY UPDATE that updated"
	updateRow     = "UPDATE"
	updateRows    = "UPDATE of many rows"
	updateNothing = "UPDATE of no effect"
	updateKey     = "UPDATE of a key"
	swap          = "swap of unique values"
	deleteRow     = "DELETE"
	cascadeDelete = "a deleted parent: "
	cascadeUpdate = "a parent's key updated: "
	unchecked     = "foreign_key_checks=0"
	savepoint     = "rolled back to a savepoint"
	rolledBack    = "rolled back"
	large         = "many rows in a transaction"
	barrier       = "over 5,000 rows in a transaction"
	autoIncrement = "AUTO_INCREMENT"
	severalTables = "several tables in a transaction"
)

var changeKinds = []string{insertRow, insertRows, insertSelect, loadData, replaceRow, replaced, onDuplicate, onDuplicateUp, updateRow, updateRows, updateNothing, updateKey, swap, deleteRow,
	cascadeDelete + "CASCADE", cascadeDelete + "SET NULL", cascadeUpdate + "CASCADE", cascadeUpdate + "SET NULL", unchecked, savepoint, rolledBack, large, barrier, autoIncrement, severalTables}

// change makes the statements of one change.
func (m *made) change() []statement {
	one := func(t on, what, f string, a ...any) []statement {
		return []statement{{text: fmt.Sprintf(f, a...), what: what, of: t.String()}}
	}
	t, _ := m.table(nil)
	ignore := dbgen.Pick(m.r, "", "", "IGNORE ")
	switch m.r.IntN(30) {
	case 0, 1, 2:
		what := insertRow
		if t.Columns[0].Auto {
			what = autoIncrement
		}
		return one(t, what, "INSERT %s%s VALUES %s", ignore, m.into(t), m.row(t, nil))
	case 3, 4:
		var rows []string
		for range 2 + m.r.IntN(6) {
			rows = append(rows, m.row(t, nil))
		}
		return one(t, insertRows, "INSERT %s%s VALUES %s", dbgen.Pick(m.r, "", "IGNORE ", "IGNORE "), m.into(t), strings.Join(rows, ","))
	case 5:
		return m.copied(t)
	case 6:
		names, at := t.Stored()
		var set []string
		for k, i := range at {
			set = append(set, names[k]+" = "+t.Columns[i].Value(m.r))
		}
		return []statement{{text: "LOAD DATA LOCAL INFILE 'Reader::" + m.reader + "' " + ignore + "INTO TABLE " + t.String() + " CHARACTER SET utf8mb4 (@line) SET " + strings.Join(set, ", "),
			what: loadData, of: t.String(), lines: strings.Repeat("a line\n", 1+m.r.IntN(3))}}
	case 7, 8:
		return one(t, replaceRow, "REPLACE %s VALUES %s", m.into(t), m.row(t, nil))
	case 9, 10:
		if hasPlain(t.Table) {
			return one(t, onDuplicate, "INSERT %s VALUES %s ON DUPLICATE KEY UPDATE %s", m.into(t), m.row(t, nil), m.set(t))
		}
	case 11, 12, 13:
		if hasPlain(t.Table) {
			return one(t, updateRow, "UPDATE %s SET %s%s", t, m.set(t), m.some(t))
		}
	case 14:
		if hasPlain(t.Table) {
			return one(t, updateRows, "UPDATE %s SET %s LIMIT %d", t, m.set(t), 5+m.r.IntN(15))
		}
	case 15:
		name := dbgen.Quote(t.Columns[t.Keys[0].Columns[0]].Name)
		return one(t, updateNothing, "UPDATE %s SET %s = %s LIMIT 3", t, name, name)
	case 16, 17:
		k := dbgen.Pick(m.r, t.Keys...)
		i := dbgen.Pick(m.r, k.Columns...)
		return one(t, updateKey, "UPDATE %s%s SET %s = %s%s", ignore, t, dbgen.Quote(t.Columns[i].Name), t.Columns[i].Known(m.r), m.some(t))
	case 18:
		return m.swap(t)
	case 19, 20, 21:
		return one(t, deleteRow, "DELETE FROM %s%s", t, m.some(t))
	case 22, 23, 24:
		return m.family()
	case 25, 26:
		return m.unchecked()
	case 27:
		if m.r.IntN(12) == 0 {
			return m.large()
		}
	case 28:
		if t, ok := m.table(numbered); ok {
			return one(t, deleteRow, "DELETE FROM %s%s LIMIT %d", t, byKey(t, ""), 50+m.r.IntN(200))
		}
	case 29:
		if len(t.Refs) > 0 {
			f := dbgen.Pick(m.r, t.Refs...)
			i := dbgen.Pick(m.r, f.Columns...)
			return one(t, updateRow, "UPDATE %s%s SET %s = %s%s", ignore, t, dbgen.Quote(t.Columns[i].Name), t.Columns[i].Value(m.r), m.some(t))
		}
	}
	return one(t, insertRow, "INSERT IGNORE %s VALUES %s", m.into(t), m.row(t, nil))
}

// copied inserts rows made of ones that are there.
func (m *made) copied(t on) []statement {
	names, at := t.Stored()
	var vals []string
	for k, i := range at {
		v := names[k]
		if t.InKey(i) {
			v = t.Columns[i].Value(m.r)
		}
		vals = append(vals, v)
	}
	n := 1
	if numbered(t.Table) {
		n = 5
	}
	return []statement{{text: fmt.Sprintf("INSERT IGNORE %s SELECT %s FROM %s LIMIT %d", m.into(t), strings.Join(vals, ","), t, n), what: insertSelect, of: t.String()}}
}

// swap has two rows change their values of a key.
func (m *made) swap(t on) []statement {
	k := dbgen.Pick(m.r, t.Keys...)
	a, b := m.known(t, k.Columns), m.known(t, k.Columns)
	aside := make([]string, len(k.Columns))
	for x, i := range k.Columns {
		aside[x] = t.Columns[i].New(m.r)
	}
	move := func(from, to []string, after int) statement {
		s := statement{of: t.String(), after: after, text: fmt.Sprintf("UPDATE %s SET %s WHERE %s", t, equal(t, k.Columns, to, ", "), equal(t, k.Columns, from, " AND "))}
		if after > 0 {
			s.what = swap
		}
		return s
	}
	return []statement{move(a, aside, 0), move(b, a, 0), move(aside, b, 2)}
}

// family makes a parent and a child of it, and then the parent goes or gets another key.
func (m *made) family() []statement {
	t, ok := m.table(func(t *dbgen.Table) bool { return len(t.Refs) > 0 })
	if !ok {
		return nil
	}
	f := dbgen.Pick(m.r, t.Refs...)
	p := on{t.schema, f.Parent}
	key, given, mine := m.known(p, f.Of), map[int]string{}, map[int]string{}
	for k := range key {
		given[f.Of[k]], mine[f.Columns[k]] = key[k], key[k]
	}
	out := []statement{{text: "INSERT IGNORE " + m.into(p) + " VALUES " + m.row(p, given), of: p.String()}, {text: "INSERT IGNORE " + m.into(t) + " VALUES " + m.row(t, mine), of: t.String()}}
	if m.r.IntN(3) == 0 { // the child by itself first
		out = append(out, statement{text: "COMMIT"}, statement{text: "START TRANSACTION"})
	}
	last := statement{of: p.String(), after: 1, what: cascadeDelete + f.OnDelete, text: "DELETE FROM " + p.String() + " WHERE " + equal(p, f.Of, key, " AND ")}
	if m.r.IntN(2) == 0 {
		i := m.r.IntN(len(f.Of))
		c := p.Columns[f.Of[i]]
		last.what, last.text = cascadeUpdate+f.OnUpdate, fmt.Sprintf("UPDATE %s SET %s = %s WHERE %s", p, dbgen.Quote(c.Name), dbgen.Pick(m.r, c.Known(m.r), c.New(m.r)), equal(p, f.Of, key, " AND "))
	}
	return append(out, last)
}

// unchecked is a session without foreign keys: parents go and children stay.
func (m *made) unchecked() []statement {
	t, ok := m.table(func(t *dbgen.Table) bool { return len(t.Refs) > 0 })
	if !ok {
		return nil
	}
	f := dbgen.Pick(m.r, t.Refs...)
	p := on{t.schema, f.Parent}
	s := statement{what: unchecked}
	switch m.r.IntN(3) {
	case 0:
		s.of, s.text = p.String(), "DELETE FROM "+p.String()+m.some(p)
	case 1:
		s.of, s.text = t.String(), "INSERT IGNORE "+m.into(t)+" VALUES "+m.row(t, nil)
	case 2:
		c := p.Columns[dbgen.Pick(m.r, f.Of...)]
		s.of, s.text = p.String(), fmt.Sprintf("UPDATE IGNORE %s SET %s = %s%s", p, dbgen.Quote(c.Name), c.Known(m.r), m.some(p))
	}
	return []statement{{text: "SET SESSION foreign_key_checks = 0"}, s, {text: "SET SESSION foreign_key_checks = 1"}}
}

// large are many rows: as many as go to disk, or so many that the follower applies nothing beside them.
func (m *made) large() []statement {
	t, ok := m.table(numbered)
	if !ok {
		return nil
	}
	names, at := t.Stored()
	var vals []string
	for _, i := range at {
		vals = append(vals, t.Columns[i].Value(m.r))
	}
	vals[0] = "NULL"
	n, what := 200+m.r.IntN(300), large
	if m.r.IntN(8) == 0 {
		n, what = 5100, barrier
	}
	out := []statement{{text: fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s.seq_1_to_%d", t, strings.Join(names, ","), strings.Join(vals, ","), dbgen.Quote(t.schema), n), what: what, of: t.String()}}
	return append(out, statement{text: fmt.Sprintf("DELETE FROM %s%s DESC LIMIT %d", t, byKey(t, ""), n-m.r.IntN(100)), what: deleteRow, of: t.String()})
}

// transaction makes one: some changes, of which some are rolled back.
func (m *made) transaction() []statement {
	if m.r.IntN(5) == 0 { // by themselves
		out := m.change()
		if slices.ContainsFunc(out, func(s statement) bool { return s.text == "START TRANSACTION" }) {
			out = append(out, statement{text: "COMMIT"})
		}
		return out
	}
	out := []statement{{text: "START TRANSACTION"}}
	for range 1 + m.r.IntN(4) {
		if m.r.IntN(8) == 0 {
			out = append(out, statement{text: "SAVEPOINT here"})
			for _, s := range m.change() {
				if s.what != "" {
					s.what = savepoint
				}
				if s.text != "COMMIT" && s.text != "START TRANSACTION" {
					out = append(out, s)
				}
			}
			out = append(out, statement{text: "ROLLBACK TO SAVEPOINT here"})
		}
		out = append(out, m.change()...)
	}
	return append(out, statement{text: dbgen.Pick(m.r, "COMMIT", "COMMIT", "COMMIT", "COMMIT", "COMMIT", "COMMIT", "COMMIT", "ROLLBACK")})
}
