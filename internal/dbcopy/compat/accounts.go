package compat

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
)

// Accounts says of each account of the source what of it the target hasn't: the way it signs in, and privileges. Accounts
// aren't carried: their passwords are known to the servers as hashes alone, and no hash of one server is the other's.
func Accounts(ctx context.Context, source, target ask.Queryer) ([]Finding, error) {
	rows, err := ask.Rows(ctx, source, "SELECT User, Host, COALESCE(JSON_VALUE(Priv, '$.plugin'), ''), COALESCE(JSON_QUERY(Priv, '$.auth_or'), ''), COALESCE(JSON_VALUE(Priv, '$.is_role'), '') FROM mysql.global_priv WHERE User <> 'mariadb.sys' ORDER BY User, Host")
	if ask.Denied(err) {
		return []Finding{unseen("account", "accounts and their privileges", "mysql.*")}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask for accounts: %w", err)
	}
	plugins, err := ask.Rows(ctx, target, "SELECT PLUGIN_NAME FROM information_schema.PLUGINS WHERE PLUGIN_TYPE = 'AUTHENTICATION' AND PLUGIN_STATUS = 'ACTIVE'")
	if err != nil {
		return nil, fmt.Errorf("ask the target for its ways to sign in: %w", err)
	}
	known, err := ask.Rows(ctx, target, "SHOW PRIVILEGES")
	if err != nil {
		return nil, fmt.Errorf("ask the target for its privileges: %w", err)
	}
	held, err := ask.Rows(ctx, source, "SELECT GRANTEE, PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES UNION SELECT GRANTEE, PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES"+
		" UNION SELECT GRANTEE, PRIVILEGE_TYPE FROM information_schema.TABLE_PRIVILEGES ORDER BY 1, 2")
	if err != nil {
		return nil, fmt.Errorf("ask for privileges: %w", err)
	}
	first := func(rows [][]string) (out []string) {
		for _, r := range rows {
			out = append(out, strings.ToUpper(r[0]))
		}
		return out
	}
	return accounts(rows, held, first(plugins), first(known)), nil
}

// refusedByCloudSQL: no account of an instance has these.
// https://cloud.google.com/sql/docs/mysql/users
var refusedByCloudSQL = []string{"SUPER", "FILE", "SHUTDOWN"}

func accounts(rows, held [][]string, plugins, known []string) (out []Finding) {
	for _, r := range rows {
		user, host, plugin, or, role := r[0], r[1], r[2], r[3], r[4] == "true" || r[4] == "1"
		f := Finding{Check: "account", Severity: Leave, Object: fmt.Sprintf("account '%s'@'%s'", user, host), Will: "it isn't carried: make it anew on the target, with caching_sha2_password"}
		grantee := fmt.Sprintf("'%s'@'%s'", user, host)
		var what []string
		switch {
		case user == "PUBLIC":
			f.Object, f.Will = "grants to PUBLIC", "they aren't carried: grant them to the accounts that need them"
			what = append(what, "MySQL has no PUBLIC")
		case role:
			f.Object, f.Will = "role "+user, "it isn't carried: make it anew on the target"
			grantee = fmt.Sprintf("'%s'@''", user)
		case or != "" && strings.Contains(or, "plugin"):
			what = append(what, "it signs in in one of several ways, of which MySQL has none together")
		case plugin != "" && !slices.Contains(plugins, strings.ToUpper(plugin)):
			what = append(what, "it signs in by "+plugin+", which the target doesn't have")
		}
		var gone []string
		for _, h := range held {
			p := strings.ToUpper(h[1])
			if (h[0] == grantee || role && h[0] == "'"+user+"'@'%'") && (slices.Contains(refusedByCloudSQL, p) || p != "USAGE" && !slices.Contains(known, p)) {
				gone = append(gone, p)
			}
		}
		if gone != nil {
			what = append(what, "privileges that the target doesn't have or Cloud SQL doesn't give: "+several(gone, 12))
		}
		if f.What = strings.Join(what, "; "); f.What == "" {
			f.What = "all of its privileges are there on the target"
		}
		out = append(out, f)
	}
	return out
}
