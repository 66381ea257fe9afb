//go:build lab

package changes

import (
	"context"
	"database/sql"
	"os"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/secret"
)

// servers are the two that most tests share; a test that stops one or changes its settings starts its own.
var servers struct {
	lab   *dbpair.Lab
	maria *dbpair.Server
	mysql *dbpair.Server
}

// execute is the tests' short name.
var execute = dbtest.Exec

func TestMain(m *testing.M) {
	machine.Main()
	os.Exit(dbtest.Main(m, "changes", func(ctx context.Context, lab *dbpair.Lab) (err error) {
		servers.lab = lab
		servers.maria, servers.mysql, err = dbtest.Pair(ctx, lab)
		return err
	}))
}

// side is one server as the tests see it.
type side struct {
	*dbpair.Server
	flavor value.Flavor
}

func maria() side { return side{servers.maria, value.MariaDB} }
func my() side    { return side{servers.mysql, value.MySQL} }

func (s side) source() Source {
	return Source{dbcopy.Endpoint{Name: s.Name, Addr: s.Addr, User: dbpair.Root, Password: secret.New(dbpair.Password)}, s.flavor}
}

// schema makes an empty schema and gives a pool of one connection in it.
func schema(t testing.TB, s side, name string) *sql.DB {
	t.Helper()
	in := dbtest.Schema(t, s.Server, name)
	in.SetMaxOpenConns(1)
	return in
}

// describe reads a table's columns as the survey does, in the tests' own words.
func describe(t testing.TB, db *sql.DB, schema, name string) Table {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE = 'YES', COALESCE(CHARACTER_SET_NAME,''), GENERATION_EXPRESSION IS NOT NULL AND GENERATION_EXPRESSION <> ''"+
		" FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION", schema, name)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := Table{Schema: schema, Name: name}
	for rows.Next() {
		var c value.Column
		if err := rows.Scan(&c.Name, &c.Type, &c.ColumnType, &c.Null, &c.Charset, &c.Generated); err != nil {
			t.Fatal(err)
		}
		c.Zerofill = contains([]string{c.ColumnType[max(0, len(c.ColumnType)-8):]}, "zerofill")
		var ok bool
		if c.Kind, ok = value.KindOf(c.Type); !ok {
			t.Fatalf("%s: no kind of %s", c.Name, c.Type)
		}
		out.Columns = append(out.Columns, c)
	}
	if err := rows.Err(); err != nil || len(out.Columns) == 0 {
		t.Fatal(name, err)
	}
	return out
}

// open reads from where the log ends now.
func open(t testing.TB, s side, o Options, tables ...Table) *Stream {
	t.Helper()
	from, err := Tip(t.Context(), s.source())
	if err != nil {
		t.Fatal(err)
	}
	return openAt(t, s, from, o, tables...)
}

func openAt(t testing.TB, s side, from Position, o Options, tables ...Table) *Stream {
	t.Helper()
	o.Tables = tables
	o.Tell = func(text string) { t.Log(text) }
	st, err := Open(t.Context(), s.source(), from, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// next gives the next transaction that is one.
func next(t testing.TB, s *Stream) *Transaction {
	t.Helper()
	tx, err := try(t, s)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func try(t testing.TB, s *Stream) (*Transaction, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		tx, err := s.Next(ctx)
		if err != nil || tx.GTID != "" {
			return tx, err
		}
	}
}
