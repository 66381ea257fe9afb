package compat

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
)

// Grants is what accounts may at a source on schemas: accounts with privileges on the schemas, their tables, columns or routines, and
// those with privileges on everything. No password is in it, and nothing that comes through roles or PUBLIC. It is kept in snapshots.
type Grants struct {
	Schemas []string   `json:"schemas"`
	Who     [][]string `json:"who"`    // account, "1" for the one that asked
	Held    [][]string `json:"held"`   // account, place, privilege, columns, whether it may grant
	Global  [][]string `json:"global"` // account, privilege
}

// ReadGrants reads them at a MariaDB; nil when the account may not look at others'.
func ReadGrants(ctx context.Context, source ask.Queryer, schemas []string) (*Grants, error) {
	var like []string
	for _, s := range schemas {
		like = append(like, ddl.Literal(s)+" LIKE TABLE_SCHEMA")
	}
	exact := func(column string) string {
		var names []string
		for _, s := range schemas {
			names = append(names, ddl.Literal(s))
		}
		return "BINARY " + column + " IN (" + strings.Join(names, ",") + ")"
	}
	// An account without SELECT on mysql.* sees its own privileges alone, as if there were no others.
	who, err := ask.Rows(ctx, source, "SELECT CONCAT('''', User, '''@''', Host, ''''), CONCAT(User, '@', Host) = CURRENT_USER() FROM mysql.global_priv"+
		" WHERE COALESCE(JSON_VALUE(Priv, '$.is_role'), '0') NOT IN ('1', 'true') AND User NOT IN ('PUBLIC', 'mariadb.sys') ORDER BY 1")
	if ask.Denied(err) {
		return nil, nil
	}
	var held [][]string // grantee, place, privilege, columns, may grant
	if err == nil {
		held, err = ask.Rows(ctx, source, "SELECT GRANTEE, CONCAT('`', REPLACE(TABLE_SCHEMA, '`', '``'), '`.*'), PRIVILEGE_TYPE, '', IS_GRANTABLE FROM information_schema.SCHEMA_PRIVILEGES WHERE "+strings.Join(like, " OR ")+
			" UNION ALL SELECT GRANTEE, CONCAT('`', REPLACE(TABLE_SCHEMA, '`', '``'), '`.`', REPLACE(TABLE_NAME, '`', '``'), '`'), PRIVILEGE_TYPE, '', IS_GRANTABLE FROM information_schema.TABLE_PRIVILEGES WHERE "+exact("TABLE_SCHEMA")+
			" UNION ALL SELECT GRANTEE, CONCAT('`', REPLACE(TABLE_SCHEMA, '`', '``'), '`.`', REPLACE(TABLE_NAME, '`', '``'), '`'), PRIVILEGE_TYPE, CONCAT('`', REPLACE(COLUMN_NAME, '`', '``'), '`'), IS_GRANTABLE FROM information_schema.COLUMN_PRIVILEGES WHERE "+exact("TABLE_SCHEMA")+
			" ORDER BY 1, 2, 4, 3")
	}
	var routines, global [][]string
	if err == nil {
		routines, err = ask.Rows(ctx, source, "SELECT CONCAT('''', User, '''@''', Host, ''''), CONCAT(Routine_type, ' `', REPLACE(Db, '`', '``'), '`.`', REPLACE(Routine_name, '`', '``'), '`'), Proc_priv FROM mysql.procs_priv WHERE "+exact("Db")+" ORDER BY 1, 2")
	}
	if err == nil {
		global, err = ask.Rows(ctx, source, "SELECT GRANTEE, PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES ORDER BY 1, 2")
	}
	if err != nil {
		return nil, fmt.Errorf("ask for privileges: %w", err)
	}
	for _, r := range routines {
		for _, p := range strings.Split(r[2], ",") {
			may := "NO"
			if slices.Contains(strings.Split(r[2], ","), "Grant") {
				may = "YES"
			}
			if p != "Grant" {
				held = append(held, []string{r[0], r[1], strings.ToUpper(p), "", may})
			}
		}
	}
	return &Grants{schemas, who, held, global}, nil
}

// Statements give accounts at the target what they may at the source, as far as it knows the privileges. The accounts are to be made
// first. Those with privileges on everything that aren't administrators (SUPER) get them on the schemas alone. nil where g is.
func (g *Grants) Statements(ctx context.Context, target ask.Queryer) ([]string, error) {
	if g == nil {
		return nil, nil
	}
	known, err := ask.Rows(ctx, target, "SHOW PRIVILEGES")
	if err != nil {
		return nil, fmt.Errorf("ask the target for its privileges: %w", err)
	}
	var names []string
	for _, k := range known {
		names = append(names, strings.ToUpper(k[0]))
	}
	return append([]string{}, grants(g.Who, g.Held, g.Global, names, g.Schemas)...), nil
}

// onSchemas are what MySQL grants on a schema, of what can be held on everything.
// https://dev.mysql.com/doc/refman/9.7/en/grant.html
var onSchemas = strings.Fields("SELECT INSERT UPDATE DELETE CREATE DROP REFERENCES INDEX ALTER CREATE_TEMPORARY_TABLES LOCK_TABLES EXECUTE CREATE_VIEW SHOW_VIEW CREATE_ROUTINE ALTER_ROUTINE EVENT TRIGGER")

func grants(who, held, global [][]string, known, schemas []string) (out []string) {
	for _, w := range who {
		if w[1] == "1" { // the account that asks: Slipway's own
			continue
		}
		type grant struct {
			place, may string
			list       []string
		}
		var all []grant
		add := func(place, privilege, columns, may string) {
			if !slices.Contains(known, privilege) || privilege == "USAGE" {
				return
			}
			if columns != "" {
				privilege += " (" + columns + ")"
			}
			if i := slices.IndexFunc(all, func(g grant) bool { return g.place == place && g.may == may }); i >= 0 {
				all[i].list = append(all[i].list, privilege)
				return
			}
			all = append(all, grant{place, may, []string{privilege}})
		}
		super := slices.ContainsFunc(global, func(g []string) bool { return g[0] == w[0] && g[1] == "SUPER" })
		for _, g := range global {
			if g[0] == w[0] && !super && slices.Contains(onSchemas, strings.ReplaceAll(g[1], " ", "_")) {
				for _, s := range schemas {
					add(ddl.Quote(s)+".*", g[1], "", "NO")
				}
			}
		}
		for _, h := range held {
			if h[0] == w[0] {
				add(h[1], strings.ToUpper(h[2]), h[3], h[4])
			}
		}
		for _, g := range all {
			s := "GRANT " + strings.Join(g.list, ", ") + " ON " + g.place + " TO " + w[0]
			if g.may == "YES" {
				s += " WITH GRANT OPTION"
			}
			out = append(out, s)
		}
	}
	return out
}
