package follow

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// Lag is how far a target is behind its source.
type Lag struct {
	// Time is how long ago the source committed the first transaction that isn't in, at the most: since the last that is. Zero
	// at the log's end. It is by the source's clock, whose difference from this machine's is measured; another master's clock
	// isn't known.
	Time         time.Duration
	Known        bool  // false: nothing was applied yet, so nothing says how old the target is
	Transactions int64 // that the source has and the target hasn't: the difference of the numbers in their GTIDs; -1 without GTIDs
	Tip          changes.Position
	Retention    time.Duration // how long the source keeps its log; 0: for ever
}

// Alarm: the target is so far behind that the source may throw away what it hasn't read yet.
func (l Lag) Alarm() string {
	if l.Retention == 0 || !l.Known || l.Time <= l.Retention/2 {
		return ""
	}
	return fmt.Sprintf("ALARM: the target is %s behind, more than half of the %s for which the source keeps its log; what is purged there before it is read is lost to the follow: raise binlog_expire_logs_seconds (expire_logs_days) at the source now",
		l.Time.Round(time.Second), l.Retention)
}

// Meter asks a source where its log ends and what time it is there.
type Meter struct {
	src    changes.Source
	db     *sql.DB
	offset time.Duration // the source's clock minus this machine's
	keeps  time.Duration
}

// OpenMeter dials nothing yet.
func OpenMeter(src changes.Source) (*Meter, error) {
	db, err := src.Endpoint.Open(dbcopy.TextSession(), 1)
	if err != nil {
		return nil, err
	}
	return &Meter{src: src, db: db}, nil
}

// Close ends its connection.
func (m *Meter) Close() { m.db.Close() }

// Lag measures: passed is how far the log is dealt with, committed when the source committed the last that is in.
func (m *Meter) Lag(ctx context.Context, passed changes.Position, committed time.Time) (Lag, error) {
	l := Lag{Transactions: -1}
	if err := m.clock(ctx); err != nil {
		return l, m.src.Endpoint.Explain(err)
	}
	l.Retention = m.keeps
	var err error
	if l.Tip, err = changes.Tip(ctx, m.src); err != nil {
		return l, err
	}
	at, err := Covers(passed, l.Tip)
	if err != nil {
		return l, err
	}
	if l.Transactions, err = m.behind(ctx, passed, l.Tip); err != nil {
		return l, m.src.Endpoint.Explain(err)
	}
	switch {
	case at:
		l.Known = true
	case !committed.IsZero():
		l.Known, l.Time = true, max(0, time.Now().Add(m.offset).Sub(committed))
	}
	return l, nil
}

// clock measures the difference of the clocks: the answer's time is half a round trip old.
func (m *Meter) clock(ctx context.Context) error {
	var now, keeps string
	query := "SELECT UTC_TIMESTAMP(6), @@global.expire_logs_days * 86400"
	if m.src.Flavor == value.MySQL {
		query = "SELECT UTC_TIMESTAMP(6), IF(@@global.binlog_expire_logs_auto_purge, @@global.binlog_expire_logs_seconds, 0)"
	}
	sent := time.Now()
	if err := m.db.QueryRowContext(ctx, query).Scan(&now, &keeps); err != nil {
		return err
	}
	trip := time.Since(sent)
	there, err := time.Parse(stamped, now)
	if err != nil {
		return err
	}
	m.offset = there.Sub(sent.Add(trip / 2))
	seconds, err := strconv.ParseFloat(keeps, 64) // MariaDB's days are with a fraction
	m.keeps = time.Duration(seconds * float64(time.Second))
	return err
}

func (m *Meter) behind(ctx context.Context, passed, tip changes.Position) (n int64, err error) {
	switch {
	case !tip.MariaDB.IsZero():
		for _, g := range tip.MariaDB.Last() {
			n += max(0, int64(g.Seq)-int64(lastOf(passed.MariaDB, g.Domain).Seq))
		}
		return n, nil
	case !tip.MySQL.IsZero():
		var left string
		if err := m.db.QueryRowContext(ctx, "SELECT GTID_SUBTRACT('"+tip.MySQL.String()+"', '"+passed.MySQL.String()+"')").Scan(&left); err != nil {
			return 0, err
		}
		set, err := binlog.ParseMySQL(left)
		return countMySQL(set), err
	}
	return -1, nil
}

// countMySQL is the number of transactions in a set.
func countMySQL(s binlog.MySQL) (n int64) {
	for _, f := range strings.FieldsFunc(s.String(), func(r rune) bool { return r == ':' || r == ',' }) {
		first, last, ranged := strings.Cut(f, "-")
		a, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			continue // a server's uuid or a tag
		}
		b := a
		if ranged {
			if b, err = strconv.ParseInt(last, 10, 64); err != nil {
				continue
			}
		}
		n += b - a + 1
	}
	return n
}
