package remote

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/go-multierror"

	"github.com/slipway-dev/slipway/internal/errlist"
)

// Each calls fn for every host, at most limit at once (no limit if it is under 1), and waits for all of them: a host that
// fails doesn't stop the others. The results are in the order of hosts, zero where fn failed; the error has every host's,
// in the same order, as a *multierror.Error.
func Each[T any](ctx context.Context, hosts []string, limit int, fn func(ctx context.Context, host string) (T, error)) ([]T, error) {
	if limit < 1 || limit > len(hosts) {
		limit = len(hosts)
	}
	out, errs := make([]T, len(hosts)), make([]error, len(hosts))
	slots := make(chan struct{}, max(limit, 1))
	var wg sync.WaitGroup
	for i, h := range hosts {
		wg.Go(func() {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
				out[i], errs[i] = fn(ctx, h)
			case <-ctx.Done():
				errs[i] = fmt.Errorf("%s: %w", h, context.Cause(ctx))
			}
		})
	}
	wg.Wait()
	var all *multierror.Error
	for _, err := range errs {
		if err != nil {
			all = multierror.Append(all, err)
		}
	}
	return out, errlist.OrNil(all)
}
