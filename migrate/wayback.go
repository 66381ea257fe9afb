package migrate

import "fmt"

// lastKept resolves what a rollback is to keep to the last step that stays; "" when nothing does.
func (h *History) lastKept(keeps StepID) (StepID, error) {
	switch {
	case keeps == Everything:
		return "", nil
	case keeps != "" && h.steps[keeps] == nil:
		return "", fmt.Errorf("roll back to %s: there is no such step", keeps)
	case keeps != "":
		return keeps, nil
	}
	stop := h.Manifest.Ending.stop() // the phase that stays, with all before it
	if stop == "" {
		return "", nil
	}
	reached := false
	for _, s := range h.order {
		if reached && s.Phase != stop {
			break
		}
		if s.Phase == stop {
			reached, keeps = true, s.ID
		}
	}
	return keeps, nil
}

// above is all that was added after the step keeps, or all for "", as far as it has left a trace; in the runbook's order.
func (h *History) above(keeps StepID) (set []*stepState) {
	for _, s := range h.order {
		if keeps == "" && s.trace() {
			set = append(set, s)
		}
		if s.ID == keeps {
			keeps = ""
		}
	}
	return set
}

// reversible says why what is above keeps can't be undone: a point of no return was passed.
func (h *History) reversible(keeps StepID) error {
	for _, s := range h.above(keeps) {
		if s.noReturn() {
			return fmt.Errorf("roll back run %s: the point of no return %s has been passed: %w", h.Run, s.ID, ErrIrreversible)
		}
	}
	return nil
}

// noReturn: the step has left a trace that can't be taken back.
func (s *stepState) noReturn() bool {
	return s.NoReturn && s.trace() && (nodeKind(s.Kind) != kindGate || s.gate == GatePassed)
}
