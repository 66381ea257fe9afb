//go:build lab

package whole

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/secret"
)

var servers struct{ maria, mysql *dbpair.Server }

func TestMain(m *testing.M) {
	machine.Main()
	if text := os.Getenv(orderVar); text != "" {
		os.Exit(child(text))
	}
	os.Exit(func() int {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		lab, err := dbpair.Open(ctx, "whole", os.Stderr)
		if err == nil {
			defer func() {
				if err := lab.Close(context.Background()); err != nil {
					fmt.Fprintln(os.Stderr, "error:", err)
				}
			}()
			// Compressed events from 10 bytes on, where they are switched on; and a new file of the log now and then by itself.
			servers.maria, err = lab.MariaDB(ctx, "maria", dbpair.Options{Args: []string{"--sql-mode=", "--log-bin-compress-min-len=10", "--max-binlog-size=1048576"}})
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

func endpoint(name, addr, user string) dbcopy.Endpoint {
	return dbcopy.Endpoint{Name: name, Addr: addr, User: user, Password: secret.New(dbpair.Password)}
}

// admin is a pool with all rights.
func admin(t testing.TB, s *dbpair.Server) *sql.DB {
	t.Helper()
	db, err := s.Open(dbpair.Root, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

type execer interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}

func exec(t testing.TB, db execer, stmts ...string) {
	t.Helper()
	for _, s := range stmts {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%.3000s: %v", s, err)
		}
	}
}

// texts reads the first column.
func texts(t testing.TB, db *sql.DB, query string, args ...any) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	vals, ptrs := make([]sql.NullString, len(cols)), make([]any, len(cols))
	for i := range vals {
		ptrs[i] = &vals[i]
	}
	for rows.Next() {
		if err := rows.Scan(ptrs...); err != nil {
			t.Fatal(err)
		}
		out = append(out, vals[0].String)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// hits counts what was met.
type hits struct {
	mu sync.Mutex
	n  map[string]int
}

func (h *hits) add(what string, n int) {
	if n == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n == nil {
		h.n = map[string]int{}
	}
	h.n[what] += n
}

func (h *hits) of(what string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n[what]
}

// String lists all, by name.
func (h *hits) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names, out []string
	for n := range h.n {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		out = append(out, fmt.Sprintf("%s %d", n, h.n[n]))
	}
	return strings.Join(out, "; ")
}
