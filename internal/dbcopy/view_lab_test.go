//go:build lab

package dbcopy

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/dbpair"
)

// TestPositionWhileOthersAsk: each transaction adds one to a sum, so a snapshot's rows say how many it has; its position must say the
// same, while monitoring asks for the server's status without a pause. Asked once, it is wrong in one snapshot of a
// hundred.
func TestPositionWhileOthersAsk(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	root := admin(t, servers.maria, "")
	exec(t, root, "DROP DATABASE IF EXISTS asked", "CREATE DATABASE asked", "CREATE TABLE asked.c (w INT PRIMARY KEY, n BIGINT)", "INSERT INTO asked.c VALUES (0,0),(1,0)")
	var first uint64
	if err := root.QueryRowContext(ctx, "SELECT SUBSTRING_INDEX(@@gtid_binlog_pos, '-', -1)").Scan(&first); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	forever := func(stmt string) {
		db := admin(t, servers.maria, "asked")
		db.SetMaxOpenConns(1)
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := db.ExecContext(ctx, stmt); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for w := range 2 {
		forever(fmt.Sprintf("UPDATE c SET n = n + 1 WHERE w = %d", w))
		forever("SHOW STATUS LIKE 'binlog_snapshot_%'")
	}
	src := endpoint(servers.maria, dbpair.Reader)
	for i := range 100 {
		v, err := openConsistent(ctx, src, 1+i%2, []string{"asked.c"})
		if err != nil {
			t.Fatal(err)
		}
		for k, c := range v.conns {
			var n uint64
			if err := c.QueryRowContext(ctx, "SELECT SUM(n) FROM asked.c").Scan(&n); err != nil {
				t.Fatal(err)
			}
			if last := v.pos.GTID.Last(); len(last) != 1 || last[0].Seq != first+n {
				t.Errorf("snapshot %d, connection %d: its rows have %d transactions, its position %s is after %d (%s)", i, k, n, v.pos.GTID, last[0].Seq-first, strings.TrimSpace(v.pos.File.String()))
			}
		}
		v.close()
	}
}
