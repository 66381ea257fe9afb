package freeze

import (
	"strings"
	"testing"
)

// TestLacks: what SHOW GRANTS prints, of servers before and since 10.11.
func TestLacks(t *testing.T) {
	const rows = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, TRIGGER, EVENT, PROCESS, REPLICATION SLAVE, CREATE USER"
	const admins = "BINLOG MONITOR, SLAVE MONITOR, SET USER, BINLOG ADMIN, CONNECTION ADMIN, READ_ONLY ADMIN"
	for _, c := range []struct {
		what    string
		version int
		grants  []string
		want    string
	}{
		{"all", 101119, []string{"GRANT ALL PRIVILEGES ON *.* TO `a`@`%` WITH GRANT OPTION"}, ""},
		{"each", 101119, []string{"GRANT " + rows + ", SUPER, " + admins + " ON *.* TO `a`@`%`"}, ""},
		{"through a role", 101119, []string{"GRANT `r` TO `a`@`%`", "GRANT " + rows + " ON *.* TO `a`@`%`", "GRANT SUPER, " + admins + " ON *.* TO `r`"}, ""},
		{"SUPER is not all since 10.11", 101119, []string{"GRANT " + rows + ", SUPER ON *.* TO `a`@`%`"}, admins},
		{"and is before", 100624, []string{"GRANT " + rows + ", SUPER ON *.* TO `a`@`%`"}, ""},
		{"as 10.5 prints it", 101119, []string{"GRANT " + rows + ", SUPER, SLAVE MONITOR, SET USER, BINLOG ADMIN, CONNECTION ADMIN, READ ONLY ADMIN, BINLOG MONITOR ON *.* TO `a`@`%`"}, ""},
		{"of one schema only", 101119, []string{"GRANT USAGE ON *.* TO `a`@`%`", "GRANT ALL PRIVILEGES ON `shop`.* TO `a`@`%`"}, rows + ", SUPER, " + admins},
		{"no SUPER", 100624, []string{"GRANT " + rows + ", " + admins + " ON *.* TO `a`@`%`"}, "SUPER"},
	} {
		if got := strings.Join(lacks(c.version, c.grants), ", "); got != c.want {
			t.Errorf("%s: lacks %q, want %q", c.what, got, c.want)
		}
	}
}
