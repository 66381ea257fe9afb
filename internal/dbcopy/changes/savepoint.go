package changes

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/sqltext"
)

// A transaction whose session made or dropped a temporary table can't be cut out of the log by who writes it: MariaDB logs its rows, and
// then that they were rolled back, wholly (ROLLBACK) or to a savepoint (ROLLBACK TO). All tables that are followed are InnoDB's, so none
// of those rows stays.

// savepoint is a place to which a transaction may be rolled back.
type savepoint struct {
	name string
	at   place
	mark bool
}

// place is how far a pile has come.
type place struct{ rows, bytes, at int64 }

func (p *pile) place() place { return place{p.rows, p.bytes, p.size + int64(len(p.buf))} }

// back forgets what came after a place.
func (p *pile) back(to place) error {
	p.rows, p.bytes = to.rows, to.bytes
	if to.at >= p.size {
		p.buf = p.buf[:to.at-p.size]
		return nil
	}
	p.buf, p.size = p.buf[:0], to.at
	if err := p.file.Truncate(to.at); err != nil {
		return fmt.Errorf("%w: %w", ErrSpill, err)
	}
	if _, err := p.file.Seek(to.at, io.SeekStart); err != nil {
		return fmt.Errorf("%w: %w", ErrSpill, err)
	}
	return nil
}

// rolledBack forgets all rows of the transaction at hand.
func (c *current) rolledBack() error {
	c.mark, c.savepoints = false, nil
	return c.pile.back(place{})
}

// savepoint does what SAVEPOINT, RELEASE SAVEPOINT or ROLLBACK TO says.
func (a *assembler) savepoint(text string) error {
	c, ps := a.cur, sqltext.Dense(sqltext.Cut(unwrap(text)))
	name := ps[len(ps)-1].Ident()
	i := slices.IndexFunc(c.savepoints, func(s savepoint) bool { return strings.EqualFold(s.name, name) })
	switch {
	case ps[0].Is("SAVEPOINT"):
		if i >= 0 { // the same name again: the older one is gone
			c.savepoints = slices.Delete(c.savepoints, i, i+1)
		}
		c.savepoints = append(c.savepoints, savepoint{name, c.pile.place(), c.mark})
	case ps[0].Is("RELEASE"):
		if i >= 0 {
			c.savepoints = c.savepoints[:i]
		}
	case i < 0:
		return a.stop(StopError{Kind: StopStatement, Statement: cut(text), What: "a transaction goes back to a savepoint that isn't in the log", Do: "copy anew; report this"})
	default:
		c.mark, c.savepoints = c.savepoints[i].mark, c.savepoints[:i+1]
		return c.pile.back(c.savepoints[i].at)
	}
	return nil
}
