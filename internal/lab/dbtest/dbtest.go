// Package dbtest is what tests with real databases have in common: servers that a package's tests share, statements, and an oracle that
// compares rows. Servers are reached by their pools, or by a data source name; how the code under test reaches them is its tests' own.
//
// It is for tests alone, and imports nothing of internal/dbcopy: what is asked here shares no code but the driver's with what is tested.
package dbtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/dbpair"
)

// startWithin is for servers that have to be built first.
const startWithin = 15 * time.Minute

// Main runs a package's tests on servers that start starts, and gives the exit code. machine.Main was called before it.
func Main(m *testing.M, name string, start func(context.Context, *dbpair.Lab) error) int {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	lab, err := dbpair.Open(ctx, name, os.Stderr)
	if err == nil {
		defer func() {
			if err := lab.Close(context.Background()); err != nil {
				fmt.Fprintln(os.Stderr, "error:", err)
			}
		}()
		err = start(ctx, lab)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error: start the servers:", err)
		return 1
	}
	return m.Run()
}

// Pair starts a MariaDB, with args of its own, and a MySQL.
func Pair(ctx context.Context, lab *dbpair.Lab, args ...string) (maria, mysql *dbpair.Server, err error) {
	if maria, err = lab.MariaDB(ctx, "maria", dbpair.Options{Args: args}); err != nil {
		return nil, nil, err
	}
	mysql, err = lab.MySQL(ctx, "mysql", dbpair.Options{})
	return maria, mysql, err
}

// Circle starts two masters, a and b, that replicate from each other, each with a number and a GTID domain of its own: 11 and 12.
// args are for both, more for the second.
func Circle(ctx context.Context, lab *dbpair.Lab, args []string, more ...string) (a, b *dbpair.Server, err error) {
	if a, err = lab.MariaDB(ctx, "a", dbpair.Options{Args: append([]string{"--server-id=11", "--gtid-domain-id=11"}, args...)}); err != nil {
		return nil, nil, err
	}
	if b, err = lab.MariaDB(ctx, "b", dbpair.Options{Args: append(append([]string{"--server-id=12", "--gtid-domain-id=12"}, args...), more...)}); err != nil {
		return nil, nil, err
	}
	return a, b, errors.Join(replicate(ctx, a, b), replicate(ctx, b, a))
}

func replicate(ctx context.Context, s, from *dbpair.Server) error {
	_, port, err := net.SplitHostPort(from.Addr)
	if err != nil {
		return err
	}
	db, err := s.Open(dbpair.Root, "")
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT="+port+", MASTER_USER='root', MASTER_PASSWORD='"+dbpair.Password+"', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1; START SLAVE")
	return err
}

// Lab is a lab of a test's own.
func Lab(t testing.TB, name string) *dbpair.Lab {
	t.Helper()
	lab, err := dbpair.Open(t.Context(), name, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return lab
}

// Server is one of a test's own, which is removed at the test's end: start is a lab's MariaDB or MySQL.
func Server(t testing.TB, start func(context.Context, string, dbpair.Options) (*dbpair.Server, error), name string, o dbpair.Options) *dbpair.Server {
	t.Helper()
	s, err := start(t.Context(), name, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// DSN is a data source name, as a person gives it to slipway.
func DSN(s *dbpair.Server, user string) string {
	return user + ":" + dbpair.Password + "@tcp(" + s.Addr + ")/"
}

// As is a pool that logs in as user and is closed with the test.
func As(t testing.TB, s *dbpair.Server, user, schema string) *sql.DB {
	t.Helper()
	db, err := s.Open(user, schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// Admin is a pool with all rights.
func Admin(t testing.TB, s *dbpair.Server, schema string) *sql.DB {
	t.Helper()
	return As(t, s, dbpair.Root, schema)
}

// Schema makes an empty schema and gives a pool with all rights in it. It, and what streams and loads keep of themselves at the server,
// is dropped before and at the test's end.
func Schema(t testing.TB, s *dbpair.Server, name string) *sql.DB {
	t.Helper()
	db := Admin(t, s, "")
	drop := []string{"DROP DATABASE IF EXISTS `" + name + "`", "DROP DATABASE IF EXISTS _slipway"}
	Exec(t, db, append(drop, "CREATE DATABASE `"+name+"` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")...)
	t.Cleanup(func() { Exec(t, db, drop...) })
	return Admin(t, s, name)
}

// Execer runs statements: a pool, a connection, a transaction.
type Execer interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}

// Exec runs statements one after another, in a cleanup too.
func Exec(t testing.TB, db Execer, stmts ...string) {
	t.Helper()
	for _, s := range stmts {
		if _, err := db.ExecContext(context.WithoutCancel(t.Context()), s); err != nil {
			t.Fatalf("%.2000s: %v", s, err)
		}
	}
}

// Do runs statements with all rights at a server, in a session of their own that ends with them.
func Do(t testing.TB, s *dbpair.Server, stmts ...string) {
	t.Helper()
	db, err := s.Open(dbpair.Root, "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	Exec(t, db, stmts...)
}

// Asker is asked: a pool, a connection, a transaction.
type Asker interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

// Texts gives the first column of each of a query's rows; "" for NULL too.
func Texts(t testing.TB, db Asker, query string, args ...any) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(context.WithoutCancel(t.Context()), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	vals, ptrs := make([]sql.NullString, len(names)), make([]any, len(names))
	for i := range vals {
		ptrs[i] = &vals[i]
	}
	for rows.Next() {
		if err := rows.Scan(ptrs...); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		out = append(out, vals[0].String)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return out
}

// One is the one column of a query's first row; "" for NULL too.
func One(t testing.TB, db Asker, query string, args ...any) string {
	t.Helper()
	var s sql.NullString
	if err := db.QueryRowContext(context.WithoutCancel(t.Context()), query, args...).Scan(&s); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return s.String
}

// Eventually waits until a query gives what is wanted. An error too may pass: a schema that isn't there yet.
func Eventually(t testing.TB, db Asker, query, want string) {
	t.Helper()
	const long = 20 * time.Second
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		var got sql.NullString
		err := db.QueryRowContext(t.Context(), query).Scan(&got)
		if err == nil && got.String == want {
			return
		}
		if time.Since(began) > long {
			t.Fatalf("%s: %q, %v after %s, want %q", query, got.String, err, long, want)
		}
	}
}

// Limit ends a test's work after a while.
func Limit(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
