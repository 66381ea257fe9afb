package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"
)

// node is a step, service, drain or gate of a runbook without its types: what is typed is behind its functions.
type node struct {
	kind    nodeKind
	spec    Spec
	index   int           // in the runbook
	phase   string        // it stands in
	limit   time.Duration // of that phase; 0 for none
	stretch int           // all of the lower ones come before it
	deps    []Dep         // of its eye and hand, and what Add was told
	needs   []StepID
	reads   map[StepID]bool // the same as a set: what Value may ask for
	feeds   []StepID        // services that have something to carry once it has begun
	fed     bool            // a service: some step feeds it
	waits   []*node         // those of the same stretch that come before it
	frees   []*node         // and those that wait for it
	origin  Origin
	shape   string
	bad     problems

	plan   func(context.Context, *call, rawRecorded) (rawPlan, error)
	run    func(ctx context.Context, c *call, want json.RawMessage) (json.RawMessage, error)
	verify func(ctx context.Context, c *call, out json.RawMessage) error
	undo   func(context.Context, *call, rawRecorded) error

	follow func(context.Context, *call, *live) error             // services
	tip    func(context.Context, *call) (json.RawMessage, error) // services
	drains StepID                                                // drains: the service that it stops
	gate   *Gate
}

type nodeKind string

const (
	kindStep    nodeKind = "step"
	kindService nodeKind = "service"
	kindDrain   nodeKind = "drain"
	kindGate    nodeKind = "gate"
)

func (n *node) timeout() time.Duration {
	if n.spec.Timeout > 0 {
		return n.spec.Timeout
	}
	return DefaultTimeout
}

type rawPlan struct {
	done    json.RawMessage
	want    json.RawMessage
	effects []Effect
}

type rawRecorded struct {
	want, out json.RawMessage
	complete  bool
	attempts  int
}

func typed[Out any](raw rawRecorded) (rec Recorded[Out], err error) {
	rec.Complete, rec.Attempts = raw.complete, raw.attempts
	if raw.want != nil {
		err = json.Unmarshal(raw.want, &rec.Want)
	}
	if raw.complete {
		err = errors.Join(err, json.Unmarshal(raw.out, &rec.Out))
	}
	if err != nil {
		return rec, fmt.Errorf("read what is recorded: %w", err)
	}
	return rec, nil
}

func newNode[M Mode, L, A any](kind nodeKind, spec Spec, look Eye[L], act Hand[M, A], after []Dep) *node {
	n := &node{kind: kind, spec: spec, origin: look.origin.and(act.origin)}
	n.deps = append(append(append(n.deps, look.deps...), act.deps...), after...)
	for _, err := range []error{look.err, act.err} {
		if err != nil {
			n.bad.add("%s: %w", spec.ID, err)
		}
	}
	return n
}

func bindLooks[L, Out any](n *node, look Eye[L], plan func(context.Context, *Scope[L], Recorded[Out]) (Plan[Out], error),
	verify func(context.Context, *Scope[L], Out) error) {
	n.shape = shape(reflect.TypeFor[Out]())
	if err := checkOut(reflect.TypeFor[Out]()); err != nil {
		n.bad.add("%s: %w", n.spec.ID, err)
	}
	if look.open == nil {
		n.bad.add("%s: has no eye", n.spec.ID)
	}
	n.plan = func(ctx context.Context, c *call, raw rawRecorded) (rawPlan, error) {
		l, err := look.open(ctx, c)
		if err != nil {
			return rawPlan{}, err
		}
		rec, err := typed[Out](raw)
		if err != nil {
			return rawPlan{}, err
		}
		p, err := plan(ctx, &Scope[L]{l, c}, rec)
		if err != nil {
			return rawPlan{}, err
		}
		return p.erased()
	}
	n.verify = func(ctx context.Context, c *call, raw json.RawMessage) error {
		l, err := look.open(ctx, c)
		if err != nil {
			return err
		}
		var out Out
		if err := json.Unmarshal(raw, &out); err != nil {
			return fmt.Errorf("read what is recorded: %w", err)
		}
		return verify(ctx, &Scope[L]{l, c}, out)
	}
}

func (p Plan[Out]) erased() (raw rawPlan, err error) {
	if p.Done != nil {
		if raw.done, err = encodeOut(*p.Done); err != nil {
			return raw, err
		}
	}
	raw.effects = p.Effects
	raw.want, err = encodeOut(p.Want)
	return raw, err
}

func bindRun[M Mode, A, Out any](n *node, act Hand[M, A], run func(context.Context, *Scope[A], Out) (Out, error)) {
	if act.open == nil {
		n.bad.add("%s: has no hand", n.spec.ID)
	}
	n.run = func(ctx context.Context, c *call, raw json.RawMessage) (json.RawMessage, error) {
		a, err := act.open(ctx, c)
		if err != nil {
			return nil, err
		}
		var want Out
		if err := json.Unmarshal(raw, &want); err != nil {
			return nil, fmt.Errorf("read what is wanted: %w", err)
		}
		out, err := run(ctx, &Scope[A]{a, c}, want)
		if err != nil {
			return nil, err
		}
		return encodeOut(out)
	}
}

func bindUndo[M Mode, A, Out any](n *node, act Hand[M, A], undo func(context.Context, *Scope[A], Recorded[Out]) error) {
	n.undo = func(ctx context.Context, c *call, raw rawRecorded) error {
		a, err := act.open(ctx, c)
		if err != nil {
			return err
		}
		rec, err := typed[Out](raw)
		if err != nil {
			return err
		}
		return undo(ctx, &Scope[A]{a, c}, rec)
	}
}

func bindFollow[M Mode, L, A, Pos any](n *node, look Eye[L], act Hand[M, A], sv Service[L, A, Pos]) {
	n.tip = func(ctx context.Context, c *call) (json.RawMessage, error) {
		l, err := look.open(ctx, c)
		if err != nil {
			return nil, err
		}
		p, err := sv.Tip(ctx, &Scope[L]{l, c})
		if err != nil {
			return nil, err
		}
		return encodeOut(p)
	}
	n.follow = func(ctx context.Context, c *call, lv *live) error {
		a, err := act.open(ctx, c)
		if err != nil {
			return err
		}
		until := make(chan Pos, 1)
		go func() {
			select {
			case <-lv.asked:
			case <-ctx.Done():
				return
			}
			var p Pos
			if err := json.Unmarshal(lv.stopAt(), &p); err != nil {
				lv.refuse(fmt.Errorf("read where to stop: %w", err))
				return
			}
			until <- p
		}()
		return sv.Follow(ctx, &Scope[A]{a, c}, &Feed[Pos]{report: lv.report, until: until})
	}
}

func positionOf[Pos, From any](at Ref[From], pos func(From) Pos) func(context.Context, *call) (json.RawMessage, error) {
	return func(_ context.Context, c *call) (json.RawMessage, error) {
		from, err := value(c, at)
		if err != nil {
			return nil, err
		}
		return encodeOut(pos(from))
	}
}

func tipOf(service StepID) func(context.Context, *call) (json.RawMessage, error) {
	return func(ctx context.Context, c *call) (json.RawMessage, error) { return c.sess.tipOf(ctx, service) }
}

func drainNode[Pos any](id StepID, sv ServiceRef[Pos], at func(context.Context, *call) (json.RawMessage, error), after []Dep) *node {
	n := &node{kind: kindDrain, drains: sv.id, deps: after, shape: shape(reflect.TypeFor[Pos]()),
		spec: Spec{ID: id, Title: "drain " + string(sv.id), Needs: []Dep{sv.Dep()}, Ends: []Dep{sv.Dep()}}}
	n.plan = func(ctx context.Context, c *call, _ rawRecorded) (rawPlan, error) {
		if c.planning {
			return rawPlan{want: json.RawMessage("null"), effects: []Effect{{Verb: "drain", Object: string(sv.id)}}}, nil
		}
		if pos, stopped := c.sess.stoppedAt(sv.id); stopped {
			return rawPlan{done: pos}, nil
		}
		want, err := at(ctx, c)
		return rawPlan{want: want, effects: []Effect{{Verb: "drain", Object: string(sv.id), Detail: "to " + string(want)}}}, err
	}
	n.run = func(ctx context.Context, c *call, want json.RawMessage) (json.RawMessage, error) {
		return c.sess.stopService(ctx, sv.id, want)
	}
	n.verify = func(ctx context.Context, c *call, out json.RawMessage) error {
		return c.sess.verifyService(ctx, sv.id, out)
	}
	n.undo = func(ctx context.Context, c *call, _ rawRecorded) error { return c.sess.unstopService(ctx, sv.id) }
	return n
}
