package cloudsql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-multierror"

	"github.com/slipway-dev/slipway/internal/errlist"
	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/migrate"
)

// Users makes the accounts that the application and the loader log in with.
type Users struct {
	Instance migrate.Ref[google.Instance]
	Accounts []Account
}

// Account is one account; its password is read from its reference when it is used.
type Account struct {
	Name     string
	Host     string // "%", or a pattern of addresses
	Password secret.Ref
}

func (a Account) user() google.User { return google.User{Name: a.Name, Host: a.Host} }

// UsersOut is what was made.
type UsersOut struct {
	Instance string
	Users    []google.User
}

// Spec is the step's.
func (st Users) Spec() migrate.Spec {
	return migrate.Spec{ID: "standup.sql-users", Version: 1, Title: "make the database's accounts", Timeout: 20 * time.Minute,
		Needs: []migrate.Dep{st.Instance.Dep()}}
}

// Plan: accounts that are there and can log in are done. Before the first attempt none may be there, so that Undo deletes nobody's but ours.
func (st Users) Plan(ctx context.Context, s *migrate.Scope[AdminLook], rec migrate.Recorded[UsersOut]) (migrate.Plan[UsersOut], error) {
	p := migrate.Plan[UsersOut]{}
	for _, a := range st.Accounts {
		p.Want.Users = append(p.Want.Users, a.user())
		p.Effects = append(p.Effects, migrate.Effect{Verb: "create", Object: "account " + a.user().String(), Detail: "password from " + a.Password.String()})
	}
	inst, err := migrate.Value(s, st.Instance)
	if errors.Is(err, migrate.ErrNotRecorded) { // a plan, before there is an instance
		return p, nil
	}
	if err != nil {
		return p, err
	}
	p.Want.Instance = inst.Name
	there, err := s.C.Users(ctx, inst.Name)
	if err != nil {
		return p, err
	}
	if rec.Attempts == 0 {
		for _, have := range there {
			for _, want := range p.Want.Users {
				if have == want {
					return p, fmt.Errorf("account %s is on instance %s before this run made it: %w", have, inst.Name, google.ErrExists)
				}
			}
		}
		return p, nil
	}
	switch err := st.logins(ctx, s, inst); {
	case err == nil:
		return migrate.Done(p.Want), nil
	case errors.Is(err, google.ErrLogin):
		return p, nil
	default:
		return p, err
	}
}

// logins tries every account.
func (st Users) logins(ctx context.Context, s *migrate.Scope[AdminLook], inst google.Instance) error {
	var all *multierror.Error
	for _, a := range st.Accounts {
		pw, err := a.Password.Resolve()
		if err == nil {
			err = s.C.Login(ctx, inst, a.Name, pw)
		}
		if err != nil {
			all = multierror.Append(all, fmt.Errorf("account %s of instance %s: %w", a.user(), inst.Name, err))
		}
	}
	return errlist.OrNil(all)
}

// Run makes the accounts, and sets the passwords of those that an earlier attempt made: it isn't known which password they got.
func (st Users) Run(ctx context.Context, s *migrate.Scope[AdminMake], want UsersOut) (UsersOut, error) {
	for i, a := range st.Accounts {
		s.Tell("account "+a.user().String()+" of instance "+want.Instance, int64(i), int64(len(st.Accounts)))
		pw, err := a.Password.Resolve()
		if err != nil {
			return want, fmt.Errorf("password of account %s: %w", a.user(), err)
		}
		if err := s.C.PutUser(ctx, want.Instance, a.user(), pw, s.Tell); err != nil {
			return want, err
		}
	}
	return want, nil
}

// Verify logs in with each account, from here, over TLS.
func (st Users) Verify(ctx context.Context, s *migrate.Scope[AdminLook], _ UsersOut) error {
	inst, err := migrate.Value(s, st.Instance)
	if err != nil {
		return err
	}
	return st.logins(ctx, s, inst)
}

// Undo deletes them, if their instance carries this run's stamp.
func (st Users) Undo(ctx context.Context, s *migrate.Scope[AdminMake], rec migrate.Recorded[UsersOut]) error {
	var all *multierror.Error
	for _, u := range rec.Want.Users {
		if err := s.C.DeleteUser(ctx, rec.Want.Instance, u, s.Tell); err != nil {
			all = multierror.Append(all, err)
		}
	}
	return errlist.OrNil(all)
}
