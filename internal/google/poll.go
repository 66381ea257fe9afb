package google

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-sql-driver/mysql"
	"google.golang.org/api/googleapi"
)

// pace says how often is asked and for how long trouble is borne.
type pace struct {
	first, most time.Duration // the wait between two polls grows from first to most
	trouble     time.Duration // a read that fails in a passing way is asked again for so long
	busy        time.Duration // a submit that is refused because another operation runs is tried again for so long
}

// Cloud SQL instances take 5 to 15 minutes, clusters about as long; Google's own clients poll every 1 to 10 s.
var googlePace = pace{first: 250 * time.Millisecond, most: 5 * time.Second, trouble: 2 * time.Minute, busy: 30 * time.Minute}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p pace) next(d time.Duration) time.Duration {
	if d == 0 {
		return p.first
	}
	return min(d*3/2, p.most)
}

// passing tells whether a read may be asked again: the server or the way to it was in trouble, and nothing was refused. A deadline is the
// exchange's own (requestTimeout): the caller looks at its context first.
func passing(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	var sql *mysql.MySQLError
	if errors.As(err, &sql) {
		return sql.Number == 1040 || sql.Number == 1053 // ER_CON_COUNT_ERROR, ER_SERVER_SHUTDOWN
	}
	var api *googleapi.Error
	if errors.As(err, &api) {
		return api.Code == 429 || api.Code >= 500
	}
	return tokenTrouble(err) == "" && !badCertificate(err)
}

// lasting is an error that was met again and again.
type lasting struct {
	what string
	d    time.Duration
	err  error
}

func (l *lasting) prefix() string { return fmt.Sprintf("%s for %s: ", l.what, l.d.Round(time.Second)) }
func (l *lasting) Error() string  { return l.prefix() + l.err.Error() }
func (l *lasting) Unwrap() error  { return l.err }

// read asks until there is an answer or a refusal, for at most c.pace.trouble.
func read[T any](ctx context.Context, c *Client, tell Tell, what string, ask func() (T, error)) (T, error) {
	began := time.Now()
	for wait := c.pace.next(0); ; wait = c.pace.next(wait) {
		v, err := ask()
		if err != nil && ctx.Err() != nil {
			return v, context.Cause(ctx)
		}
		if !passing(err) {
			return v, err
		}
		if time.Since(began) > c.pace.trouble {
			return v, &lasting{"no answer", time.Since(began), err}
		}
		if tell != nil {
			tell(fmt.Sprintf("%s: no answer for %s, asking again (%v)", what, time.Since(began).Round(time.Second), oneLine(err)), 0, 0)
		}
		if err := sleep(ctx, wait); err != nil {
			return v, err
		}
	}
}

// submit sends a request that starts an operation. It is sent again only while the answer says that nothing was started because another
// operation holds the thing; any other error is for the caller, who asks the world what has become of it.
func submit[T any](ctx context.Context, c *Client, tell Tell, what string, send func() (T, error)) (T, error) {
	began := time.Now()
	for wait := c.pace.next(0); ; wait = c.pace.next(wait) {
		v, err := send()
		if err == nil || !busy(err) {
			return v, err
		}
		if time.Since(began) > c.pace.busy {
			return v, &lasting{"held by another operation", time.Since(began), err}
		}
		tell(fmt.Sprintf("%s: another operation runs on it; sending again, %s", what, time.Since(began).Round(time.Second)), 0, 0)
		if err := sleep(ctx, wait); err != nil {
			return v, err
		}
	}
}

// operation is what container and sqladmin operations have in common.
type operation struct {
	name, kind, target string
	status             string
	done               bool
	failed             string // why, when it is done and has failed
	step, steps        int64  // progress, when the API tells
}

// wait polls an operation until it is done. The operation goes on when the wait is given up.
func (c *Client) wait(ctx context.Context, tell Tell, on service, op operation, get func(name string) (operation, error)) error {
	began := time.Now()
	for pause := time.Duration(0); ; {
		if op.done {
			if op.failed != "" {
				return fmt.Errorf("operation %s (%s) on %s failed: %s", op.kind, op.name, op.target, op.failed)
			}
			return nil
		}
		what := fmt.Sprintf("waiting for operation %s on %s: %s, %d s", op.kind, op.target, op.status, int(time.Since(began).Seconds()))
		tell(what, op.step, op.steps)
		pause = c.pace.next(pause)
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("%s, given up, the operation goes on: %w", what, err)
		}
		name := op.name
		var err error
		if op, err = read(ctx, c, tell, what, func() (operation, error) { return get(name) }); err != nil {
			return c.explain(err, on, "ask for operation "+name, "")
		}
	}
}
