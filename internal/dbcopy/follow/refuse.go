package follow

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
)

// Fits says, before anything is begun, what at a MySQL would make following wrong: what Open refuses of a way there. It changes nothing.
//
// ErrTriggers, ErrNoTable, ErrNoKey, ErrCascade; dbcopy.ErrDenied.
func Fits(ctx context.Context, target dbcopy.Endpoint, schemas []string) error {
	db, err := target.Open(dbcopy.TextSession(), 1)
	if err != nil {
		return err
	}
	defer db.Close()
	dict, err := readDictionary(ctx, db, schemas)
	if err == nil {
		err = refused(ctx, db, schemas, dict, false)
	}
	return target.Denied(ctx, err, dbcopy.SchemaGrants("SELECT", schemas)...)
}

// refused looks for what makes following wrong, and gives all of it at once. logged: the log has what foreign keys did.
func refused(ctx context.Context, q ask.Queryer, schemas []string, dict dictionary, logged bool) error {
	var bad []error
	for _, s := range schemas {
		names, err := ask.Each(ctx, q, ask.Text, "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = "+ddl.Literal(s)+" ORDER BY 1")
		if err != nil {
			return err
		}
		for _, n := range names {
			bad = append(bad, fmt.Errorf("%w: DROP TRIGGER %s", ErrTriggers, ddl.Qualified(s, n)))
		}
		found := false
		for name := range dict {
			found = found || strings.HasPrefix(name, s+".")
		}
		if !found {
			if _, err := ask.Column(ctx, q, "SHOW TABLES FROM "+ddl.Quote(s)); ask.Denied(err) { // it may have some
				return err
			}
			bad = append(bad, fmt.Errorf("%w: schema %s has no tables there; copy it first", ErrNoTable, s))
		}
	}
	if keyless := dict.refused(); keyless != nil {
		bad = append(bad, fmt.Errorf("%w: %s", ErrNoKey, joined(keyless)))
	}
	if !logged {
		keys, err := cascades(ctx, q, schemas)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if k.Severity == compat.Refuse {
				bad = append(bad, fmt.Errorf("%w: %s: %s; at the source: %s", ErrCascade, k.Object, k.What, k.Fix))
			}
		}
	}
	return errors.Join(bad...)
}
