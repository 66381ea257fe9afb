package pass

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// The files of a state's directory.
const (
	lockName     = "lock"     // locked by flock(2) while a process works; its text says which
	manifestName = "manifest" // all that was known when the last pass came to its end
	logName      = "log"      // what batches have recorded since
	lastName     = "last"     // the last report, in JSON
)

// State is what is known of the copy from one place to another: a manifest that is replaced as a whole, and a log on top of it that grows by
// one run for each batch. Later runs count before earlier ones, and before the manifest.
type State struct {
	dir  string
	of   header
	lock *os.File

	mu       sync.Mutex
	manifest *os.File // nil: no pass has come to its end yet
	log      *os.File
	end      int64
	runs     []span
	broken   error // the log may have half a run at its end
}

// span is where a run stands in the log.
type span struct{ off, n int64 }

// LockedError: another process works with this state.
type LockedError struct{ Dir, Who string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("another process copies or verifies the same: %s holds %s", e.Who, e.Dir)
}

// OpenState locks the state in a directory, which is made if it isn't there, and reads what is known there. source and target are what the two
// places are called: a state of others is refused. A log whose last run was not written to its end loses that run.
func OpenState(dir, source, target string) (s *State, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	s = &State{dir: dir, of: header{source: source, target: target}}
	defer func() {
		if err != nil {
			s.Close()
			s = nil
		}
	}()
	if s.lock, err = takeLock(filepath.Join(dir, lockName)); err != nil {
		return s, err
	}
	if err := s.openManifest(); err != nil {
		return s, fmt.Errorf("state %s: %s: %w", dir, manifestName, err)
	}
	if err := s.openLog(); err != nil {
		return s, fmt.Errorf("state %s: %s: %w", dir, logName, err)
	}
	return s, nil
}

func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("state: lock %s: %w", path, err)
		}
		who, err := io.ReadAll(io.LimitReader(f, 256))
		if err != nil || len(who) == 0 {
			who = []byte("one that doesn't say its number")
		}
		return nil, &LockedError{filepath.Dir(path), string(who)}
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(fmt.Errorf("state: %w", err), f.Close())
	}
	if _, err := fmt.Fprintf(f, "process %d", os.Getpid()); err != nil {
		return nil, errors.Join(fmt.Errorf("state: %w", err), f.Close())
	}
	return f, nil
}

// Close lets another process have it.
func (s *State) Close() error {
	var errs []error
	for _, f := range []*os.File{s.manifest, s.log, s.lock} { // the lock last
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// same holds the header of a file against what this state is of.
func (s *State) same(h header) error {
	if h.source != s.of.source || h.target != s.of.target {
		return fmt.Errorf("%w: it is of %s and %s", ErrOther, h.source, h.target)
	}
	if s.of.root == "" {
		s.of.root = h.root
	}
	if s.of.root != h.root {
		return fmt.Errorf("%w: manifest and log are of two targets", ErrDamaged)
	}
	return nil
}

// ErrOther: a state is of two other places. Give another directory.
var ErrOther = errors.New("the state is of other places")

func (s *State) openManifest() error {
	f, err := os.Open(filepath.Join(s.dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	s.manifest = f
	in, err := readFrames(f)
	if err != nil {
		return err
	}
	h, err := firstFrame(in)
	if err != nil {
		return whole(err)
	}
	return s.same(h)
}

func readFrames(f *os.File) (*frames, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return newFrames(io.NewSectionReader(f, 0, info.Size()), info.Size()), nil
}

func firstFrame(in *frames) (h header, err error) {
	b, err := in.next()
	if err != nil {
		return h, err
	}
	return parseHeader(b)
}

// whole is what it means that a file ends early which is replaced as a whole.
func whole(err error) error {
	if errors.Is(err, errTorn) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it is cut off", ErrDamaged)
	}
	return err
}

// openLog finds the runs, and cuts off one that wasn't written to its end.
func (s *State) openLog() (err error) {
	if s.log, err = os.OpenFile(filepath.Join(s.dir, logName), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	in, err := readFrames(s.log)
	if err != nil {
		return err
	}
	h, err := firstFrame(in)
	if err == nil {
		err = s.same(h)
	}
	for err == nil {
		s.end = in.off
		var b []byte
		if b, err = in.next(); err == nil {
			s.runs = append(s.runs, span{s.end + frameHead, int64(len(b))})
		}
	}
	if errors.Is(err, errTorn) || errors.Is(err, io.EOF) {
		return s.log.Truncate(s.end)
	}
	return err
}

// Fresh says whether nothing is known: no pass has come to its end, and no batch.
func (s *State) fresh() bool { return s.manifest == nil && len(s.runs) == 0 }

// bind says what the target's root is. What is known of another root, at the same place, is forgotten.
func (s *State) bind(root string) (forgot bool, err error) {
	if s.of.root == root {
		return false, nil
	}
	forgot = !s.fresh()
	s.of.root = root
	return forgot, s.forget()
}

func (s *State) forget() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.manifest != nil {
		if err := errors.Join(os.Remove(s.manifest.Name()), syncDir(s.dir), s.manifest.Close()); err != nil {
			return fmt.Errorf("state: %w", err)
		}
		s.manifest = nil
	}
	return s.clear()
}

// clear empties the log. The caller has the mutex.
func (s *State) clear() error {
	if err := s.log.Truncate(0); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	s.runs, s.end, s.broken = nil, 0, nil
	return nil
}

// Record writes down what a batch has brought. It is on the disk when record returns.
func (s *State) record(run []Entry) error {
	if len(run) == 0 {
		return nil
	}
	slices.SortFunc(run, func(a, b Entry) int { return tree.Compare(a.Path, b.Path) })
	var contents, one []byte
	for i := range run {
		one = appendEntry(one[:0], &run[i])
		contents = appendRecord(contents, one)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	var b []byte
	if s.end == 0 {
		b = appendFrame(b, s.of.contents())
	}
	b = appendFrame(b, contents)
	if _, err := s.log.WriteAt(b, s.end); err != nil {
		s.broken = fmt.Errorf("state: %w", err)
		return s.broken
	}
	if err := s.log.Sync(); err != nil { // what of it is on the disk can't be known any more
		s.broken = fmt.Errorf("state: %w", err)
		return s.broken
	}
	s.end += int64(len(b))
	s.runs = append(s.runs, span{s.end - int64(len(contents)), int64(len(contents))})
	return nil
}

// frameSize is how large the manifest's frames are, about.
const frameSize = 64 << 10

// fold makes a new manifest of all that is known, and empties the log.
func (s *State) fold() error {
	if s.manifest != nil && len(s.runs) == 0 {
		return nil
	}
	path := filepath.Join(s.dir, manifestName)
	err := replace(path, func(w *bufio.Writer) error {
		put := func(contents []byte) error {
			_, err := w.Write(appendFrame(nil, contents))
			return err
		}
		if err := put(s.of.contents()); err != nil {
			return err
		}
		var contents, one []byte
		for e, err := range s.known() {
			if err != nil {
				return err
			}
			one = appendEntry(one[:0], e)
			if contents = appendRecord(contents, one); len(contents) >= frameSize {
				if err := put(contents); err != nil {
					return err
				}
				contents = contents[:0]
			}
		}
		if len(contents) > 0 {
			if err := put(contents); err != nil {
				return err
			}
		}
		return put(nil)
	})
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.manifest
	s.manifest = f
	if old != nil {
		old.Close() // it was only read
	}
	return s.clear() // a kill before this leaves a log of what the manifest has too
}

// replace writes a file that is there as a whole or as it was before.
func replace(path string, write func(*bufio.Writer) error) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 256<<10)
	err = write(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// keep writes down a report.
func (s *State) keep(r *Report) error {
	err := replace(filepath.Join(s.dir, lastName), func(w *bufio.Writer) error { return json.NewEncoder(w).Encode(r) })
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

// Status is what a state says to whoever only looks.
type Status struct {
	Last *Report `json:"last,omitempty"` // nil: no pass has ended
	Held string  `json:"held_by,omitempty"`
	Done bool    `json:"done"` // a pass has come to its end: the target had everything that was listed
}

// Look looks at the state in a directory without locking it. One that isn't there says nothing.
func Look(dir string) (s Status, err error) {
	b, err := os.ReadFile(filepath.Join(dir, lastName))
	if err == nil {
		s.Last = &Report{}
		err = json.Unmarshal(b, s.Last)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("state %s: %s: %w", dir, lastName, err)
	}
	if _, err := os.Stat(filepath.Join(dir, manifestName)); err == nil {
		s.Done = true
	}
	f, err := os.Open(filepath.Join(dir, lockName))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("state: %w", err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err == nil {
		return s, nil // given back with f
	}
	who, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil {
		return s, fmt.Errorf("state: %w", err)
	}
	s.Held = string(who)
	return s, nil
}
