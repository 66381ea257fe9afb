package freeze

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
)

// ErrOneDomain: two masters that both write number their transactions in one domain, so that the log of neither has an order
// that both keep. Give each its own and switch later.
var ErrOneDomain = errors.New("two masters that both write share one gtid_domain_id")

// OneDomain refuses two masters that write in one domain.
func OneDomain(a, b State, nameA, nameB string) error {
	if a.Domain != b.Domain {
		return nil
	}
	return fmt.Errorf("%w: %s (server_id %d) and %s (server_id %d) have domain %d; type SET GLOBAL gtid_domain_id = %d on %s, and write it into its configuration",
		ErrOneDomain, nameA, a.ServerID, nameB, b.ServerID, a.Domain, b.Domain+1, nameB)
}

// ReplicationError: a server has stopped applying what its master logged. Nothing was changed. Mend its replication.
type ReplicationError struct {
	Server string
	Reason string
}

func (e *ReplicationError) Error() string {
	return fmt.Sprintf("%s doesn't apply what its master logs: %s; mend its replication (SHOW ALL SLAVES STATUS), then try again", e.Server, e.Reason)
}

// Applied waits until the server has applied the transaction, through replication. A server whose replication stands still is
// not waited for: *ReplicationError.
func (m *MariaDB) Applied(ctx context.Context, g binlog.GTID, tell func(string)) error {
	c, done, err := signIn(ctx, m.ep)
	if err != nil {
		return err
	}
	defer done()
	for began := time.Now(); ; {
		var passed int
		// 0: applied; -1: not within the second. The position of one domain says nothing of the others'.
		if err := c.QueryRowContext(ctx, "SELECT MASTER_GTID_WAIT(?, 1)", g.String()).Scan(&passed); err != nil {
			return m.ep.Explain(fmt.Errorf("wait for %s: %w", g, err))
		}
		if passed == 0 {
			return nil
		}
		reason, err := standing(ctx, c)
		if err != nil {
			return m.ep.Explain(err)
		}
		if reason != "" {
			return &ReplicationError{m.ep.Name, reason}
		}
		if tell != nil {
			tell(fmt.Sprintf("%s: waiting until it has applied %s, for %s", m.ep.Name, g, time.Since(began).Round(time.Second)))
		}
	}
}

// standing says why the server applies nothing, or "".
func standing(ctx context.Context, c *sql.Conn) (string, error) {
	masters, err := ask.Masters(ctx, c)
	if err != nil {
		return "", fmt.Errorf("ask for its replication: %w", err)
	}
	if len(masters) == 0 {
		return "it has no master", nil
	}
	for _, m := range masters {
		for _, t := range []struct{ what, state, err string }{{"Slave_SQL_Running", m.SQLRunning, m.LastSQLErr}, {"Slave_IO_Running", m.IORunning, m.LastIOErr}} {
			if t.state == "No" {
				return fmt.Sprintf("%s is %s: %s", t.what, t.state, cmp.Or(t.err, "it was stopped")), nil
			}
		}
	}
	return "", nil
}

// Drained waits until each of two frozen masters has applied the other's last transaction, and gives the position at which both
// stand: who follows one of them has everything of both when it has that. Both must be frozen and stay so.
func Drained(ctx context.Context, a, b *MariaDB, atA, atB Stopped, tell func(string)) (binlog.MariaDB, error) {
	for _, x := range []struct {
		to  *MariaDB
		own *binlog.GTID
	}{{b, atA.Own}, {a, atB.Own}} {
		if x.own == nil { // nothing was ever first written there
			continue
		}
		if err := x.to.Applied(ctx, *x.own, tell); err != nil {
			return binlog.MariaDB{}, err
		}
	}
	sa, err := a.Look(ctx)
	if err != nil {
		return binlog.MariaDB{}, err
	}
	sb, err := b.Look(ctx)
	if err != nil {
		return binlog.MariaDB{}, err
	}
	for _, x := range []struct {
		m   *MariaDB
		s   State
		was Stopped
	}{{a, sa, atA}, {b, sb, atB}} {
		if !x.s.Frozen() {
			return binlog.MariaDB{}, fmt.Errorf("%s was frozen and isn't: somebody thawed it; freeze it again", x.m.Name())
		}
		if !sameOwn(x.s.Own, x.was.Own) {
			return binlog.MariaDB{}, fmt.Errorf("%s was written to after it was frozen: its last transaction was %v and is %v", x.m.Name(), x.was.Own, x.s.Own)
		}
	}
	return union(sa, sb)
}

func sameOwn(a, b *binlog.GTID) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }

// union is the last transaction of each domain that either server has logged. With log_slave_updates a server logs what it
// applied; without it the log has its own transactions alone, and the two logs are read together.
func union(a, b State) (binlog.MariaDB, error) {
	last := map[uint32]binlog.GTID{}
	var out []binlog.GTID
	for _, g := range append(a.Logged.Last(), b.Logged.Last()...) {
		if was, ok := last[g.Domain]; !ok || was.Seq < g.Seq {
			last[g.Domain] = g
		}
	}
	for _, g := range append(a.Logged.Last(), b.Logged.Last()...) {
		if last[g.Domain] == g {
			out = append(out, g)
			delete(last, g.Domain)
		}
	}
	return binlog.NewMariaDB(out...)
}
