//go:build lab

package shopper_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"database/sql"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/slipway-dev/slipway/internal/lab/fleet"
	"github.com/slipway-dev/slipway/internal/lab/place"
	"github.com/slipway-dev/slipway/internal/lab/shopper"
)

// TestLabShopper buys for a while through the public name, and holds the ledger against the database: first as it
// is, then with one order lost and one altered in a copy of the tables.
func TestLabShopper(t *testing.T) {
	p, err := place.FromEnv()
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := fleet.LoadAccess(p.Access())
	if err != nil {
		t.Fatalf("the lab isn't up: %v", err)
	}
	pem, err := os.ReadFile(filepath.Join(p.Access(), fleet.AuthorityFile))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("the lab's authority has no certificate")
	}
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.DBName = "tcp", "10.77.0.51:3306", "lab", secrets.LabPassword, "shop"
	connector, err := mysql.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()

	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	stats, err := shopper.Run(ctx, shopper.Config{
		URL: "https://www.shop.example", Resolver: netip.MustParseAddrPort("10.77.0.73:53"), Roots: roots, Dir: dir,
		Rate: 5, Browsers: 1, For: duration(t), Customers: 300, Seed: uint64(time.Now().UnixNano()), Timeout: 30 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := stats.Print(&b); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", &b)
	if stats.Errors() > 0 || stats.Refused+stats.Unknown > 0 || stats.Acknowledged < 10 {
		t.Errorf("a lab at rest had %d errors, %d refused and %d unknown of %d orders", stats.Errors(), stats.Refused, stats.Unknown, stats.Acknowledged)
	}
	entries, torn, err := shopper.ReadLedger(filepath.Join(dir, shopper.LedgerFile))
	if err != nil || torn != nil {
		t.Fatalf("torn %q, %v", torn, err)
	}
	report, err := shopper.Check(ctx, db, entries)
	if err != nil || !report.Sound() || report.Acknowledged != stats.Acknowledged {
		t.Errorf("%+v, %v", report, err)
	}
	var acked []shopper.Entry
	for _, e := range entries {
		if e.Kind == shopper.Acknowledged {
			acked = append(acked, e)
		}
	}
	if len(acked) < 3 {
		t.Fatal("too few orders to damage some")
	}
	for _, damage := range []struct {
		sql, number string
		lost, alter int
	}{
		{"UPDATE orders SET number = CONCAT('X', SUBSTRING(number, 2)), token = NULL WHERE number = ?", acked[0].Number, 1, 0},
		{"UPDATE order_lines SET quantity = quantity + 1 WHERE order_id = (SELECT id FROM orders WHERE number = ?)", acked[1].Number, 0, 1},
		{"UPDATE orders SET total = total + 0.01 WHERE number = ?", acked[2].Number, 0, 1},
	} {
		got := inTransaction(ctx, t, db, damage.sql, damage.number, entries)
		if len(got.Lost) != damage.lost || len(got.Altered) != damage.alter {
			t.Errorf("after %q: %+v", damage.sql, got)
		}
	}
}

// duration is how long to shop: SHOPPER_FOR, or 20 s.
func duration(t *testing.T) time.Duration {
	t.Helper()
	v := os.Getenv("SHOPPER_FOR")
	if v == "" {
		return 20 * time.Second
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// inTransaction damages an order where nobody else sees it, checks, and takes it back.
func inTransaction(ctx context.Context, t *testing.T, db *sql.DB, statement, number string, entries []shopper.Entry) shopper.Report {
	t.Helper()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	}()
	result, err := tx.ExecContext(ctx, statement, number)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("%q changed %d rows, %v", statement, n, err)
	}
	report, err := shopper.Check(ctx, tx, entries)
	if err != nil {
		t.Fatal(err)
	}
	return report
}
