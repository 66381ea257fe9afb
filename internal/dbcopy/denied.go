package dbcopy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
)

// ErrDenied: the account may not do at a server what is needed there. The message has the statements that give it; type them.
var ErrDenied = errors.New("the account lacks a privilege")

// OwnGrant is what an account needs on Slipway's own schema: privileges, as GRANT names them.
func OwnGrant(privileges string) string { return privileges + " ON `\\_slipway`.*" }

// SchemaGrants are privileges on each of the schemas.
func SchemaGrants(privileges string, schemas []string) (out []string) {
	for _, s := range schemas {
		out = append(out, privileges+" ON "+ddl.Quote(s)+".*")
	}
	return out
}

// Denied is Explain, and of a privilege that the account lacks it is ErrDenied with the statements that give it. Each of the grants is
// privileges and what they are on: "SELECT ON `shop`.*".
func (e Endpoint) Denied(ctx context.Context, err error, grants ...string) error {
	if !ask.Denied(err) || errors.Is(err, ErrDenied) {
		return e.Explain(err)
	}
	grantee := "the account"
	if db, oerr := e.Open(TextSession(), 1); oerr == nil {
		defer db.Close()
		if g, gerr := ask.Grantee(ctx, db); gerr == nil { // else what it lacks is said all the same
			grantee = g
		}
	}
	stmts := make([]string, len(grants))
	for i, g := range grants {
		stmts[i] = "GRANT " + g + " TO " + grantee
	}
	return e.Explain(fmt.Errorf("%w: %w; type there: %s", ErrDenied, err, strings.Join(stmts, "; ")))
}
