package freeze

import (
	"context"
	"fmt"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
)

// Event is an event that runs at a server, with what ALTER EVENT would change besides.
type Event struct {
	Schema    string  `json:"schema"`
	Name      string  `json:"name"`
	Definer   Account `json:"definer"`
	Charset   string  `json:"charset"`
	Collation string  `json:"collation"`
}

func (e Event) qualified() string { return ddl.Quote(e.Schema) + "." + ddl.Quote(e.Name) }

// Events lists the enabled events of all schemas: a freeze is of the whole server, and an event whose definer may write in spite of
// read_only writes on a frozen server, its account locked or not. A timer of Slipway's isn't among them. Journal them before DisableEvents.
func (m *MariaDB) Events(ctx context.Context) ([]Event, error) {
	c, done, err := signIn(ctx, m.ep)
	if err != nil {
		return nil, err
	}
	defer done()
	all, err := ask.Rows(ctx, c, "SELECT EVENT_SCHEMA, EVENT_NAME, DEFINER, CHARACTER_SET_CLIENT, COLLATION_CONNECTION FROM information_schema.EVENTS"+
		" WHERE STATUS = 'ENABLED' AND NOT (EVENT_SCHEMA = "+ddl.Literal(timerSchema)+" AND EVENT_NAME = "+ddl.Literal(timerName)+") ORDER BY 1, 2")
	if err != nil {
		return nil, m.ep.Explain(fmt.Errorf("ask for events: %w", err))
	}
	out := []Event{}
	for _, r := range all {
		a := Account{User: r[2]}
		if i := strings.LastIndexByte(r[2], '@'); i >= 0 {
			a = Account{r[2][:i], r[2][i+1:]}
		}
		out = append(out, Event{r[0], r[1], a, r[3], r[4]})
	}
	return out, nil
}

// DisableEvents disables them on this server alone. One that runs just now is a session like any other: a freeze ends it. One that is gone
// stays so. The account needs EVENT on all schemas and SET USER, besides what a freeze needs.
func (m *MariaDB) DisableEvents(ctx context.Context, es []Event) error {
	return m.alterEvents(ctx, es, "DISABLE")
}

// RestoreEvents enables them again, each as it was. A recurring event goes on by its schedule; what it missed isn't made up for.
func (m *MariaDB) RestoreEvents(ctx context.Context, es []Event) error {
	return m.alterEvents(ctx, es, "ENABLE")
}

func (m *MariaDB) alterEvents(ctx context.Context, es []Event, word string) error {
	c, done, err := signIn(ctx, m.ep)
	if err != nil {
		return err
	}
	defer done()
	if _, err := c.ExecContext(ctx, "SET SESSION sql_log_bin = 0"); err != nil {
		return m.ep.Explain(err)
	}
	const noSuchEvent, noSuchSchema = 1539, 1049
	for _, e := range es {
		for _, stmt := range e.statements(word) {
			if _, err := c.ExecContext(ctx, stmt); err != nil && ask.Number(err) != noSuchEvent && ask.Number(err) != noSuchSchema {
				return m.ep.Explain(fmt.Errorf("%s event %s.%s: %w", strings.ToLower(word), e.Schema, e.Name, err))
			}
		}
	}
	return nil
}

// statements enable or disable it, in a session that logs nothing.
func (e Event) statements(word string) (out []string) {
	definer := e.Definer.String()
	if e.Definer.Host == "" { // a role
		definer = ddl.Quote(e.Definer.User)
	}
	// ALTER EVENT makes its session's character set and its account the event's, unless it is told.
	if strings.HasPrefix(e.Charset, "utf8") || asciiOnly(e.qualified()+definer) {
		out = append(out, "SET SESSION character_set_client = "+ddl.Literal(e.Charset)+", collation_connection = "+ddl.Literal(e.Collation))
	}
	return append(out, "ALTER DEFINER = "+definer+" EVENT "+e.qualified()+" "+word, "SET NAMES utf8mb4")
}

// asciiOnly: the text reads the same in each character set that a client can have.
func asciiOnly(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}
