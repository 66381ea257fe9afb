package migrate

import "slices"

// reverse hands out nodes to undo: of the highest stretch that isn't settled, those that nothing unsettled needs.
type reverse struct {
	set  []*node
	in   map[*node]bool
	fate map[*node]fate
	held map[*node]StepID // by which step
	open map[int]int      // nodes not settled, by stretch
}

type fate int

const (
	waiting fate = iota
	atWork
	undone
	undoFailed
	held
)

func newReverse(set []*node) *reverse {
	r := &reverse{set: set, in: map[*node]bool{}, fate: map[*node]fate{}, held: map[*node]StepID{}, open: map[int]int{}}
	for _, n := range set {
		r.in[n] = true
		r.open[n.stretch]++
	}
	return r
}

func (r *reverse) settled(n *node) bool { return r.fate[n] >= undone }

func (r *reverse) settle(n *node, f fate) {
	r.fate[n] = f
	r.open[n.stretch]--
}

// next gives the nodes that may be undone now, and settles those that are held.
func (r *reverse) next() (ready []*node) {
	holder := StepID("") // what holds everything in the stretches below
	for i := len(r.set) - 1; i >= 0; {
		k := r.set[i].stretch
		from := i
		for from >= 0 && r.set[from].stretch == k {
			from--
		}
		for ; i > from; i-- {
			if n := r.set[i]; r.fate[n] == waiting {
				ready = r.consider(n, holder, ready)
			}
		}
		if r.open[k] > 0 {
			return ready
		}
		if holder == "" {
			holder = r.holderIn(from+1, k)
		}
	}
	return ready
}

func (r *reverse) consider(n *node, holder StepID, ready []*node) []*node {
	for _, d := range n.frees {
		if !r.in[d] {
			continue
		}
		if !r.settled(d) {
			return ready
		}
		if holder == "" {
			holder = r.holds(d)
		}
	}
	if holder != "" {
		r.held[n] = holder
		r.settle(n, held)
		return ready
	}
	return append(ready, n)
}

// holds is the step that d holds others for: itself, or the one that holds it; "" when it holds nothing.
func (r *reverse) holds(d *node) StepID {
	switch {
	case r.fate[d] == held:
		return r.held[d]
	case r.fate[d] == undoFailed && d.spec.OnUndoFailure == Hold:
		return d.spec.ID
	}
	return ""
}

func (r *reverse) holderIn(from, stretch int) StepID {
	for _, n := range r.set[from:] {
		if n.stretch != stretch {
			break
		}
		if h := r.holds(n); h != "" {
			return h
		}
	}
	return ""
}

func (r *reverse) left() bool {
	for _, n := range r.set {
		if !r.settled(n) {
			return true
		}
	}
	return false
}

// todo lists what is not undone, the last of the runbook first: the order in which it is to be dealt with. A gate that is
// held is nobody's work.
func (r *reverse) todo(errs map[*node]error) (todo []Todo) {
	for _, n := range slices.Backward(r.set) {
		switch {
		case r.fate[n] == undoFailed:
			todo = append(todo, Todo{Step: n.spec.ID, Error: reason(errs[n])})
		case r.fate[n] == held && n.kind != kindGate:
			todo = append(todo, Todo{Step: n.spec.ID, HeldBy: r.held[n]})
		}
	}
	return todo
}
