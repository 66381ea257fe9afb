package shopper

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// Stats are what the customers saw so far. The JSON form is what is kept beside the ledger for others to read.
type Stats struct {
	Since        time.Time `json:"since"`
	Until        time.Time `json:"until"`
	Visits       int       `json:"visits"`
	Skipped      int       `json:"skipped"` // visits that were due while too many were under way
	Acknowledged int       `json:"acknowledged"`
	Refused      int       `json:"refused"`
	Unknown      int       `json:"unknown"`
	Pages        []Page    `json:"pages"`     // in the order of a visit
	Addresses    []Reached `json:"addresses"` // in the order of first use
}

// A Page is one kind of request. Latencies are of requests that succeeded.
type Page struct {
	Name      string        `json:"name"`
	Requests  int           `json:"requests"`
	Errors    int           `json:"errors"`
	LastError string        `json:"last_error,omitempty"`
	P50       time.Duration `json:"p50_ns"`
	P95       time.Duration `json:"p95_ns"`
	P99       time.Duration `json:"p99_ns"`
	Max       time.Duration `json:"max_ns"`
}

// Reached counts the connections to one address, and says when it was first and last used.
type Reached struct {
	Address     netip.Addr `json:"address"`
	Connections int        `json:"connections"`
	First       time.Time  `json:"first"`
	Last        time.Time  `json:"last"`
}

// Errors is how many requests failed, of all kinds.
func (s Stats) Errors() int {
	n := 0
	for _, p := range s.Pages {
		n += p.Errors
	}
	return n
}

// Print writes the statistics as a table.
func (s Stats) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%d visits in %s: %d orders acknowledged, %d refused, %d unknown; %d visits skipped\n",
		s.Visits, s.Until.Sub(s.Since).Round(time.Second), s.Acknowledged, s.Refused, s.Unknown, s.Skipped)
	fmt.Fprintln(t, "page\trequests\terrors\tp50\tp95\tp99\tmax\tlast error")
	ms := func(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }
	for _, p := range s.Pages {
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\n", p.Name, p.Requests, p.Errors, ms(p.P50), ms(p.P95), ms(p.P99), ms(p.Max), p.LastError)
	}
	for _, a := range s.Addresses {
		fmt.Fprintf(t, "%s: %d connections, %s to %s\n", a.Address, a.Connections, a.First.Format(time.TimeOnly), a.Last.Format(time.TimeOnly))
	}
	return t.Flush()
}

// ReadStats reads what a running or finished shopper keeps at path.
func ReadStats(path string) (Stats, error) {
	var s Stats
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return Stats{}, fmt.Errorf("read the shopper's statistics: %w", err)
	}
	return s, nil
}

// buckets grow by a fifth from 0.1 ms to beyond a minute: a percentile is right to a fifth.
const buckets = 80

type tally struct {
	requests, errors int
	lastError        string
	counts           [buckets]int
	max              time.Duration
}

// The recorder takes what visits report, from many at once.
type recorder struct {
	mu    sync.Mutex
	stats Stats
	pages map[string]*tally
	order []string
}

func newRecorder(pages []string, now time.Time) *recorder {
	r := &recorder{stats: Stats{Since: now}, pages: map[string]*tally{}, order: pages}
	for _, p := range pages {
		r.pages[p] = &tally{}
	}
	return r
}

func (r *recorder) change(f func(*Stats)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.stats)
}

func (r *recorder) request(page string, took time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.pages[page]
	t.requests++
	if err != nil {
		t.errors++
		t.lastError = strings.ReplaceAll(err.Error(), "\n", "; ")
		return
	}
	t.counts[bucket(took)]++
	t.max = max(t.max, took)
}

func (r *recorder) reached(a netip.Addr, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.stats.Addresses, func(x Reached) bool { return x.Address == a })
	if i < 0 {
		i = len(r.stats.Addresses)
		r.stats.Addresses = append(r.stats.Addresses, Reached{Address: a, First: now})
	}
	r.stats.Addresses[i].Connections++
	r.stats.Addresses[i].Last = now
}

func (r *recorder) snapshot(now time.Time) Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Until, s.Addresses, s.Pages = now, slices.Clone(s.Addresses), nil
	for _, name := range r.order {
		t := r.pages[name]
		s.Pages = append(s.Pages, Page{Name: name, Requests: t.requests, Errors: t.errors, LastError: t.lastError,
			P50: t.percentile(50), P95: t.percentile(95), P99: t.percentile(99), Max: t.max})
	}
	return s
}

func bucket(d time.Duration) int {
	i, limit := 0, 100*time.Microsecond
	for ; d > limit && i < buckets-1; i++ {
		limit += limit / 5
	}
	return i
}

// percentile is the upper bound of the bucket in which the p-th of a hundred lies, at most the largest seen.
func (t *tally) percentile(p int) time.Duration {
	need := ((t.requests-t.errors)*p + 99) / 100
	limit := 100 * time.Microsecond
	for i, seen := 0, 0; i < buckets; i++ {
		if seen += t.counts[i]; seen >= need {
			return min(limit, t.max)
		}
		limit += limit / 5
	}
	return t.max
}
