package agent

import (
	"context"
	"fmt"
	"io"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// do does an operation at the agent's end.
func do(ctx context.Context, t tree.Target, readOnly bool, op operation, out io.Writer) error {
	switch op.kind {
	case opList, opRead, opHash:
	case opProbe, opWrite, opRemove, opFinish, opSweep:
		if readOnly {
			return ErrReadOnly
		}
	default:
		return fmt.Errorf("%w: operation %q is not known", ErrProtocol, op.kind)
	}
	switch op.kind {
	case opList:
		to := newRecords(out, tree.AppendStat)
		return then(t.List(ctx, to.put), to.w.Flush)
	case opRead:
		paths, err := allRecords(op.in, tree.DecodePath)
		if err != nil {
			return err
		}
		return t.Read(ctx, paths, out)
	case opHash:
		paths, err := allRecords(op.in, tree.DecodePath)
		if err != nil {
			return err
		}
		to := newRecords(out, tree.AppendSum)
		return then(t.Hash(ctx, paths, to.put), to.w.Flush)
	case opProbe:
		keeps, err := t.Probe(ctx)
		if err != nil {
			return err
		}
		return newRecords(out, tree.AppendKeeps).all([]tree.Keeps{keeps})
	case opWrite:
		to := newRecords(out, tree.AppendWritten)
		return then(t.Write(ctx, op.in, to.put), to.w.Flush)
	case opRemove:
		paths, err := allRecords(op.in, tree.DecodePath)
		if err != nil {
			return err
		}
		return t.Remove(ctx, paths)
	case opFinish:
		dirs, err := allRecords(op.in, decodeDir)
		if err != nil {
			return err
		}
		return t.Finish(ctx, dirs)
	}
	return t.Sweep(ctx)
}

// then hands on what is held back, after an error too: what was told of is there. The first error counts.
func then(err error, flush func() error) error {
	if ferr := flush(); err == nil {
		err = ferr
	}
	return err
}

// decodeDir is tree.DecodeMember, of what may be written.
func decodeDir(b []byte, m *tree.Member) (rest []byte, err error) {
	if rest, err = tree.DecodeMember(b, m); err != nil {
		return nil, err
	}
	return rest, m.Path.Check()
}
