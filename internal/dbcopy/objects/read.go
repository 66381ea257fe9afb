package objects

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
)

// Read reads the objects of schemas at a MariaDB. The account must see all of them (see the survey of package dbcopy).
func Read(ctx context.Context, q ask.Queryer, schemas []string) (Set, error) {
	return read(ctx, q, schemas, "SELECT LOWER(type), name, definer FROM mysql.proc WHERE db = ? AND BINARY db = ? ORDER BY type, name")
}

// there reads those of a MySQL.
func there(ctx context.Context, q ask.Queryer, schemas []string) (Set, error) {
	return read(ctx, q, schemas, "SELECT LOWER(ROUTINE_TYPE), ROUTINE_NAME, DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ? AND BINARY ROUTINE_SCHEMA = ? ORDER BY ROUTINE_TYPE, ROUTINE_NAME")
}

func read(ctx context.Context, q ask.Queryer, schemas []string, routines string) (Set, error) {
	s := Set{Schemas: slices.Clone(schemas), Objects: []Object{}}
	for _, schema := range schemas {
		list, err := list(ctx, q, schema, routines)
		if err != nil {
			return s, fmt.Errorf("ask for routines, triggers and events of %s: %w", schema, err)
		}
		for _, o := range list {
			if err := o.read(ctx, q); err != nil {
				return s, fmt.Errorf("read %s: %w", o, err)
			}
			s.Objects = append(s.Objects, o)
		}
	}
	return s, nil
}

// list gives the objects of a schema without their texts. Triggers of one table come in the order in which they fire.
func list(ctx context.Context, q ask.Queryer, schema, routines string) (out []Object, err error) {
	all, err := ask.Rows(ctx, q, routines, schema, schema)
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		out = append(out, Object{Schema: schema, Kind: Kind(r[0]), Name: r[1], Definer: r[2]})
	}
	all, err = ask.Rows(ctx, q, "SELECT TRIGGER_NAME, DEFINER, EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER FROM information_schema.TRIGGERS"+
		" WHERE TRIGGER_SCHEMA = ? AND BINARY TRIGGER_SCHEMA = ? ORDER BY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER", schema, schema)
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		out = append(out, Object{Schema: schema, Kind: Trigger, Name: r[0], Definer: r[1], Fires: &Fires{r[2], r[3], r[4], r[5]}})
	}
	all, err = ask.Rows(ctx, q, "SELECT EVENT_NAME, DEFINER, STATUS, TIME_ZONE, EXECUTE_AT, INTERVAL_VALUE, INTERVAL_FIELD, STARTS, ENDS, ON_COMPLETION, EVENT_COMMENT,"+
		" CONVERT_TZ(COALESCE(EXECUTE_AT, ENDS), TIME_ZONE, '+00:00'), ORIGINATOR FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ? AND BINARY EVENT_SCHEMA = ? ORDER BY EVENT_NAME", schema, schema)
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		out = append(out, Object{Schema: schema, Kind: Event, Name: r[0], Definer: r[1], Runs: &Runs{State: r[2], Zone: r[3], At: r[4], Every: r[5], Unit: r[6],
			Starts: r[7], Ends: r[8], Completion: r[9], Comment: r[10], Until: r[11], Originator: r[12]}})
	}
	return out, nil
}

// read fills in the text and what it depends on. Both servers name these columns alike.
func (o *Object) read(ctx context.Context, q ask.Queryer) error {
	if _, err := q.ExecContext(ctx, "USE "+ddl.Quote(o.Schema)); err != nil {
		return err
	}
	t, err := ask.Read(ctx, q, "SHOW CREATE "+strings.ToUpper(string(o.Kind))+" "+o.qualified())
	if err != nil {
		return err
	}
	if len(t.Rows) == 1 {
		for i, name := range t.Names {
			switch value := t.Rows[0][i]; strings.ToLower(name) {
			case "sql_mode":
				o.Mode = value
			case "character_set_client":
				o.Charset = value
			case "collation_connection":
				o.Collation = value
			case "database collation":
				o.SchemaCollation = value
			case "sql original statement", "create " + string(o.Kind):
				o.Create = value
			}
		}
	}
	if o.Create = strings.TrimSpace(o.Create); o.Create == "" {
		return errUnseen
	}
	return nil
}
