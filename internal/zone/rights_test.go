package zone

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/cloud/ovh"
)

// A key that is to look at a zone is held against its own rules: any that reaches a call which changes the zone is named.
func TestMayChange(t *testing.T) {
	look := ovh.Rule{Method: "GET", Path: "/*"}
	for name, c := range map[string]struct {
		rules []ovh.Rule
		want  []string
	}{
		"only looks":               {rules: []ovh.Rule{look}},
		"writes another zone":      {rules: []ovh.Rule{look, {Method: "POST", Path: "/domain/zone/other.example/*"}}},
		"a longer name":            {rules: []ovh.Rule{look, {Method: "PUT", Path: "/domain/zone/rehearsal.example.org/*"}}},
		"all":                      {rules: []ovh.Rule{look, {Method: "POST", Path: "/*"}}, want: []string{"POST /*"}},
		"all zones":                {rules: []ovh.Rule{look, {Method: "PUT", Path: "/domain/zone/*"}}, want: []string{"PUT /domain/zone/*"}},
		"the zone":                 {rules: []ovh.Rule{look, {Method: "DELETE", Path: "/domain/zone/rehearsal.example/*"}}, want: []string{"DELETE /domain/zone/rehearsal.example/*"}},
		"the zone itself":          {rules: []ovh.Rule{look, {Method: "DELETE", Path: "/domain/zone/rehearsal.example"}}, want: []string{"DELETE /domain/zone/rehearsal.example"}},
		"refreshes of all zones":   {rules: []ovh.Rule{look, {Method: "POST", Path: "/domain/zone/*/refresh"}}, want: []string{"POST /domain/zone/*/refresh"}},
		"names with the same tail": {rules: []ovh.Rule{look, {Method: "POST", Path: "*sal.example/re*"}}, want: []string{"POST *sal.example/re*"}},
		"in capitals":              {rules: []ovh.Rule{look, {Method: "POST", Path: "/domain/zone/Rehearsal.Example/*"}}, want: []string{"POST /domain/zone/Rehearsal.Example/*"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newOVHWorld(t, c.rules)
			got, err := w.z.MayChange(context.Background())
			if err != nil || !slices.Equal(got, c.want) {
				t.Fatalf("%v, %v; want %v", got, err, c.want)
			}
			_, err = SeeOnly(w.z, w.z.servers).Sets(context.Background())
			if refused := errors.Is(err, ErrMayChange); refused != (len(c.want) > 0) {
				t.Fatalf("a look at the sets: %v", err)
			}
			for _, right := range c.want {
				if !strings.Contains(err.Error(), right) {
					t.Errorf("%q does not name %q", err, right)
				}
			}
			if n := w.seen.Load(); n != 0 {
				t.Errorf("%d writes", n)
			}
		})
	}
}
