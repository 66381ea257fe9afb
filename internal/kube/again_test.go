package kube

import (
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// TestAgain: a request is sent again while the server is in trouble, for a shorter time while it does not know who asks, and not at all when it refuses.
func TestAgain(t *testing.T) {
	unknown, busy := apierrors.NewUnauthorized("Unauthorized"), apierrors.NewServiceUnavailable("busy")
	for _, c := range []struct {
		name    string
		err     error
		clears  time.Duration // 0: never
		bears   time.Duration // at most
		succeed bool
	}{
		{"a token that can't be asked about for a while", unknown, 5 * time.Second, 10 * time.Second, true},
		{"a token that is refused for once after a long silence", slow{unknown}, 29 * time.Second, 50 * time.Second, true},
		{"a token that is refused", unknown, 0, 15 * time.Second, false},
		{"a server that is busy for a while", busy, time.Minute, 2 * time.Minute, true},
		{"a server that stays busy", busy, 0, 3 * time.Minute, false},
		{"a refusal", apierrors.NewBadRequest("no"), 0, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				_, err := again(t.Context(), &Cluster{pace: realPace}, func() (int, error) {
					if c.clears > 0 && time.Since(began) > c.clears {
						return 1, nil
					}
					if s, ok := c.err.(slow); ok {
						time.Sleep(30 * time.Second)
						return 0, s.error
					}
					return 0, c.err
				})
				if (err == nil) != c.succeed {
					t.Errorf("error %v, want success %t", err, c.succeed)
				}
				if took := time.Since(began); took > c.bears {
					t.Errorf("it was borne for %s, want %s at most", took, c.bears)
				}
			})
		})
	}
}

// slow is an error that comes after half a minute.
type slow struct{ error }
