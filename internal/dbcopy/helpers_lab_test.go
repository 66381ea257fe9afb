//go:build lab

package dbcopy

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/snapshot"
)

const testRun snapshot.ID = "20261123-010203-7f3a"

var testOwner = Owner{string(testRun), 1}

func endpoint(s *dbpair.Server, user string) Endpoint {
	return Endpoint{Name: s.Name, Addr: s.Addr, User: user, Password: secret.New(dbpair.Password)}
}

func testSource() *Source { return NewSource(endpoint(servers.maria, dbpair.Reader)) }
func testTarget() *Target { return NewTarget(endpoint(servers.mysql, dbpair.Loader)) }

// admin is a pool with all rights.
func admin(t testing.TB, s *dbpair.Server, schema string) *sql.DB {
	t.Helper()
	db, err := s.Open(dbpair.Root, schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func exec(t testing.TB, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, stmts ...string) {
	t.Helper()
	for _, s := range stmts {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%.2000s: %v", s, err)
		}
	}
}

// schemas makes empty schemas of one name on both servers, and drops them and the load's own at the end.
func schemas(t testing.TB, name string) (maria, my *sql.DB) {
	t.Helper()
	for _, s := range []*dbpair.Server{servers.maria, servers.mysql} {
		db := admin(t, s, "")
		exec(t, db, "DROP DATABASE IF EXISTS `"+name+"`", "CREATE DATABASE `"+name+"` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
		t.Cleanup(func() {
			if _, err := db.ExecContext(context.Background(), "DROP DATABASE IF EXISTS `"+name+"`"); err != nil {
				t.Error(err)
			}
		})
	}
	db := admin(t, servers.mysql, "")
	exec(t, db, "DROP DATABASE IF EXISTS _slipway")
	t.Cleanup(func() {
		if _, err := db.ExecContext(context.Background(), "DROP DATABASE IF EXISTS _slipway"); err != nil {
			t.Error(err)
		}
	})
	return admin(t, servers.maria, name), admin(t, servers.mysql, name)
}

// take makes a snapshot in a store of the test's own.
func take(t testing.TB, o Options) *snapshot.Artifact {
	t.Helper()
	store, err := snapshot.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o.Tool = "test"
	if _, err := testSource().Take(t.Context(), store, testRun, o); err != nil {
		t.Fatal(err)
	}
	art, err := store.Open(t.Context(), testRun, snapshot.MariaDB)
	if err != nil {
		t.Fatal(err)
	}
	if err := art.Verify(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return art
}

func load1(t testing.TB, art *snapshot.Artifact, o LoadOptions) Loaded {
	t.Helper()
	l, err := testTarget().Load(t.Context(), art, testOwner, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// differences verifies and gives what differs.
func differences(t testing.TB, art *snapshot.Artifact) []string {
	t.Helper()
	_, err := testTarget().Verify(t.Context(), art, VerifyOptions{})
	var d *DifferentError
	if err != nil && !errors.As(err, &d) {
		t.Fatal(err)
	}
	var out []string
	if d != nil {
		for _, x := range d.Differences {
			out = append(out, x.String())
		}
	}
	return out
}

// oracle reads a table by the binary protocol, with no expression over its columns, and gives its rows as text, sorted.
// It shares nothing with the code under test but the driver.
func oracle(t testing.TB, db *sql.DB, table string, columns []string) []string {
	t.Helper()
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	exec(t, c, "SET character_set_results = NULL, time_zone = '+00:00'")
	quoted := make([]string, len(columns))
	for i, n := range columns {
		quoted[i] = "`" + strings.ReplaceAll(n, "`", "``") + "`"
	}
	// The parameter makes the driver prepare the statement.
	rows, err := c.QueryContext(t.Context(), "SELECT "+strings.Join(quoted, ",")+" FROM `"+strings.ReplaceAll(table, "`", "``")+"` WHERE 1 = ?", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		vals, ptrs := make([]any, len(columns)), make([]any, len(columns))
		for i := range vals {
			ptrs[i] = &vals[i]
		}
		if err := rows.Scan(ptrs...); err != nil {
			t.Fatal(err)
		}
		var row strings.Builder
		for i, v := range vals {
			fmt.Fprintf(&row, "%s=", columns[i])
			switch v := v.(type) {
			case []byte:
				row.WriteString("bytes:" + hex.EncodeToString(v))
			case float64:
				fmt.Fprintf(&row, "double:%016x", math.Float64bits(v))
			case float32:
				fmt.Fprintf(&row, "float:%08x", math.Float32bits(v))
			default:
				fmt.Fprintf(&row, "%T:%v", v, v)
			}
			row.WriteByte(' ')
		}
		out = append(out, row.String())
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// equalByOracle fails the test when a table differs.
func equalByOracle(t testing.TB, maria, my *sql.DB, table string, columns []string) (rows int) {
	t.Helper()
	a, b := oracle(t, maria, table, columns), oracle(t, my, table, columns)
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			t.Fatalf("table %s: %d rows at the source, %d at the target; the first that differs:\n%s\n%s", table, len(a), len(b), at(a, i), at(b, i))
		}
	}
	return len(a)
}

func at(xs []string, i int) string {
	if i < len(xs) {
		return xs[i]
	}
	return "(none)"
}

// columnsOf are the names of a table's columns.
func columnsOf(t testing.TB, db *sql.DB, schema, table string) []string {
	t.Helper()
	names, err := ask.Each(t.Context(), db, ask.Text, "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION", schema, table)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// within fails the test when it takes longer.
func deadline(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
