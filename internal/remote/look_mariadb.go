package remote

import (
	_ "embed"
	"time"
)

//go:embed mariadb.sh
var mariadbScript string

// MariaDBOptions asks a host what its MariaDB comes up with after a restart, as far as read_only goes. The format of the answer is in
// mariadb.sh.
func MariaDBOptions() Query {
	return Query{name: "MariaDB's option files", argv: []string{"sh", "-s"}, stdin: mariadbScript, limit: 1 << 20, timeout: 30 * time.Second}
}
