package follow

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
)

// SkipDDL passes by a statement that stopped the way back, because a person has done at the MariaDB what it does; see Follower.SkipDDL. Of
// several ways back it is the newest. Whoever runs it as a service goes on at his next attempt.
//
// ErrNoStream where there is none; ErrNotThere, ErrNoWay; dbcopy.ErrFenced when the service was faster: try again.
func (l Link) SkipDDL(ctx context.Context, gtid, who string) (*changes.StopError, error) {
	stream, err := l.newest(ctx)
	if err != nil {
		return nil, err
	}
	now, err := l.tables(ctx)
	if err != nil {
		return nil, err
	}
	f, err := Open(ctx, l.to, Options{Stream: stream, Schemas: l.schemas, Tables: now, CascadesLogged: l.reverse, Skip: CameBack})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	log := ServerLog{Source: l.from}
	if log.Options.Tables, err = f.Tables(ctx); err != nil {
		return nil, err
	}
	tip, err := l.Tip(ctx)
	if err != nil {
		return nil, err
	}
	return f.SkipDDL(ctx, toTip{log, tip}, gtid, who)
}

// toTip leaves out what isn't the end of the log: a MySQL that passes by what the reader has says where it is, too.
type toTip struct {
	Log
	tip changes.Position
}

func (l toTip) Transactions(ctx context.Context, from changes.Position) iter.Seq2[*changes.Transaction, error] {
	return func(yield func(*changes.Transaction, error) bool) {
		for tx, err := range l.Log.Transactions(ctx, from) {
			if err == nil && tx.GTID == "" && !Covered(tx.End, l.tip) {
				err = tx.Close()
				if err == nil {
					continue
				}
			}
			if !yield(tx, err) {
				return
			}
		}
	}
}

// newest is the stream of the last way back that began.
func (l Link) newest(ctx context.Context) (string, error) {
	all, err := Streams(ctx, l.to)
	if err != nil {
		return "", err
	}
	var last *State
	for _, s := range all {
		if strings.HasPrefix(s.Stream, ReverseStream+"-") && (last == nil || s.Applied.After(last.Applied)) {
			last = &s
		}
	}
	if last == nil {
		return "", errors.Join(ErrNoStream, fmt.Errorf("nothing was carried back to %s", l.to.Name))
	}
	return last.Stream, nil
}
