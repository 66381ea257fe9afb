package compat

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
)

// CascadesBySQL: the target's foreign keys are those of its SQL layer, which do less than InnoDB's (MySQL from 9.6 on, where
// innodb_native_foreign_keys is off).
func CascadesBySQL(ctx context.Context, target ask.Queryer) (bool, error) {
	v, err := Variables(ctx, target, "innodb_native_foreign_keys")
	return v["innodb_native_foreign_keys"] == "OFF", err
}

// foreignKey is one, with what it does.
type foreignKey struct {
	name, schema, table string
	columns             []string
	parentSchema        string
	parentTable         string
	parentColumns       []string
	onUpdate, onDelete  string
}

func (k *foreignKey) child() [2]string  { return [2]string{k.schema, k.table} }
func (k *foreignKey) parent() [2]string { return [2]string{k.parentSchema, k.parentTable} }

// without gives the statements that take its cascades away.
func (k *foreignKey) without() string {
	quoted := func(names []string) string {
		out := make([]string, len(names))
		for i, n := range names {
			out[i] = ddl.Quote(n)
		}
		return strings.Join(out, ", ")
	}
	at := ddl.Qualified(k.schema, k.table)
	return fmt.Sprintf("ALTER TABLE %s DROP FOREIGN KEY %s; ALTER TABLE %s ADD CONSTRAINT %s FOREIGN KEY (%s) REFERENCES %s (%s)",
		at, ddl.Quote(k.name), at, ddl.Quote(k.name), quoted(k.columns), ddl.Qualified(k.parentSchema, k.parentTable), quoted(k.parentColumns))
}

func (k *foreignKey) finding(severity Severity, what string) Finding {
	f := Finding{Check: "cascade", Severity: severity, Object: fmt.Sprintf("table %s.%s, %s", k.schema, k.table, k.name), What: what,
		Fix: k.without() + "; and the application does, the lowest rows first, what the cascade did"}
	if severity == Refuse {
		f.Stops = Follow
	}
	return f
}

// Cascades looks for foreign keys whose cascades MariaDB does and the SQL layer of MySQL 9.7 doesn't (see CascadesBySQL): some it
// refuses, and some it leaves undone without a word. Each kind was seen on 9.7.4.
func Cascades(ctx context.Context, q ask.Queryer, schemas []string) ([]Finding, error) {
	var keys []*foreignKey
	for _, schema := range schemas {
		rows, err := ask.Rows(ctx, q, "SELECT K.CONSTRAINT_NAME, K.TABLE_NAME, K.COLUMN_NAME, K.REFERENCED_TABLE_SCHEMA, K.REFERENCED_TABLE_NAME, K.REFERENCED_COLUMN_NAME, R.UPDATE_RULE, R.DELETE_RULE"+
			" FROM information_schema.KEY_COLUMN_USAGE K JOIN information_schema.REFERENTIAL_CONSTRAINTS R ON R.CONSTRAINT_SCHEMA = K.CONSTRAINT_SCHEMA AND R.TABLE_NAME = K.TABLE_NAME AND R.CONSTRAINT_NAME = K.CONSTRAINT_NAME"+
			" WHERE "+in("K.TABLE_SCHEMA", schema)+" AND "+in("R.CONSTRAINT_SCHEMA", schema)+" AND K.REFERENCED_TABLE_NAME IS NOT NULL ORDER BY K.TABLE_NAME, K.CONSTRAINT_NAME, K.ORDINAL_POSITION")
		if err != nil {
			return nil, fmt.Errorf("ask what foreign keys do: %w", err)
		}
		for i, r := range rows {
			if i == 0 || rows[i-1][0] != r[0] || rows[i-1][1] != r[1] {
				keys = append(keys, &foreignKey{name: r[0], schema: schema, table: r[1], parentSchema: r[3], parentTable: r[4], onUpdate: r[6], onDelete: r[7]})
			}
			k := keys[len(keys)-1]
			k.columns, k.parentColumns = append(k.columns, r[2]), append(k.parentColumns, r[5])
		}
	}
	return cascades(keys), nil
}

func cascades(keys []*foreignKey) (out []Finding) {
	for _, k := range keys {
		switch {
		case k.onDelete == "CASCADE" && k.child() == k.parent():
			out = append(out, k.finding(Warn, "ON DELETE CASCADE of a table to itself: MySQL 9.7 refuses to delete a row (error 6575) where two rows below it have rows below them, or where rows of another table go with these; MariaDB deletes them all. The follow stops there, and so will the application after the switch"))
		case (k.onDelete == "CASCADE" || k.onDelete == "SET NULL") && k.child() != k.parent() && reaches(keys, k.child(), k.parent()):
			out = append(out, k.finding(Refuse, "deletes cascade in a circle: from "+k.table+" to "+k.parentTable+" and by this key (ON DELETE "+k.onDelete+") back. MySQL 9.7 goes to no table twice: without an error it leaves rows there that MariaDB deletes or sets to NULL, and whose parents are gone"))
		}
		if k.onUpdate != "CASCADE" && k.onUpdate != "SET NULL" {
			continue
		}
		for _, above := range keys {
			if above.onUpdate == "CASCADE" && above.child() == k.parent() && shared(above.columns, k.parentColumns) {
				out = append(out, k.finding(Warn, "a key that changes over two levels of ON UPDATE CASCADE, by "+above.name+" of table "+above.schema+"."+above.table+" and by this key: MySQL 9.7 refuses the change (error 1452) where several rows there have one parent; MariaDB does it. The follow stops there, and so will the application after the switch"))
				break
			}
		}
	}
	return out
}

// shared: columns that a cascade changes are part of a key that has others too, so that several rows with it have one parent.
func shared(changed, key []string) bool {
	some, all := false, true
	for _, c := range key {
		is := slices.Contains(changed, c)
		some, all = some || is, all && is
	}
	return some && !all
}

// reaches: deleting rows of a table deletes, by cascades, rows of another.
func reaches(keys []*foreignKey, from, to [2]string) bool {
	seen := map[[2]string]bool{from: true}
	for todo := [][2]string{from}; len(todo) > 0; {
		at := todo[0]
		todo = todo[1:]
		for _, k := range keys {
			if k.onDelete != "CASCADE" || k.parent() != at || seen[k.child()] {
				continue
			}
			if k.child() == to {
				return true
			}
			seen[k.child()] = true
			todo = append(todo, k.child())
		}
	}
	return false
}
