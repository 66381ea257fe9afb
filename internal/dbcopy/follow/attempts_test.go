package follow

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// TestAttempts: after a connection broke in a commit, nothing is applied before what is recorded could be read, be the server away for longer than one
// attempt or not.
func TestAttempts(t *testing.T) {
	stop := errors.New("a row that can't be applied")
	for name, c := range map[string]struct {
		says []error // what each call ends with
		want []string
		err  error
	}{
		"at once":            {[]error{nil}, []string{"once"}, nil},
		"a commit is lost":   {[]error{errMoved, nil, nil}, []string{"once", "recorded", "once"}, nil},
		"the server is away": {[]error{errMoved, mysql.ErrInvalidConn, mysql.ErrInvalidConn, nil, nil}, []string{"once", "recorded", "recorded", "recorded", "once"}, nil},
		"twice":              {[]error{errMoved, nil, errMoved, mysql.ErrInvalidConn, nil, nil}, []string{"once", "recorded", "once", "recorded", "recorded", "once"}, nil},
		"it stops":           {[]error{errMoved, nil, stop}, []string{"once", "recorded", "once"}, stop},
		"it can't be read":   {[]error{errMoved, stop}, []string{"once", "recorded"}, stop},
	} {
		t.Run(name, func(t *testing.T) {
			var did []string
			call := func(what string) func(context.Context) error {
				return func(context.Context) error {
					did = append(did, what)
					return c.says[len(did)-1]
				}
			}
			paused := 0
			err := attempts(t.Context(), call("once"), call("recorded"), func(error) error { paused++; return nil })
			if !errors.Is(err, c.err) || !slices.Equal(did, c.want) {
				t.Errorf("%v, %v", did, err)
			}
			bad := 0
			for _, e := range c.says {
				if e != nil && e != stop {
					bad++
				}
			}
			if paused != bad {
				t.Errorf("%d pauses for %d failures", paused, bad)
			}
		})
	}
}
