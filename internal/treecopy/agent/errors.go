package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// ErrReadOnly: the agent was started to read, and was asked to write. Nothing was done. A defect of the caller.
var ErrReadOnly = errors.New("the tree was opened for reading alone")

// errInput: the operation's input broke off at the side that sends it, which knows why.
var errInput = errors.New("what was to be written broke off")

// kinds are the errors that keep their kind on their way, each by its place here: what is added goes behind the last.
var kinds = []error{
	errInput, ErrReadOnly, ErrProtocol,
	tree.ErrNoTree, tree.ErrFull, tree.ErrUnsafe, tree.ErrStream,
	context.Canceled, context.DeadlineExceeded, fs.ErrPermission, fs.ErrNotExist,
}

// remoteError is an error of the other end.
type remoteError struct {
	kind error // nil: of none of kinds
	text string
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.kind }

func encodeError(err error) []byte {
	kind := byte(len(kinds))
	for i, k := range kinds {
		if errors.Is(err, k) {
			kind = byte(i)
			break
		}
	}
	text := err.Error()
	return append([]byte{kind}, text[:min(len(text), 64<<10)]...)
}

func decodeError(b []byte) error {
	if len(b) == 0 {
		return fmt.Errorf("%w: an error without a kind", ErrProtocol)
	}
	e := &remoteError{text: string(b[1:])}
	if int(b[0]) < len(kinds) {
		e.kind = kinds[b[0]]
	}
	return e
}
