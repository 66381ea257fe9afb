package requests

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/migrate"
)

// Box is where a run's requests and their answers are.
type Box struct{ dir string }

// In is the box of the run whose directory that is. Nothing is made before the first request.
func In(run string) *Box { return &Box{filepath.Join(run, "requests")} }

// Asked is what a request asks for.
type Asked string

const (
	Pass  Asked = "pass"  // pass the gate
	Abort Asked = "abort" // abort the gate; without a gate: turn the run back
	Pause Asked = "pause" // stop at the next safe point
)

// Request is what a person asks of the process that holds a run.
type Request struct {
	// ID is its file's name and sorts by time.
	ID  string `json:"id"`
	Ask Asked  `json:"ask"`
	// Gate and Opening are the gate's, and the number of the record that opened it: a word that was given for one opening
	// does not count for a later one.
	Gate    migrate.StepID `json:"gate,omitempty"`
	Opening uint64         `json:"opening,omitempty"`
	// Who gave it, as user@host; From which terminal or process; When; Why.
	Who  string    `json:"who"`
	From string    `json:"from,omitempty"`
	When time.Time `json:"when"`
	Why  string    `json:"why,omitempty"`
	// Of is the process that is asked: a pause is for that one alone.
	Of Process `json:"of,omitzero"`
}

// Process is one on a host.
type Process struct {
	Host string `json:"host"`
	PID  int    `json:"pid"`
}

// String says what is asked, in words.
func (r Request) String() string {
	switch {
	case r.Ask == Abort && r.Gate == "":
		return "turn the run back"
	case r.Gate != "":
		return string(r.Ask) + " gate " + string(r.Gate)
	}
	return string(r.Ask)
}

func (r Request) check() error {
	switch {
	case r.Ask == Pass && r.Gate == "":
		return errors.New("it asks to pass a gate and names none")
	case r.Ask != Pass && r.Ask != Abort && r.Ask != Pause:
		return fmt.Errorf("it asks for %q, which this program doesn't know", r.Ask)
	}
	return nil
}

// Answer is what became of a request.
type Answer struct {
	Accepted bool `json:"accepted"`
	// Why it was refused; or what comes of it.
	Why  string    `json:"why,omitempty"`
	When time.Time `json:"when"`
	By   Process   `json:"by"`
}

const (
	suffix       = ".json"
	answerSuffix = ".answer" + suffix
	// longest is how many bytes of a file are read.
	longest = 64 << 10
	// lookEvery is how often either side looks.
	lookEvery = 100 * time.Millisecond
)

var legalID = regexp.MustCompile(`^[0-9]{8}-[0-9]{6}\.[0-9]{9}-[0-9a-f]{4}$`)

// Put leaves a request, and gives it with its ID and When.
func (b *Box) Put(r Request) (Request, error) {
	if err := r.check(); err != nil {
		return r, fmt.Errorf("leave a request: %w", err)
	}
	var random [2]byte
	if _, err := rand.Read(random[:]); err != nil {
		return r, fmt.Errorf("leave a request: %w", err)
	}
	r.When = time.Now().UTC()
	r.ID = r.When.Format("20060102-150405.000000000-") + hex.EncodeToString(random[:])
	if err := os.Mkdir(b.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return r, fmt.Errorf("leave a request: %w", err)
	}
	if err := syncDir(filepath.Dir(b.dir)); err != nil {
		return r, fmt.Errorf("leave a request: %w", err)
	}
	if err := b.write(r.ID+suffix, r); err != nil {
		return r, fmt.Errorf("leave a request: %w", err)
	}
	return r, nil
}

// Answer answers a request, durably. It is for the process that holds the run, and fails with fs.ErrExist for a request
// that has an answer.
func (b *Box) Answer(id string, a Answer) error {
	if _, err := os.Stat(filepath.Join(b.dir, id+answerSuffix)); err == nil {
		return fmt.Errorf("answer request %s: %w", id, fs.ErrExist)
	}
	if err := b.write(id+answerSuffix, a); err != nil {
		return fmt.Errorf("answer request %s: %w", id, err)
	}
	return nil
}

// write makes a file that is whole or not there.
func (b *Box) write(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(b.dir, ".new-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(b.dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(b.dir)
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Bad is a file among the requests that can't be read as one.
type Bad struct {
	ID  string
	Err error
}

// Pending lists the requests without an answer, oldest first, and the files that should be requests and aren't.
func (b *Box) Pending() (list []Request, bad []Bad, err error) {
	entries, err := os.ReadDir(b.dir) // by name, which is by time
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read requests: %w", err)
	}
	answered := map[string]bool{}
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), answerSuffix); ok {
			answered[id] = true
		}
	}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok || !legalID.MatchString(id) || answered[id] {
			continue
		}
		r, err := read[Request](filepath.Join(b.dir, e.Name()))
		if err == nil && r.ID != id {
			err = fmt.Errorf("it calls itself %q", r.ID)
		}
		if err == nil {
			err = r.check()
		}
		if err != nil {
			bad = append(bad, Bad{id, err})
			continue
		}
		list = append(list, r)
	}
	return list, bad, nil
}

// Answered gives the answer to a request; false when there is none yet.
func (b *Box) Answered(id string) (Answer, bool, error) {
	a, err := read[Answer](filepath.Join(b.dir, id+answerSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return Answer{}, false, nil
	}
	if err != nil {
		return Answer{}, false, fmt.Errorf("read the answer to request %s: %w", id, err)
	}
	return a, true, nil
}

// Wait waits for the answer to a request until ctx ends, and then fails with its cause; or until there says that nobody is
// there to answer, and gives false. The request stays in either case.
func (b *Box) Wait(ctx context.Context, id string, there func() (bool, error)) (Answer, bool, error) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		held, err := there()
		if err != nil {
			return Answer{}, false, err
		}
		a, ok, err := b.Answered(id) // after the look at who is there: the last thing that a process does is to answer
		if err != nil || ok || !held {
			return a, ok, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return Answer{}, false, context.Cause(ctx)
		}
	}
}

func read[T any](path string) (v T, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return v, err
	}
	if len(text) > longest {
		return v, fmt.Errorf("it is longer than %d bytes", longest)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, fmt.Errorf("not what a request or an answer looks like: %w", err)
	}
	return v, nil
}
