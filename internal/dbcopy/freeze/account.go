package freeze

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
)

// Account is one account of a server.
type Account struct {
	User string `json:"user"`
	Host string `json:"host"`
}

// String is the account as SQL names it.
func (a Account) String() string {
	return ddl.Literal(a.User) + "@" + ddl.Literal(a.Host)
}

func sortAccounts(as []Account) {
	slices.SortFunc(as, func(a, b Account) int { return strings.Compare(a.String(), b.String()) })
}

// self is the account that the session was signed in as, which is not always the user that it asked for.
func self(ctx context.Context, c *sql.Conn) (Account, error) {
	var s string
	if err := c.QueryRowContext(ctx, "SELECT CURRENT_USER()").Scan(&s); err != nil {
		return Account{}, err
	}
	i := strings.LastIndexByte(s, '@')
	return Account{s[:i], s[i+1:]}, nil
}

// setLock locks or unlocks accounts. One that was dropped meanwhile can't write either.
func setLock(ctx context.Context, c *sql.Conn, as []Account, lock bool) error {
	const noSuchUser, cannotUser, denied = 1133, 1396, 1227
	word := " ACCOUNT UNLOCK"
	if lock {
		word = " ACCOUNT LOCK"
	}
	for _, a := range as {
		_, err := c.ExecContext(ctx, "ALTER USER "+a.String()+word)
		if n := ask.Number(err); n == noSuchUser || n == cannotUser {
			continue
		}
		if ask.Number(err) == denied { // MySQL: an account with SYSTEM_USER is changed by one that has it
			err = fmt.Errorf("%w; lock it by hand, or keep it (--keep %s)", err, a.User)
		}
		if err != nil {
			return fmt.Errorf("%s of %s: %w", strings.ToLower(strings.TrimSpace(word)), a, err)
		}
	}
	return nil
}

// above says which of the accounts write in spite of read_only, from what SHOW GRANTS prints. Up to MariaDB 10.10 SUPER is
// enough (https://mariadb.com/kb/en/grant/#read_only-admin). Privileges come through roles and through PUBLIC too.
func above(version int, grants func(grantee string) ([]string, error), accounts []Account) ([]Account, error) {
	const noSuchGrant = 1141
	memo := map[string]bool{}
	var may func(grantee string) (bool, error)
	may = func(grantee string) (bool, error) {
		if known, ok := memo[grantee]; ok {
			return known, nil
		}
		memo[grantee] = false // roles don't go round, and if they did it would add nothing
		lines, err := grants(grantee)
		if ask.Number(err) == noSuchGrant { // the server doesn't go by it: a host's name with skip_name_resolve
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("ask what %s may: %w", grantee, err)
		}
		for _, l := range lines {
			g, ok := strings.CutPrefix(l, "GRANT ")
			if !ok {
				continue // SET DEFAULT ROLE
			}
			if privileges, _, global := strings.Cut(g, " ON *.* TO "); global {
				for p := range strings.SplitSeq(privileges, ", ") {
					if p == "ALL PRIVILEGES" || p == "READ_ONLY ADMIN" || p == "READ ONLY ADMIN" || p == "SUPER" && version < 101100 {
						memo[grantee] = true
						return true, nil
					}
				}
				continue
			}
			if role, _, granted := strings.Cut(g, " TO "); granted && !strings.Contains(role, " ON ") {
				through, err := may(role)
				if err != nil {
					return false, err
				}
				if through {
					memo[grantee] = true
					return true, nil
				}
			}
		}
		return false, nil
	}
	everybody := false
	if version >= 101100 {
		var err error
		if everybody, err = may("PUBLIC"); err != nil {
			return nil, err
		}
	}
	var out []Account
	for _, a := range accounts {
		yes, err := may(a.String())
		if err != nil {
			return nil, err
		}
		if yes || everybody {
			out = append(out, a)
		}
	}
	return out, nil
}
