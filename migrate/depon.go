package migrate

// Dep is met when a step that was added before has been verified. It is for runbooks that learn of their steps from a
// configuration; where a Ref is at hand, use that. There is no such step: ok is false.
func (rb *Runbook[M]) Dep(id StepID) (d Dep, ok bool) {
	if rb.book.byID[id] == nil {
		return Dep{}, false
	}
	return Dep{id}, true
}
