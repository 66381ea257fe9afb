package pass

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// Trouble is what kept an entry from being copied.
type Trouble string

// The troubles.
const (
	Special    Trouble = "special"    // a device, a socket or a FIFO: left out
	Doubtful   Trouble = "doubtful"   // it is there, and was not read in the usual way: see tree.Doubter
	Changing   Trouble = "changing"   // it changed each time that it was read
	Unreadable Trouble = "unreadable" // the source can't read it
	Failed     Trouble = "failed"     // the target can't write it, or reads back something else
)

// Problem is one entry that isn't at the target as the source has it, or that a person should know of.
type Problem struct {
	Path    tree.Path `json:"-"`
	Name    string    `json:"path"` // the Path as it is printed: quoted
	Trouble Trouble   `json:"trouble"`
	Why     string    `json:"why"`
}

// mostNamed is how many problems, or differences, a report names. All are counted.
const mostNamed = 1000

// Report is what a pass did.
type Report struct {
	Source string    `json:"source"`
	Target string    `json:"target"`
	Began  time.Time `json:"began"`
	Took   Took      `json:"took"`
	First  bool      `json:"first"`           // nothing was known of the target's contents as a whole: it was listed too
	Error  string    `json:"error,omitempty"` // the pass came to no end

	Listed  int64  `json:"listed"`  // entries of the source
	Kept    int64  `json:"kept"`    // of them, that were at the target already: nothing was done
	Found   Totals `json:"found"`   // what there was to do
	Adopted int64  `json:"adopted"` // files that the target had already, as their sums say
	Sent    int64  `json:"sent"`    // files and symbolic links
	Dirs    int64  `json:"dirs"`    // directories that were made or got their attributes
	Bytes   int64  `json:"bytes"`   // of contents that were sent, again included
	Removed int64  `json:"removed"`
	Checked int64  `json:"verified"` // files that were read back and compared
	Retried int64  `json:"retried"`  // reads and writes that were done again

	Slowest  *Slow     `json:"slowest,omitempty"`
	Counts   []Count   `json:"troubles,omitempty"`
	Problems []Problem `json:"problems,omitempty"` // by path, the first mostNamed
}

// tally is a report that several add to.
type tally struct {
	Report
	mu       sync.Mutex
	troubles map[Trouble]int64
}

// Count is how many entries had a trouble.
type Count struct {
	Trouble Trouble `json:"trouble"`
	Entries int64   `json:"entries"`
}

// Took is where the time went.
type Took struct {
	All  time.Duration `json:"all"`
	List time.Duration `json:"list"` // and compare
	Copy time.Duration `json:"copy"` // from the first change to the last sync
}

// Slow is the directory whose files took longest.
type Slow struct {
	Dir   string        `json:"dir"`
	Files int64         `json:"files"`
	Took  time.Duration `json:"took"`
}

func (r *tally) trouble(p tree.Path, t Trouble, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.troubles[t]++
	if len(r.Problems) < mostNamed {
		r.Problems = append(r.Problems, Problem{p, p.String(), t, why})
	}
}

func (r *tally) add(to *int64, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*to += n
}

func (r *tally) slow(s Slow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.Files > 0 && (r.Slowest == nil || s.Took > r.Slowest.Took) {
		r.Slowest = &s
	}
}

// Whole says whether the target has all that it is to have: special files are none of that, and what was in doubt is there.
func (r *Report) Whole() bool {
	return !slices.ContainsFunc(r.Counts, func(c Count) bool { return c.Trouble != Special && c.Trouble != Doubtful })
}

// close puts a report in order.
func (r *tally) close(src tree.Source, err error) {
	if d, ok := src.(tree.Doubter); ok {
		for _, x := range d.Doubts() {
			r.trouble(x.Path, Doubtful, x.Why)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Took.All = time.Since(r.Began)
	if err != nil {
		r.Error = err.Error()
	}
	slices.SortFunc(r.Problems, func(a, b Problem) int {
		if d := tree.Compare(a.Path, b.Path); d != 0 {
			return d
		}
		return strings.Compare(string(a.Trouble), string(b.Trouble))
	})
	r.Counts = nil
	for _, t := range []Trouble{Special, Doubtful, Changing, Unreadable, Failed} {
		if n := r.troubles[t]; n > 0 {
			r.Counts = append(r.Counts, Count{t, n})
		}
	}
}
