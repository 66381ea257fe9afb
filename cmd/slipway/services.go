package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/ui"
	"github.com/slipway-dev/slipway/migrate"
)

// servicesFile is how the services of a run do, as its process last wrote it: nothing that the run goes by, and so not in
// its journal. It is for status, which looks from another process.
const servicesFile = "services.json"

// serviceHealth is a service at a time.
type serviceHealth struct {
	migrate.Health
	At time.Time `json:"at"`
}

// serviceWatch keeps servicesFile.
type serviceWatch struct {
	dir string

	mu  sync.Mutex      // a listener that is late goes on after the run was closed
	all []serviceHealth // by name
	err error           // the first; the run does not stop for it
}

// event takes note of a service's health: the engine gives a few a second.
func (w *serviceWatch) event(e migrate.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var now serviceHealth
	switch e := e.(type) {
	case migrate.ServiceHealth:
		now = serviceHealth{e.Health, e.Time}
	case migrate.StepFailed:
		if e.Doing != migrate.Following {
			return
		}
		now = serviceHealth{migrate.Health{Service: e.Step, Error: e.Error}, e.Time}
	case migrate.ServiceStopped:
		w.all = slices.DeleteFunc(w.all, func(h serviceHealth) bool { return h.Service == e.Service })
		w.write()
		return
	default:
		return
	}
	i := slices.IndexFunc(w.all, func(h serviceHealth) bool { return h.Service >= now.Service })
	switch {
	case i < 0:
		w.all = append(w.all, now)
	case w.all[i].Service == now.Service:
		w.all[i] = now
	default:
		w.all = slices.Insert(w.all, i, now)
	}
	w.write()
}

// failed is the first error of keeping it.
func (w *serviceWatch) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *serviceWatch) write() {
	b, err := json.Marshal(w.all)
	path := filepath.Join(w.dir, servicesFile)
	if err == nil {
		err = os.WriteFile(path+".new", append(b, '\n'), 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("keep how the services do: %w", err)
	}
}

// readServices reads it; none when there is no such file.
func readServices(dir string) ([]serviceHealth, error) {
	b, err := os.ReadFile(filepath.Join(dir, servicesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []serviceHealth
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("read how the services do: %w", err)
	}
	return all, nil
}

// writeServices says how each did, and how long ago that was. Without a process none runs, whatever the file says.
func writeServices(w io.Writer, all []serviceHealth, held bool, now time.Time) {
	for _, h := range all {
		switch {
		case !held:
			fmt.Fprintf(w, "service %s does not run: no process works on the run; a resume goes on where it was\n", h.Service)
		case h.Up:
			fmt.Fprintf(w, "service %s is up, lag %s (%s ago)\n", h.Service, ui.Took(h.Lag), ui.Took(now.Sub(h.At)))
		default:
			fmt.Fprintf(w, "service %s is down, and is started again: %s (%s ago)\n", h.Service, h.Error, ui.Took(now.Sub(h.At)))
		}
	}
}
