package zone

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// ErrMayChange: a credential that is there to look at a zone could change it. Give it fewer rights.
var ErrMayChange = errors.New("the credential may change it")

// Confined is a zone whose provider says what the credential may do.
type Confined interface {
	Looker
	// MayChange are the rights by which the credential could change the zone, in the provider's own words; none when it can only look.
	MayChange(ctx context.Context) ([]string, error)
}

// SeeOnly opens a view of a zone that the credential must not be able to change, as production's in a rehearsal. Each look at its sets asks
// the provider what the credential may do, and is ErrMayChange when that is too much.
func SeeOnly(z Confined, s Servers) View {
	return View{z, s, func(ctx context.Context, origin string, _ []Set) error {
		rights, err := z.MayChange(ctx)
		if err != nil {
			return fmt.Errorf("ask what the credential may do in zone %s: %w", origin, err)
		}
		if len(rights) > 0 {
			return fmt.Errorf("zone %s is production's, and a rehearsal must not be able to touch it: %w by %s; make a key without (docs/for-real.md)", origin, ErrMayChange, strings.Join(rights, ", "))
		}
		return nil
	}}
}

// MayChange are the consumer key's rules that reach a call which changes the zone, as "POST /domain/zone/*"
// (https://eu.api.ovh.com/console/?section=%2Fauth, GET /auth/currentCredential).
func (z *OVH) MayChange(ctx context.Context) ([]string, error) {
	var credential struct {
		Rules []struct {
			Method string `json:"method"`
			Path   string `json:"path"`
		} `json:"rules"`
	}
	if err := z.read(ctx, "/auth/currentCredential", &credential); err != nil {
		return nil, err
	}
	if len(credential.Rules) == 0 {
		return nil, fmt.Errorf("ovh: the consumer key is said to have no rules at all, and yet answers")
	}
	var rights []string
	for _, r := range credential.Rules {
		path := strings.ToLower(r.Path)
		if r.Method != http.MethodGet && (meet(path, z.path()) || meet(path, z.path()+"/*")) {
			rights = append(rights, r.Method+" "+r.Path)
		}
	}
	return rights, nil
}

// meet says whether any text fits both patterns, in which * stands for any characters, slashes too.
func meet(a, b string) bool {
	switch {
	case a == "" || b == "":
		return strings.Trim(a+b, "*") == ""
	case a[0] == '*':
		return meet(a[1:], b) || meet(a, b[1:])
	case b[0] == '*':
		return meet(a, b[1:]) || meet(a[1:], b)
	}
	return a[0] == b[0] && meet(a[1:], b[1:])
}
