package freeze

import (
	"errors"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// TestAbove: what SHOW GRANTS prints, of servers before and since 10.11.
func TestAbove(t *testing.T) {
	grants := map[string][]string{
		"'app'@'%'":     {"GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*1'", "GRANT ALL PRIVILEGES ON `shop`.* TO `app`@`%`"},
		"'super'@'%'":   {"GRANT SELECT, SUPER, RELOAD ON *.* TO `super`@`%`"},
		"'all'@'%'":     {"GRANT ALL PRIVILEGES ON *.* TO `all`@`%` WITH GRANT OPTION"},
		"'ro'@'%'":      {"GRANT READ_ONLY ADMIN ON *.* TO `ro`@`%`"},
		"'old-ro'@'%'":  {"GRANT READ ONLY ADMIN ON *.* TO `old-ro`@`%`"},
		"'role'@'%'":    {"GRANT `a` TO `role`@`%`", "GRANT USAGE ON *.* TO `role`@`%`", "SET DEFAULT ROLE `a` FOR `role`@`%`"},
		"`a`":           {"GRANT `b` TO `a`", "GRANT USAGE ON *.* TO `a`"},
		"`b`":           {"GRANT `a` TO `b`", "GRANT READ_ONLY ADMIN ON *.* TO `b`"},
		"'table'@'%'":   {"GRANT USAGE ON *.* TO `table`@`%`", "GRANT SELECT ON `shop`.`SUPER` TO `table`@`%`", "GRANT EXECUTE ON PROCEDURE `shop`.`READ_ONLY ADMIN` TO `table`@`%`"},
		"PUBLIC":        {},
		"'gone'@'host'": nil,
	}
	ask := func(grantee string) ([]string, error) {
		lines, ok := grants[grantee]
		if !ok {
			return nil, errors.New("asked of " + grantee)
		}
		if lines == nil {
			return nil, &mysql.MySQLError{Number: 1141}
		}
		return lines, nil
	}
	accounts := []Account{{"all", "%"}, {"app", "%"}, {"gone", "host"}, {"old-ro", "%"}, {"ro", "%"}, {"role", "%"}, {"super", "%"}, {"table", "%"}}
	for version, want := range map[int]string{
		100518: "all@% old-ro@% ro@% role@% super@%",
		101100: "all@% old-ro@% ro@% role@%",
		110800: "all@% old-ro@% ro@% role@%",
	} {
		got, err := above(version, ask, accounts)
		if text := names(got); err != nil || text != want {
			t.Errorf("%d: %s (%v), want %s", version, text, err, want)
		}
	}
	grants["PUBLIC"] = []string{"GRANT READ_ONLY ADMIN ON *.* TO `PUBLIC`"}
	if got, err := above(101100, ask, accounts); err != nil || len(got) != len(accounts) {
		t.Errorf("granted to everybody: %v, %v", got, err)
	}
	delete(grants, "'app'@'%'")
	if got, err := above(101100, ask, accounts); err == nil {
		t.Errorf("an account that can't be asked of is none that is bound: %v", got)
	}
}

func names(as []Account) (out string) {
	for i, a := range as {
		if i > 0 {
			out += " "
		}
		out += a.User + "@" + a.Host
	}
	return out
}
