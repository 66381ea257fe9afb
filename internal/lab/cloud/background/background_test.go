package background_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/background"
)

func TestCloseEndsAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w background.Work
		var ended, whole int
		for _, d := range []time.Duration{time.Second, time.Hour} {
			w.Go(func(ctx context.Context) {
				select {
				case <-time.After(d):
					whole++
				case <-ctx.Done():
					time.Sleep(time.Second) // tidies up
					ended++
				}
			})
		}
		time.Sleep(time.Minute)
		w.Close()
		if whole != 1 || ended != 1 {
			t.Errorf("%d came to their end and %d were ended, want one each", whole, ended)
		}
		var after error
		w.Go(func(ctx context.Context) { after = ctx.Err() })
		synctest.Wait()
		if !errors.Is(after, context.Canceled) {
			t.Errorf("work that is begun after Close: %v", after)
		}
	})
}
