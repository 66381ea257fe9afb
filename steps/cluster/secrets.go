package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"

	"github.com/slipway-dev/slipway/internal/errlist"
	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/migrate"
)

// Secrets puts the values that the configuration refers to, and facts of the database instance, into Secret objects. The values pass from
// their reference to the API server; neither plan nor journal sees them.
type Secrets struct {
	Namespace migrate.Ref[NamespaceOut]
	Instance  migrate.Ref[google.Instance]
	Objects   []SecretObject
}

// SecretObject is one Secret to be made.
type SecretObject struct {
	Name  string
	Type  string // "kubernetes.io/tls"; "" is Opaque
	Items []SecretItem
}

// SecretItem is one key: from a reference, from a fact of the instance, or a text that is no secret (a user's name).
type SecretItem struct {
	Key   string
	From  secret.Ref
	Fact  google.Fact
	Value string
}

// SecretsOut is what was made, by name.
type SecretsOut struct {
	Namespace string
	Names     []string
}

// Spec is the step's.
func (st Secrets) Spec() migrate.Spec {
	return migrate.Spec{ID: "standup.secrets", Version: 1, Title: "make the secrets", Timeout: 10 * time.Minute,
		Needs: []migrate.Dep{st.Namespace.Dep(), st.Instance.Dep()}}
}

// resolve reads all values, and reports all that can't be read at once.
func resolve[C any](s *migrate.Scope[C], st Secrets) ([]kube.Secret, error) {
	ns, err := migrate.Value(s, st.Namespace)
	if err != nil {
		return nil, err
	}
	inst, err := migrate.Value(s, st.Instance)
	if err != nil {
		return nil, err
	}
	var all *multierror.Error
	var out []kube.Secret
	for _, o := range st.Objects {
		ks := kube.Secret{Namespace: ns.Name, Name: o.Name, Type: o.Type}
		for _, i := range o.Items {
			v, err := i.value(inst)
			if err != nil {
				all = multierror.Append(all, fmt.Errorf("secret %s, key %s: %w", o.Name, i.Key, err))
			}
			ks.Items = append(ks.Items, kube.Item{Key: i.Key, Value: v})
		}
		out = append(out, ks)
	}
	return out, errlist.OrNil(all)
}

func (i SecretItem) value(inst google.Instance) (secret.String, error) {
	var given int
	for _, is := range []bool{!i.From.IsZero(), i.Fact != "", i.Value != ""} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return secret.String{}, fmt.Errorf("it has %d of a reference, a fact of the instance and a value, and needs one", given)
	case i.Fact != "":
		v, err := inst.Fact(i.Fact)
		return secret.New(v), err
	case i.Value != "":
		return secret.New(i.Value), nil
	}
	return i.From.Resolve()
}

// Plan compares what is there with what is wanted.
func (st Secrets) Plan(ctx context.Context, s *migrate.Scope[ObjectLook], rec migrate.Recorded[SecretsOut]) (migrate.Plan[SecretsOut], error) {
	var p migrate.Plan[SecretsOut]
	for _, o := range st.Objects {
		p.Want.Names = append(p.Want.Names, o.Name)
	}
	wanted, err := resolve(s, st)
	if errors.Is(err, migrate.ErrNotRecorded) { // a plan, before there is anything
		for _, o := range st.Objects {
			p.Effects = append(p.Effects, o.effect("create"))
		}
		return p, nil
	}
	if err != nil {
		return p, err
	}
	for i, w := range wanted {
		p.Want.Namespace = w.Namespace
		state, there, err := s.C.Secret(ctx, w)
		switch {
		case err != nil:
			return p, err
		case !there:
			p.Effects = append(p.Effects, st.Objects[i].effect("create"))
			continue
		}
		if err := ofAnother(state.Labels, s.Stamp()); err != nil {
			return p, fmt.Errorf("secret %s/%s: %w: %w", w.Namespace, w.Name, kube.ErrExists, err)
		}
		if !state.Same {
			p.Effects = append(p.Effects, st.Objects[i].effect("replace"))
		}
	}
	if len(p.Effects) == 0 && rec.Attempts > 0 {
		return migrate.Done(p.Want), nil
	}
	return p, nil
}

func (o SecretObject) effect(verb string) migrate.Effect {
	var keys []string
	for _, i := range o.Items {
		from := " from " + i.From.String()
		switch {
		case i.Fact != "":
			from = " from the instance's " + string(i.Fact)
		case i.Value != "":
			from = " is " + i.Value
		}
		keys = append(keys, i.Key+from)
	}
	return migrate.Effect{Verb: verb, Object: "secret " + o.Name, Detail: strings.Join(keys, ", ")}
}

// Run makes them; server-side applies.
func (st Secrets) Run(ctx context.Context, s *migrate.Scope[ObjectMake], want SecretsOut) (SecretsOut, error) {
	all, err := resolve(s, st)
	if err != nil {
		return want, err
	}
	for i, w := range all {
		s.Tell("secret "+w.Namespace+"/"+w.Name, int64(i), int64(len(all)))
		if err := s.C.ApplySecret(ctx, w); err != nil {
			return want, err
		}
	}
	return want, nil
}

// Verify compares every key and value.
func (st Secrets) Verify(ctx context.Context, s *migrate.Scope[ObjectLook], out SecretsOut) error {
	all, err := resolve(s, st)
	if err != nil {
		return err
	}
	var errs *multierror.Error
	for _, w := range all {
		state, there, err := s.C.Secret(ctx, w)
		switch {
		case err != nil:
			errs = multierror.Append(errs, err)
		case !there:
			errs = multierror.Append(errs, fmt.Errorf("secret %s/%s isn't there", w.Namespace, w.Name))
		case !state.Same:
			errs = multierror.Append(errs, fmt.Errorf("secret %s/%s doesn't hold what the configuration refers to", w.Namespace, w.Name))
		}
	}
	return errlist.OrNil(errs)
}

// Undo deletes them.
func (st Secrets) Undo(ctx context.Context, s *migrate.Scope[ObjectMake], rec migrate.Recorded[SecretsOut]) error {
	var errs *multierror.Error
	for _, name := range rec.Want.Names {
		if err := s.C.DeleteSecret(ctx, rec.Want.Namespace, name); err != nil {
			errs = multierror.Append(errs, err)
		}
	}
	return errlist.OrNil(errs)
}
