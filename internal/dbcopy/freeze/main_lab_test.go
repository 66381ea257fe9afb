//go:build lab

package freeze

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/secret"
)

// servers: two masters that replicate from each other, each with a domain of its own, and a MySQL.
var servers struct{ a, b, my *dbpair.Server }

func TestMain(m *testing.M) {
	machine.Main()
	os.Exit(func() int {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		lab, err := dbpair.Open(ctx, "freeze", os.Stderr)
		if err == nil {
			defer func() {
				if err := lab.Close(context.Background()); err != nil {
					fmt.Fprintln(os.Stderr, "error:", err)
				}
			}()
			servers.a, err = lab.MariaDB(ctx, "a", dbpair.Options{Args: []string{"--server-id=11", "--gtid-domain-id=11"}})
		}
		if err == nil {
			servers.b, err = lab.MariaDB(ctx, "b", dbpair.Options{Args: []string{"--server-id=12", "--gtid-domain-id=12"}})
		}
		if err == nil {
			servers.my, err = lab.MySQL(ctx, "my", dbpair.Options{})
		}
		if err == nil {
			err = circle(ctx, servers.a, servers.b)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "error: start the servers:", err)
			return 1
		}
		return m.Run()
	}())
}

// circle makes two masters replicate from each other.
func circle(ctx context.Context, a, b *dbpair.Server) error {
	for _, x := range [][2]*dbpair.Server{{a, b}, {b, a}} {
		db, err := x[0].Open(dbpair.Root, "")
		if err != nil {
			return err
		}
		defer db.Close()
		_, port, err := net.SplitHostPort(x[1].Addr)
		if err != nil {
			return err
		}
		if _, err := db.ExecContext(ctx, "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT="+port+", MASTER_USER='root', MASTER_PASSWORD='"+dbpair.Password+"', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1; START SLAVE"); err != nil {
			return err
		}
	}
	return nil
}

func endpoint(s *dbpair.Server, user string) dbcopy.Endpoint {
	return dbcopy.Endpoint{Name: s.Name, Addr: s.Addr, User: user, Password: secret.New(dbpair.Password)}
}

// as opens a pool that is closed with the test.
func as(t testing.TB, s *dbpair.Server, user, schema string) *sql.DB {
	t.Helper()
	db, err := s.Open(user, schema)
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
		if _, err := db.ExecContext(context.Background(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func one(t testing.TB, db *sql.DB, query string) (s string) {
	t.Helper()
	var n sql.NullString
	if err := db.QueryRowContext(context.Background(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n.String
}

// eventually waits until the query gives what is wanted.
func eventually(t testing.TB, db *sql.DB, query, want string) {
	t.Helper()
	for began := time.Now(); ; {
		var got sql.NullString
		err := db.QueryRowContext(context.Background(), query).Scan(&got) // an error too may pass: a schema that isn't there yet
		if err == nil && got.String == want {
			return
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("%s: %q, %v after %s, want %q", query, got.String, err, time.Since(began).Round(time.Second), want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
