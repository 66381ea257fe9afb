package freeze

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
)

// needed are the privileges on *.* of the account that switches. SUPER is for triggers: a server that logs lets nobody else drop
// one. Up to 10.10 it stands for those in parentheses, too (https://mariadb.com/kb/en/grant/#super).
var needed = []struct {
	name  string
	super bool // SUPER is enough up to 10.10
}{
	{"SELECT", false}, {"INSERT", false}, {"UPDATE", false}, {"DELETE", false}, {"CREATE", false}, {"ALTER", false}, {"TRIGGER", false}, {"EVENT", false}, {"PROCESS", false},
	{"REPLICATION SLAVE", false}, {"CREATE USER", false}, {"SUPER", false},
	{"BINLOG MONITOR", true}, {"SLAVE MONITOR", true}, {"SET USER", true}, {"BINLOG ADMIN", true}, {"CONNECTION ADMIN", true}, {"READ_ONLY ADMIN", true},
}

// Lacks names the privileges on *.* that the account that asks lacks for a switch. Better to know before the night.
func (m *MariaDB) Lacks(ctx context.Context) ([]string, error) {
	c, done, err := signIn(ctx, m.ep)
	if err != nil {
		return nil, err
	}
	defer done()
	var version string
	if err := c.QueryRowContext(ctx, "SELECT @@version").Scan(&version); err != nil {
		return nil, m.ep.Explain(err)
	}
	lines, err := ask.Column(ctx, c, "SHOW GRANTS") // with those of the roles that are enabled
	if err != nil {
		return nil, m.ep.Explain(fmt.Errorf("ask what the account may: %w", err))
	}
	return lacks(dbcopy.Version(version), lines), nil
}

func lacks(version int, grants []string) (out []string) {
	var has []string
	for _, l := range grants {
		g, ok := strings.CutPrefix(l, "GRANT ")
		privileges, _, global := strings.Cut(g, " ON *.* TO ")
		if ok && global {
			has = append(has, strings.Split(privileges, ", ")...)
		}
	}
	if slices.Contains(has, "ALL PRIVILEGES") {
		return nil
	}
	other := map[string]string{"READ_ONLY ADMIN": "READ ONLY ADMIN", "BINLOG MONITOR": "REPLICATION CLIENT"} // as some versions print them
	for _, n := range needed {
		switch {
		case slices.Contains(has, n.name), slices.Contains(has, other[n.name]):
		case n.super && version < 101100 && slices.Contains(has, "SUPER"):
		default:
			out = append(out, n.name)
		}
	}
	return out
}
