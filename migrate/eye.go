package migrate

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// Eye opens what a step looks with. L is an interface that only looks, or a struct of such interfaces.
//
// A looker's dynamic type must have no exported method beyond L's, or a step could assert it into something that acts:
// that is checked, and is ErrReadOnly. To close a type that has more, embed the interface in an unexported one:
//
//	type onlyLooks struct{ ClusterLook }
type Eye[L any] struct {
	_      [0]*L
	open   func(context.Context, *call) (L, error)
	deps   []Dep
	origin Origin
	err    error // known when the runbook is built
}

// Look is an eye on what was there before the run. what names it for people: "the source's MariaDB".
func Look[L any](what string, l L) Eye[L] {
	return Eye[L]{
		open:   func(context.Context, *call) (L, error) { return l, nil },
		origin: Origin{{Read, OnReal, what}},
		err:    onlyLooks(what, l),
	}
}

// LookVia is Look with a looker that is opened for each call.
func LookVia[L any](what string, open func(context.Context) (L, error)) Eye[L] {
	return Eye[L]{
		open: func(ctx context.Context, _ *call) (L, error) {
			l, err := open(ctx)
			if err != nil {
				return l, fmt.Errorf("look at %s: %w", what, err)
			}
			return l, onlyLooks(what, l)
		},
		origin: Origin{{Read, OnReal, what}},
	}
}

// LookAt is an eye on what a step of this run makes; before it is made, a plan looks at absent instead.
func LookAt[T, L any](made Ref[T], absent L, open func(context.Context, T) (L, error)) Eye[L] {
	what := string(made.id)
	return Eye[L]{
		deps:   []Dep{made.Dep()},
		origin: Origin{{Read, OnCreated, what}},
		err:    onlyLooks(what, absent),
		open: func(ctx context.Context, c *call) (L, error) {
			t, err := value(c, made)
			if c.planning && errors.Is(err, ErrNotRecorded) {
				return absent, nil
			}
			if err != nil {
				return absent, err
			}
			l, err := open(ctx, t)
			if err != nil {
				return absent, fmt.Errorf("look at what %s made: %w", what, err)
			}
			return l, onlyLooks(what, l)
		},
	}
}

// BothEyes looks at two things at once.
func BothEyes[X, Y, L any](x Eye[X], y Eye[Y], join func(X, Y) L) Eye[L] {
	return Eye[L]{
		deps:   slices.Concat(x.deps, y.deps),
		origin: x.origin.and(y.origin),
		err:    errors.Join(x.err, y.err),
		open: func(ctx context.Context, c *call) (l L, err error) {
			a, err := x.open(ctx, c)
			if err != nil {
				return l, err
			}
			b, err := y.open(ctx, c)
			if err != nil {
				return l, err
			}
			l = join(a, b)
			return l, onlyLooks("both", l)
		},
	}
}

// onlyLooks refuses a looker that could be asserted into more than it is handed out as.
func onlyLooks[L any](what string, l L) error {
	if err := closed(reflect.TypeFor[L](), reflect.ValueOf(&l).Elem()); err != nil {
		return fmt.Errorf("look at %s: %w", what, err)
	}
	return nil
}

// closed holds for an interface whose value has no exported method and no reachable field beyond it, for plain data, and
// for a struct of these.
func closed(t reflect.Type, v reflect.Value) error {
	switch t.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return fmt.Errorf("there is no %s", t)
		}
		return closedValue(t, v.Elem().Type())
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() {
				if err := closed(f.Type, v.Field(i)); err != nil {
					return fmt.Errorf("%s.%s: %w", t, f.Name, err)
				}
			}
		}
		return nil
	case reflect.Pointer, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return fmt.Errorf("%s must be handed out as an interface: %w", t, ErrReadOnly)
	}
	return nil
}

func closedValue(as, is reflect.Type) error {
	for i := range is.NumMethod() {
		if m := is.Method(i); !hasMethod(as, m.Name) {
			return fmt.Errorf("%s is handed out as %s but also has %s: %w", is, as, m.Name, ErrReadOnly)
		}
	}
	s := is
	if s.Kind() == reflect.Pointer {
		s = s.Elem()
	}
	if s.Kind() != reflect.Struct || s.Name() == "" || !exported(s.Name()) {
		return nil // nobody outside its package can name it, so nobody can reach its fields
	}
	for i := range s.NumField() {
		if f := s.Field(i); f.IsExported() {
			return fmt.Errorf("%s is handed out as %s but its field %s can be reached: %w", is, as, f.Name, ErrReadOnly)
		}
	}
	return nil
}

func hasMethod(t reflect.Type, name string) bool {
	_, ok := t.MethodByName(name)
	return ok
}

func exported(name string) bool { return name[0] >= 'A' && name[0] <= 'Z' }
