package migrate_test

import (
	"context"
	"errors"
	"time"

	. "github.com/slipway-dev/slipway/migrate"
)

// wiring is all that differs between a rehearsal and a cut-over. Its hands are branded.
type wiring[M Mode] struct {
	source   sourceLook
	freezer  func(Ref[clusterOut]) (Eye[sourceLook], Hand[M, sourceAct])
	edge     func(Ref[clusterOut]) (Eye[edgeLook], Hand[M, edgeAct])
	zone     func(Ref[clusterOut]) (Eye[zoneLook], Hand[M, zoneAct])
	cloud    cloudLook
	maker    Hand[M, cloudMake]
	target   func(context.Context, clusterOut, Stamp) (targetAct, error)
	see      func(context.Context, clusterOut) (targetLook, error)
	store    storeLook
	save     Hand[M, storeAct]
	pod      func(context.Context, clusterOut, Stamp) (execs, error)
	snapshot string
	by       time.Time
	within   time.Duration     // the limit of the phase "cut over"; 0: it has none
	more     func(*Runbook[M]) // added at the end
}

func phases[M Mode](w wiring[M]) *Runbook[M] {
	rb := NewRunbook[M]()

	rb.Phase("stand up")
	cl := Add(rb, clusterStep{}, Look("cloud", w.cloud), w.maker)
	see, act := LookAt(cl, targetLook(nothing{}), w.see), Created[M](cl, w.target)
	src, st := Look("source", w.source), Look("store", w.store)

	rb.Phase("copy")
	sn := Add(rb, snapshot{w.snapshot}, BothEyes(src, st, func(s sourceLook, t storeLook) snapshotC { return snapshotC{s, t} }),
		With(src, w.save, func(s sourceLook, t storeAct) snapshotA { return snapshotA{s, t} }))
	Add(rb, load{sn}, BothEyes(st, see, func(t storeLook, l targetLook) loadC[targetLook] { return loadC[targetLook]{t, l} }),
		With(st, act, func(t storeLook, a targetAct) loadC[targetAct] { return loadC[targetAct]{t, a} }))
	Add(rb, files{}, see, act)

	rb.Phase("follow")
	fwd := AddService(rb, forward{}, BothEyes(src, see, func(s sourceLook, l targetLook) forwardC[targetLook] { return forwardC[targetLook]{s, l} }),
		With(src, act, func(s sourceLook, a targetAct) forwardC[targetAct] { return forwardC[targetAct]{s, a} }))
	Add(rb, user[execs]{userSpec{id: "warm", check: "check", run: "run", undo: "undo"}}, Look("nothing", none{}), Created[M](cl, w.pod))
	AddGate(rb, Gate{ID: "go", Healthy: []Dep{fwd.Dep()}, MaxLag: 2 * time.Second, By: w.by})

	if w.within > 0 {
		rb.PhaseWithin("cut over", w.within)
	} else {
		rb.PhaseInOrder("cut over")
	}
	frEye, frHand := w.freezer(cl)
	fz := Add(rb, freeze{}, BothEyes(src, frEye, func(a, b sourceLook) freezeC[sourceLook] { return freezeC[sourceLook]{a, b} }),
		With(src, frHand, func(a sourceLook, b sourceAct) freezeC[sourceAct] { return freezeC[sourceAct]{a, b} }))
	DrainTo(rb, "cut.drain", fwd, fz, func(o freezeOut) int { return o.Pos })
	rev := AddService(rb, reverse{}, BothEyes(see, frEye, func(a targetLook, b sourceLook) reverseC[sourceLook] { return reverseC[sourceLook]{a, b} }),
		With(see, frHand, func(a targetLook, b sourceAct) reverseC[sourceAct] { return reverseC[sourceAct]{a, b} }))
	ee, eh := w.edge(cl)
	Add(rb, switchEdge{}, ee, eh)
	Add(rb, openTarget{}, see, act)
	ze, zh := w.zone(cl)
	Add(rb, flip{"2.2.2.2"}, ze, zh)

	rb.Phase("watch")
	AddGate(rb, Gate{ID: "finalize", PointOfNoReturn: true, Healthy: []Dep{rev.Dep()}, MaxLag: time.Minute})

	rb.Phase("finish")
	DrainToTip(rb, "finish.reverse", rev)
	if w.more != nil {
		w.more(rb)
	}
	return rb
}

func common[M Mode](w *world) wiring[M] {
	return wiring[M]{
		source: sourceLooks{newSource(w, w.prod)}, cloud: cloudLooks{cloud{w}}, store: storeLooks{store{w}},
		maker:  Maker[M]("cloud", func(context.Context, Stamp) (cloudMake, error) { return cloud{w}, nil }),
		save:   Maker[M]("store", func(context.Context, Stamp) (storeAct, error) { return store{w}, nil }),
		target: func(context.Context, clusterOut, Stamp) (targetAct, error) { return newTarget(w), nil },
		see:    func(context.Context, clusterOut) (targetLook, error) { return targetLooks{newTarget(w)}, nil },
		pod:    func(context.Context, clusterOut, Stamp) (execs, error) { return pod{w}, nil },
	}
}

// forRehearsal has no way to be given a sourceAct of production: no argument carries one, and Real is a cut-over's.
func forRehearsal(w *world) wiring[Rehearsal] {
	x := common[Rehearsal](w)
	marked := func(context.Context) error {
		if w.shadow.src.name != "shadow" {
			return errors.New("it is " + w.shadow.src.name)
		}
		return nil
	}
	x.freezer = func(cl Ref[clusterOut]) (Eye[sourceLook], Hand[Rehearsal, sourceAct]) {
		return LookShadow[sourceLook]("shadow", sourceLooks{newSource(w, w.shadow)}),
			Shadow("shadow", marked, func(context.Context, Stamp) (sourceAct, error) { return newSource(w, w.shadow), nil })
	}
	x.edge = func(Ref[clusterOut]) (Eye[edgeLook], Hand[Rehearsal, edgeAct]) {
		return LookShadow[edgeLook]("shadow", edgeLooks{edge{w, w.shadow}}),
			Shadow("shadow", marked, func(context.Context, Stamp) (edgeAct, error) { return edge{w, w.shadow}, nil })
	}
	x.zone = func(Ref[clusterOut]) (Eye[zoneLook], Hand[Rehearsal, zoneAct]) {
		return LookShadow[zoneLook]("shadow", zoneLooks{edge{w, w.shadow}}),
			Shadow("shadow", marked, func(context.Context, Stamp) (zoneAct, error) { return edge{w, w.shadow}, nil })
	}
	return x
}

func forCutover(w *world) wiring[Cutover] {
	x := common[Cutover](w)
	x.freezer = func(Ref[clusterOut]) (Eye[sourceLook], Hand[Cutover, sourceAct]) {
		return Look[sourceLook]("source", sourceLooks{newSource(w, w.prod)}),
			Real("source", func(context.Context, Stamp) (sourceAct, error) { return newSource(w, w.prod), nil })
	}
	x.edge = func(Ref[clusterOut]) (Eye[edgeLook], Hand[Cutover, edgeAct]) {
		return Look[edgeLook]("edge", edgeLooks{edge{w, w.prod}}), Real("edge", func(context.Context, Stamp) (edgeAct, error) { return edge{w, w.prod}, nil })
	}
	x.zone = func(Ref[clusterOut]) (Eye[zoneLook], Hand[Cutover, zoneAct]) {
		return Look[zoneLook]("zone", zoneLooks{edge{w, w.prod}}), Real("zone", func(context.Context, Stamp) (zoneAct, error) { return edge{w, w.prod}, nil })
	}
	return x
}
