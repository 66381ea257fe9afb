package ask

import (
	"context"
	"time"
)

// Master is one that a MariaDB replicates from, as SHOW ALL SLAVES STATUS says it (https://mariadb.com/kb/en/show-replica-status/).
type Master struct {
	Host                  string
	IORunning             string // "Yes", "No", "Connecting"
	SQLRunning            string // "Yes", "No"
	LastIOErr, LastSQLErr string
	// Behind is how far, to the second; Known is false where the server can't say, because it doesn't replicate just now.
	Behind time.Duration
	Known  bool
}

// Masters are those that a MariaDB replicates from. The account needs SLAVE MONITOR (before 10.5 REPLICATION CLIENT).
func Masters(ctx context.Context, q Queryer) ([]Master, error) {
	t, err := Read(ctx, q, "SHOW ALL SLAVES STATUS")
	if err != nil {
		return nil, err
	}
	var out []Master
	for _, r := range t.Rows {
		m := Master{Host: t.Of(r, "Master_Host"), IORunning: t.Of(r, "Slave_IO_Running"), SQLRunning: t.Of(r, "Slave_SQL_Running"),
			LastIOErr: t.Of(r, "Last_IO_Error"), LastSQLErr: t.Of(r, "Last_SQL_Error")}
		if s := t.Of(r, "Seconds_Behind_Master"); s != "" {
			if m.Behind, err = time.ParseDuration(s + "s"); err != nil {
				return nil, err
			}
			m.Known = true
		}
		out = append(out, m)
	}
	return out, nil
}
