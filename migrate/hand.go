package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Hand opens what a step acts with, branded with the mode it may act in: a runbook of mode M takes only Hand[M, …]. The
// zero-length field makes M part of the type's structure, so that Go does not convert one mode's hand into another's.
type Hand[M Mode, A any] struct {
	_      [0]*M
	open   func(context.Context, *call) (A, error)
	deps   []Dep
	origin Origin
	err    error
}

// Real is a hand on production. It is a cut-over's: there is none for a rehearsal, and there is no other way to make one.
// what names it for people. Production's actors are opened in one file of cmd only; archtest sees to that.
func Real[A any](what string, open func(context.Context, Stamp) (A, error)) Hand[Cutover, A] {
	return Hand[Cutover, A]{origin: Origin{{Acted, OnReal, what}}, open: stamped(what, open)}
}

// Shadow is a rehearsal's hand on a thing that was there before the run and stands in for production's: a disposable
// host, a zone of its own. marked looks, each time before the hand is opened, whether the thing itself says that it is
// disposable; its error keeps the step from acting.
func Shadow[A any](what string, marked func(context.Context) error, open func(context.Context, Stamp) (A, error)) Hand[Rehearsal, A] {
	act := stamped(what, open)
	return Hand[Rehearsal, A]{origin: Origin{{Acted, OnShadow, what}}, open: func(ctx context.Context, c *call) (a A, err error) {
		if err := marked(ctx); err != nil {
			return a, fmt.Errorf("%s is not marked as disposable: %w", what, err)
		}
		return act(ctx, c)
	}}
}

// Created is a hand on what a step of this run made, in either mode: open is given that step's result and nothing else.
func Created[M Mode, T, A any](made Ref[T], open func(context.Context, T, Stamp) (A, error)) Hand[M, A] {
	what := string(made.id)
	return Hand[M, A]{
		deps:   []Dep{made.Dep()},
		origin: Origin{{Acted, OnCreated, what}},
		open: func(ctx context.Context, c *call) (a A, err error) {
			t, err := value(c, made)
			if err != nil {
				return a, err
			}
			if a, err = open(ctx, t, c.stamp()); err != nil {
				return a, fmt.Errorf("open what %s made: %w", what, err)
			}
			return a, nil
		},
	}
}

// Maker is a hand that makes new things, and deletes only what carries this run's stamp. what names where: "google
// project".
func Maker[M Mode, A any](what string, open func(context.Context, Stamp) (A, error)) Hand[M, A] {
	return Hand[M, A]{origin: Origin{{Acted, OnCreated, what}}, open: stamped(what, open)}
}

// NoHands is for steps that only look: preflight, verify, smoke.
func NoHands[M Mode, L any](e Eye[L]) Hand[M, L] {
	return Hand[M, L]{deps: e.deps, origin: e.origin, open: e.open, err: e.err}
}

// With is a hand together with an eye: for steps that read one thing and act on another.
func With[M Mode, L, A, B any](e Eye[L], h Hand[M, A], join func(L, A) B) Hand[M, B] {
	return BothHands(NoHands[M](e), h, join)
}

// BothHands acts on two things at once.
func BothHands[M Mode, X, Y, B any](x Hand[M, X], y Hand[M, Y], join func(X, Y) B) Hand[M, B] {
	return Hand[M, B]{
		deps:   slices.Concat(x.deps, y.deps),
		origin: x.origin.and(y.origin),
		err:    errors.Join(x.err, y.err),
		open: func(ctx context.Context, c *call) (both B, err error) {
			a, err := x.open(ctx, c)
			if err != nil {
				return both, err
			}
			b, err := y.open(ctx, c)
			if err != nil {
				return both, err
			}
			return join(a, b), nil
		},
	}
}

func stamped[A any](what string, open func(context.Context, Stamp) (A, error)) func(context.Context, *call) (A, error) {
	return func(ctx context.Context, c *call) (a A, err error) {
		if a, err = open(ctx, c.stamp()); err != nil {
			return a, fmt.Errorf("open %s: %w", what, err)
		}
		return a, nil
	}
}
