package freeze

import (
	"context"
	"fmt"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
)

// Trigger is one trigger, with all that makes it again as it was.
type Trigger struct {
	Schema    string `json:"schema"`
	Name      string `json:"name"`
	Create    string `json:"create"` // as the server printed it
	Mode      string `json:"sql_mode"`
	Charset   string `json:"charset"`
	Collation string `json:"collation"`
}

// Triggers lists the triggers of schemas in the order in which they must be made again: of one table's, those that fire first
// come first.
//
// While the source follows the target they must be gone: what a trigger did on the target is in the target's log, and a
// trigger at the source would do it once more.
func (m *MariaDB) Triggers(ctx context.Context, schemas []string) ([]Trigger, error) {
	c, done, err := signIn(ctx, m.ep)
	if err != nil {
		return nil, err
	}
	defer done()
	var out []Trigger
	for _, s := range schemas {
		names, err := ask.Column(ctx, c, "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ? ORDER BY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER", s)
		if err != nil {
			return nil, m.ep.Explain(fmt.Errorf("ask for triggers of %s: %w", s, err))
		}
		for _, n := range names {
			r, err := ask.Rows(ctx, c, "SHOW CREATE TRIGGER "+ddl.Quote(s)+"."+ddl.Quote(n))
			if err == nil && (len(r) != 1 || len(r[0]) < 5 || r[0][2] == "") {
				err = fmt.Errorf("the server doesn't show its text: the account needs TRIGGER on %s.*", ddl.Quote(s))
			}
			if err != nil {
				return nil, m.ep.Explain(fmt.Errorf("read trigger %s.%s: %w", s, n, err))
			}
			out = append(out, Trigger{s, n, r[0][2], r[0][1], r[0][3], r[0][4]})
		}
	}
	return out, nil
}

// DropTriggers drops them on this server alone: the other master's freeze drops its own.
func (m *MariaDB) DropTriggers(ctx context.Context, ts []Trigger) error {
	c, done, err := signIn(ctx, m.ep)
	if err != nil {
		return err
	}
	defer done()
	if _, err := c.ExecContext(ctx, "SET SESSION sql_log_bin = 0"); err != nil {
		return m.ep.Explain(err)
	}
	for _, t := range ts {
		if _, err := c.ExecContext(ctx, "DROP TRIGGER IF EXISTS "+ddl.Quote(t.Schema)+"."+ddl.Quote(t.Name)); err != nil {
			return m.ep.Explain(fmt.Errorf("drop trigger %s.%s: %w", t.Schema, t.Name, err))
		}
	}
	return nil
}

// RestoreTriggers makes those again that aren't there, each as it was: with its definer, its modes and its character sets (but for the client's, of a text that isn't ASCII: that is
// utf8mb4 then).
func (m *MariaDB) RestoreTriggers(ctx context.Context, ts []Trigger) error {
	c, done, err := signIn(ctx, m.ep)
	if err != nil {
		return err
	}
	defer done()
	if _, err := c.ExecContext(ctx, "SET SESSION sql_log_bin = 0"); err != nil {
		return m.ep.Explain(err)
	}
	for _, t := range ts {
		there, err := ask.Column(ctx, c, "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ? AND TRIGGER_NAME = ?", t.Schema, t.Name)
		if err != nil {
			return m.ep.Explain(fmt.Errorf("ask for trigger %s.%s: %w", t.Schema, t.Name, err))
		}
		if len(there) > 0 {
			continue
		}
		for _, stmt := range t.statements() {
			if _, err := c.ExecContext(ctx, stmt); err != nil {
				return m.ep.Explain(fmt.Errorf("make trigger %s.%s again: %w", t.Schema, t.Name, err))
			}
		}
	}
	return nil
}

// statements make it again, in a session that logs nothing.
func (t Trigger) statements() []string {
	client := t.Charset
	if !asciiOnly(t.Create) {
		client = "utf8mb4" // what it is sent in; the text matters more than in what it was typed
	}
	return []string{
		"SET SESSION character_set_client = " + ddl.Literal(client) + ", collation_connection = " + ddl.Literal(t.Collation) + ", sql_mode = " + ddl.Literal(t.Mode),
		"USE " + ddl.Quote(t.Schema),
		strings.TrimSpace(t.Create),
		"SET NAMES utf8mb4", // the names in the session's next statements are Slipway's own again
	}
}
