package volumes

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/go-multierror"

	"github.com/slipway-dev/slipway/internal/errlist"
	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/stamp"
	"github.com/slipway-dev/slipway/migrate"
)

// ClaimLook looks at claims.
type ClaimLook interface {
	Claim(ctx context.Context, namespace, name string) (kube.ClaimState, bool, error)
}

// ClaimMake makes claims with this run's stamp, and deletes only those.
type ClaimMake interface {
	// ApplyClaim returns when the claim is bound, or will be by its first pod.
	ApplyClaim(ctx context.Context, want kube.Claim, tell kube.Tell) (kube.ClaimState, error)
	// DeleteClaim returns when the claim and its volume are gone; absent is fine.
	DeleteClaim(ctx context.Context, namespace, name string, tell kube.Tell) error
}

type onlyClaims struct{ ClaimLook }

// OnlyClaims closes a looker that can do more.
func OnlyClaims(l ClaimLook) ClaimLook { return onlyClaims{l} }

// NoClaims is what a plan sees before there is a cluster: nothing.
type NoClaims struct{}

// Claim: none.
func (NoClaims) Claim(context.Context, string, string) (kube.ClaimState, bool, error) {
	return kube.ClaimState{}, false, nil
}

// Claims makes the volumes that the release and the copy of the files use.
type Claims struct {
	Namespace string
	Claims    []kube.Claim // their Namespace is the step's
	After     []migrate.Dep
}

// ClaimsOut is what was made.
type ClaimsOut struct{ Claims []kube.Claim }

// Spec: a volume that can't be deleted holds the cluster, whose deletion would leave the disk behind, paid for and forgotten.
func (st Claims) Spec() migrate.Spec {
	return migrate.Spec{ID: "standup.claims", Version: 1, Title: "make the volumes", Timeout: 30 * time.Minute, Needs: st.After}
}

func (st Claims) wanted() []kube.Claim {
	out := make([]kube.Claim, 0, len(st.Claims))
	for _, c := range st.Claims {
		c.Namespace = st.Namespace
		out = append(out, c)
	}
	return out
}

// Plan looks at each claim.
func (st Claims) Plan(ctx context.Context, s *migrate.Scope[ClaimLook], rec migrate.Recorded[ClaimsOut]) (migrate.Plan[ClaimsOut], error) {
	p := migrate.Plan[ClaimsOut]{Want: ClaimsOut{st.wanted()}}
	mark := stamp.Stamp{Run: s.Stamp().Run}
	for _, c := range p.Want.Claims {
		name := c.Namespace + "/" + c.Name
		have, there, err := s.C.Claim(ctx, c.Namespace, c.Name)
		if err != nil {
			return p, err
		}
		if there {
			if err := mark.Check(have.Labels); err != nil {
				return p, fmt.Errorf("claim %s: %w: %w", name, kube.ErrExists, err)
			}
			if d := have.Differs(c); d != "" {
				return p, fmt.Errorf("claim %s is there with %s, and a claim can't be changed: %w", name, d, kube.ErrExists)
			}
		}
		switch {
		case !there:
			class := c.Class
			if class == "" {
				class = "the cluster's default class"
			}
			p.Effects = append(p.Effects, migrate.Effect{Verb: "create", Object: "claim " + name, Detail: fmt.Sprintf("%s, %s, %s", c.Size, c.Mode, class)})
		case !have.Ready():
			p.Effects = append(p.Effects, migrate.Effect{Verb: "wait for", Object: "claim " + name, Detail: have.Phase + " " + have.Why})
		}
	}
	if len(p.Effects) == 0 && rec.Attempts > 0 {
		return migrate.Done(p.Want), nil
	}
	return p, nil
}

// Run makes them and waits until they are bound.
func (st Claims) Run(ctx context.Context, s *migrate.Scope[ClaimMake], want ClaimsOut) (ClaimsOut, error) {
	for i, c := range want.Claims {
		s.Tell("claim "+c.Namespace+"/"+c.Name, int64(i), int64(len(want.Claims)))
		if _, err := s.C.ApplyClaim(ctx, c, s.Tell); err != nil {
			return want, err
		}
	}
	return want, nil
}

// Verify: each is as asked for, and bound or waiting for nothing but a pod.
func (st Claims) Verify(ctx context.Context, s *migrate.Scope[ClaimLook], out ClaimsOut) error {
	var all *multierror.Error
	for _, c := range out.Claims {
		have, there, err := s.C.Claim(ctx, c.Namespace, c.Name)
		switch {
		case err != nil:
			all = multierror.Append(all, err)
		case !there:
			all = multierror.Append(all, fmt.Errorf("claim %s/%s isn't there", c.Namespace, c.Name))
		case have.Differs(c) != "":
			all = multierror.Append(all, fmt.Errorf("claim %s/%s has %s", c.Namespace, c.Name, have.Differs(c)))
		case !have.Ready():
			all = multierror.Append(all, fmt.Errorf("claim %s/%s is %s: %s", c.Namespace, c.Name, have.Phase, have.Why))
		}
	}
	return errlist.OrNil(all)
}

// Undo deletes them with their volumes.
func (st Claims) Undo(ctx context.Context, s *migrate.Scope[ClaimMake], rec migrate.Recorded[ClaimsOut]) error {
	var all *multierror.Error
	for _, c := range rec.Want.Claims {
		if err := s.C.DeleteClaim(ctx, c.Namespace, c.Name, s.Tell); err != nil {
			all = multierror.Append(all, err)
		}
	}
	return errlist.OrNil(all)
}
