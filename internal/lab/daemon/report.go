package daemon

import "github.com/slipway-dev/slipway/internal/lab/progress"

// setReport chooses who hears what the store builds: it has one listener for its whole life, requests come and go.
func (d *Daemon) setReport(to progress.Func) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listener = to
}

func (d *Daemon) reporting() progress.Func {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.listener
}
