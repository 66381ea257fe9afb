package errlist_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/go-multierror"

	"github.com/slipway-dev/slipway/internal/errlist"
)

func TestFormat(t *testing.T) {
	if err := errlist.OrNil(nil); err != nil {
		t.Errorf("no list: %v", err)
	}
	if err := errlist.OrNil(&multierror.Error{}); err != nil {
		t.Errorf("an empty list: %v", err)
	}
	one, two := errors.New("web1: no route"), fmt.Errorf("web2: %w", errors.New("key refused\nfingerprint x"))
	list := multierror.Append(nil, one)
	if got := errlist.OrNil(list).Error(); got != "web1: no route" {
		t.Errorf("one error: %q", got)
	}
	err := errlist.OrNil(multierror.Append(list, two))
	if got := err.Error(); got != "2 problems:\n  - web1: no route\n  - web2: key refused\n    fingerprint x" {
		t.Errorf("two errors: %q", got)
	}
	if !errors.Is(err, one) || !errors.Is(err, two) {
		t.Error("the list hides its errors")
	}
}
