package follow

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// writer makes statements of changes, several a packet. Values are literals: that is one round trip for hundreds of
// rows, where a prepared statement needs one a row, and value.Column.Literal stores every kind bit by bit.
type writer struct {
	flavor value.Flavor
	text   []byte
	want   []int64 // how many rows each statement must find or add

	// The last statement can take more rows while they are of the same kind and table.
	open  *table
	kind  changes.Kind
	rows  int
	loose bool // outside the strict mode
	free  bool // without foreign key checks
	one   bool // no statement takes more than one row
}

// mostRows bounds a statement of many rows.
const mostRows = 500

// The modes of a session that applies; see the load's. Rows with an ENUM's value 0 are written in the second.
const (
	strictMode = "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES"
	looseMode  = "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES"
)

func (w *writer) reset() {
	w.text, w.want, w.open, w.rows = w.text[:0], w.want[:0], nil, 0
}

func (w *writer) end() {
	if w.open != nil && w.kind == changes.Delete && w.rows > 0 && len(w.open.locate) == 1 {
		w.text = append(w.text, ')')
	}
	w.open = nil
}

// plain adds a statement that finds no row.
func (w *writer) plain(stmt string) {
	w.end()
	w.semicolon()
	w.text = append(w.text, stmt...)
	w.want = append(w.want, 0)
}

func (w *writer) semicolon() {
	if len(w.text) > 0 {
		w.text = append(w.text, ';')
	}
}

// session sets what the next statement needs, where it isn't so yet.
func (w *writer) session(loose, free bool) {
	if loose != w.loose {
		mode := strictMode
		if loose {
			mode = looseMode
		}
		w.plain("SET SESSION sql_mode='" + mode + "'")
		w.loose = loose
	}
	if free != w.free {
		w.plain(fmt.Sprintf("SET SESSION foreign_key_checks=%d", map[bool]int{false: 1, true: 0}[free]))
		w.free = free
	}
}

// add appends what applies the change.
func (w *writer) add(t *table, c *changes.Change, free bool) error {
	odd := false
	if c.After != nil {
		for _, i := range t.stored {
			odd = odd || t.of.Columns[i].OddChoice(c.After[i])
		}
	}
	w.session(odd, free)
	switch c.Kind {
	case changes.Insert:
		return w.insert(t, c)
	case changes.Update:
		w.end()
		return w.update(t, c)
	case changes.Delete:
		return w.delete(t, c)
	}
	return fmt.Errorf("table %s: a change of kind %d", t.name, c.Kind)
}

// more: the last statement takes one more row of the table.
func (w *writer) more(t *table, k changes.Kind) bool {
	return w.open == t && w.kind == k && w.rows < mostRows && !w.one
}

func (w *writer) begin(t *table, k changes.Kind) {
	w.end()
	w.semicolon()
	w.open, w.kind, w.rows = t, k, 0
	w.want = append(w.want, 0)
}

func (w *writer) counted() {
	w.rows++
	w.want[len(w.want)-1]++
}

func (w *writer) insert(t *table, c *changes.Change) (err error) {
	if w.more(t, changes.Insert) {
		w.text = append(w.text, ',')
	} else {
		w.begin(t, changes.Insert)
		w.text = append(w.text, "INSERT INTO "...)
		w.text = append(append(w.text, t.name...), " ("...)
		for k, i := range t.stored {
			if k > 0 {
				w.text = append(w.text, ',')
			}
			w.text = append(w.text, ddl.Quote(t.of.Columns[i].Name)...)
		}
		w.text = append(w.text, ") VALUES "...)
	}
	w.text = append(w.text, '(')
	for k, i := range t.stored {
		if k > 0 {
			w.text = append(w.text, ',')
		}
		if w.text, err = w.literal(t.of.Columns[i], c.After[i]); err != nil {
			return err
		}
	}
	w.text = append(w.text, ')')
	w.counted()
	return nil
}

// update sets the columns that changed. Those that the change leaves as they are may be large, and be in keys.
func (w *writer) update(t *table, c *changes.Change) (err error) {
	w.begin(t, changes.Update)
	w.text = append(append(append(w.text, "UPDATE "...), t.name...), " SET "...)
	sep := ""
	for _, i := range t.stored {
		same := (c.Before[i] == nil) == (c.After[i] == nil) && bytes.Equal(c.Before[i], c.After[i])
		if same && !slices.Contains(t.touch, i) {
			continue
		}
		w.text = append(append(append(w.text, sep...), ddl.Quote(t.of.Columns[i].Name)...), '=')
		if w.text, err = w.literal(t.of.Columns[i], c.After[i]); err != nil {
			return err
		}
		sep = ","
	}
	if sep == "" { // only computed columns changed, or none: the row must be there all the same
		name := ddl.Quote(t.of.Columns[t.stored[0]].Name)
		w.text = append(w.text, name+"="+name...)
	}
	w.text = append(w.text, " WHERE "...)
	if err := w.where(t, c.Before); err != nil {
		return err
	}
	w.counted()
	w.open = nil
	return nil
}

func (w *writer) delete(t *table, c *changes.Change) (err error) {
	single := len(t.locate) == 1 && !t.parent // rows of a parent may go with each other
	if single && w.more(t, changes.Delete) {
		w.text = append(w.text, ',')
	} else {
		w.begin(t, changes.Delete)
		w.text = append(append(append(w.text, "DELETE FROM "...), t.name...), " WHERE "...)
		if !single {
			if err := w.where(t, c.Before); err != nil {
				return err
			}
			w.counted()
			w.open = nil
			return nil
		}
		w.text = append(w.text, ddl.Quote(t.named[0])+" IN ("...)
	}
	if err := w.match(t.of.Columns[t.locate[0]], c.Before[t.locate[0]]); err != nil {
		return err
	}
	w.counted()
	return nil
}

// where finds the row.
func (w *writer) where(t *table, vals [][]byte) error {
	for k, i := range t.locate {
		if k > 0 {
			w.text = append(w.text, " AND "...)
		}
		w.text = append(w.text, ddl.Quote(t.named[k])+"="...)
		if err := w.match(t.of.Columns[i], vals[i]); err != nil {
			return err
		}
	}
	return nil
}

// match appends what a column is compared with. Text is compared in the column's own collation, so that its index
// serves.
func (w *writer) match(c value.Column, v []byte) (err error) {
	if v == nil {
		return fmt.Errorf("column %s: a key's value is NULL", c.Name)
	}
	switch c.Kind {
	case value.Short, value.Long:
		if c.Charset != "" && c.Charset != "binary" {
			cs := c.Charset
			if cs == "utf8" {
				cs = "utf8mb3"
			}
			w.text = fmt.Appendf(w.text, "_%s x'%x'", cs, v)
			return nil
		}
		w.text = fmt.Appendf(w.text, "x'%x'", v)
		return nil
	}
	w.text, err = w.literal(c, v)
	return err
}

func (w *writer) literal(c value.Column, v []byte) ([]byte, error) {
	if w.flavor == value.MariaDB && c.Kind == value.Address && v != nil {
		// Bytes would be taken for the address itself, not for its text.
		return ddl.AppendLiteral(append(w.text, "_latin1"...), v), nil
	}
	return c.Literal(w.text, v)
}

// printed names what a change did, for messages.
func printed(k changes.Kind) string {
	return [...]string{"?", "insert", "update", "delete"}[min(int(k), 3)]
}

// joined lists texts one a line.
func joined(lines []string) string { return strings.Join(lines, "\n  ") }
