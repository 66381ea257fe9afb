package labtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/fleet"
	"github.com/slipway-dev/slipway/internal/lab/verb"
)

// Heal undoes every fault, now, and waits until the shop serves and replicates as before.
func (l *Lab) Heal(t testing.TB) {
	t.Helper()
	must(t, l.Place, verb.Heal, verb.Nothing{})
	l.WaitHealthy(t)
}

// WaitHealthy waits until every host is reached, the shop answers with all of its parts, and the replicas and the Gluster volume are whole.
func (l *Lab) WaitHealthy(t testing.TB) {
	t.Helper()
	Eventually(t, Limit, "the lab is whole", func() error {
		for _, h := range l.Status(t).Hosts {
			if h.State != verb.Running {
				return fmt.Errorf("%s is %s", h.Name, h.State)
			}
			if _, err := l.Exec(t, h.Name, nil, "true"); err != nil {
				return err
			}
		}
		return l.healthy(t)
	})
}

func (l *Lab) healthy(t testing.TB) error {
	resp, err := l.HTTP(t).Get("https://" + fleet.SiteName + "/health/full")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return fmt.Errorf("/health/full answers %s", resp.Status)
	}
	for _, h := range []string{"db1", "db2", "db3"} {
		if err := l.replicates(t, h); err != nil {
			return err
		}
	}
	return l.bricksConnected(t)
}

// replicates looks at a server's replication, by MariaDB's own names for it.
func (l *Lab) replicates(t testing.TB, host string) error {
	rows, err := l.DB(t, host, "").Query("SHOW SLAVE STATUS")
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	if !rows.Next() {
		return fmt.Errorf("%s follows nobody (%w)", host, rows.Err())
	}
	values := make([]any, len(columns))
	for i := range values {
		values[i] = new([]byte)
	}
	if err := rows.Scan(values...); err != nil {
		return err
	}
	for i, c := range columns {
		if value := string(*values[i].(*[]byte)); (c == "Slave_IO_Running" || c == "Slave_SQL_Running") && value != "Yes" {
			return fmt.Errorf("%s: %s is %s", host, c, value)
		}
	}
	return nil
}

func (l *Lab) bricksConnected(t testing.TB) error {
	out, err := l.Exec(t, "files1", nil, "gluster", "volume", "heal", fleet.Volume, "info")
	if err != nil {
		return err
	}
	return wholeVolume(out)
}

// healAfter heals when the test ends, once however many faults it made.
func (l *Lab) healAfter(t testing.TB) {
	if l.healing {
		return
	}
	l.healing = true
	t.Cleanup(func() { l.Heal(t) })
}

// Kill ends a host as a power failure does; the test's end starts it again.
func (l *Lab) Kill(t testing.TB, host string) {
	t.Helper()
	l.healAfter(t)
	must(t, l.Place, verb.Kill, verb.Machine{Name: host})
}

// Start starts a killed host and waits until it can be logged in to.
func (l *Lab) Start(t testing.TB, host string) {
	t.Helper()
	must(t, l.Place, verb.Start, verb.Machine{Name: host})
	l.WaitSSH(t, host)
}

// WaitSSH waits until a host can be logged in to.
func (l *Lab) WaitSSH(t testing.TB, host string) {
	t.Helper()
	Eventually(t, time.Minute, "log in to "+host, func() error {
		_, err := l.Exec(t, host, nil, "true")
		return err
	})
}

// Freeze stops a machine where it stands, until Thaw or the test's end.
func (l *Lab) Freeze(t testing.TB, name string) {
	t.Helper()
	l.healAfter(t)
	must(t, l.Place, verb.Freeze, verb.Machine{Name: name})
}

// Thaw lets a machine go on.
func (l *Lab) Thaw(t testing.TB, name string) {
	t.Helper()
	must(t, l.Place, verb.Thaw, verb.Machine{Name: name})
}

// Cut pulls the cable between two machines, or of one if b is empty, until the test's end. verb.Outside is the test itself, and the product under it.
func (l *Lab) Cut(t testing.TB, a, b string) {
	t.Helper()
	l.healAfter(t)
	must(t, l.Place, verb.Cut, verb.CutRequest{A: a, B: b})
}

// Slow bounds what a machine sends and what it receives ("8mbit"), until the test's end.
func (l *Lab) Slow(t testing.TB, name, rate string) {
	t.Helper()
	l.healAfter(t)
	must(t, l.Place, verb.Slow, verb.SlowRequest{Name: name, Rate: rate})
}

// BeginProof notes how the source is.
func (l *Lab) BeginProof(t testing.TB) {
	t.Helper()
	must(t, l.Place, verb.ProofBegin, verb.Nothing{})
}

// EndProof says what changed since BeginProof.
func (l *Lab) EndProof(t testing.TB) verb.Proof {
	t.Helper()
	return must(t, l.Place, verb.ProofEnd, verb.Nothing{})
}
