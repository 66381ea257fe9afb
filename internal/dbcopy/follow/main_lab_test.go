//go:build lab

package follow

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/secret"
)

// servers are the two that most tests share; a test that kills or fills one starts its own.
var servers struct {
	lab   *dbpair.Lab
	maria *dbpair.Server
	mysql *dbpair.Server
}

func TestMain(m *testing.M) {
	machine.Main()
	if order := os.Getenv(followerVar); order != "" {
		os.Exit(followerMain(order))
	}
	os.Exit(func() int {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
		defer cancel()
		lab, err := dbpair.Open(ctx, "follow", os.Stderr)
		if err == nil {
			servers.lab = lab
			defer func() {
				if err := lab.Close(context.Background()); err != nil {
					fmt.Fprintln(os.Stderr, "error:", err)
				}
			}()
			servers.maria, err = lab.MariaDB(ctx, "maria", dbpair.Options{})
		}
		if err == nil {
			servers.mysql, err = lab.MySQL(ctx, "mysql", dbpair.Options{})
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "error: start the servers:", err)
			return 1
		}
		return m.Run()
	}())
}

func endpoint(s *dbpair.Server, user string) dbcopy.Endpoint {
	return dbcopy.Endpoint{Name: s.Name, Addr: s.Addr, User: user, Password: secret.New(dbpair.Password)}
}

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

// schema makes an empty schema on a server, without any stream, and drops it at the end.
func schema(t testing.TB, s *dbpair.Server, name string) *sql.DB {
	t.Helper()
	db := admin(t, s, "")
	clean := func() {
		for _, stmt := range []string{"DROP DATABASE IF EXISTS `" + name + "`", "DROP DATABASE IF EXISTS _slipway"} {
			if _, err := db.ExecContext(context.Background(), stmt); err != nil {
				t.Error(err)
			}
		}
	}
	clean()
	t.Cleanup(clean)
	exec(t, db, "CREATE DATABASE `"+name+"` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
	return admin(t, s, name)
}

// texts reads a column of text.
func texts(t testing.TB, db *sql.DB, query string) []string {
	t.Helper()
	out, err := ask.Each(t.Context(), db, ask.Text, query)
	if err != nil {
		t.Fatal(query, err)
	}
	return out
}

// limit ends a test's work after a while.
func limit(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
