package shopper

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/shop"
)

// fakeShop has the pages that a visit needs, and does to orders what each of them is told in turn.
type fakeShop struct {
	t      *testing.T
	server *httptest.Server

	mu     sync.Mutex
	do     []string // "accept", "lose" (accepted, answer lost), "drop" (not accepted, answer lost), "refuse", "break", "forget" (acknowledged, not kept)
	tokens int
	kept   []found
	other  bool // shows another checksum than it gave
}

const page = `<a href="/product/5">x</a><img src="/assets/a%%20b.png"><code class="checksum">%s</code>
<input type="hidden" name="csrf" value="c&amp;1"><input type="hidden" name="product" value="5"><input type="hidden" name="token" value="%032x">`

func (f *fakeShop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Method == http.MethodPost && r.FormValue("csrf") != "c&1" {
		http.Error(w, "csrf", http.StatusForbidden)
		return
	}
	switch path := r.URL.Path; {
	case r.Method == http.MethodGet:
		if strings.HasPrefix(path, "/assets/") && path != "/assets/a b.png" {
			http.NotFound(w, r)
			return
		}
		f.tokens++
		shown := strings.TrimPrefix(path, "/order/")
		if f.other {
			shown += "!"
		}
		fmt.Fprintf(w, page, sumOf(shown), f.tokens)
	case path == "/login" && (r.FormValue("password") != shop.Password || !strings.HasPrefix(r.FormValue("email"), "customer")):
		http.Error(w, "who?", http.StatusUnauthorized)
	case path == "/order":
		f.order(w, r)
	case path == "/cart" && r.FormValue("product") == "5" && r.FormValue("quantity") != "", path == "/login":
		w.Header().Set("Location", "/cart")
		w.WriteHeader(http.StatusSeeOther)
	default:
		f.t.Errorf("unexpected request %s %s %v", r.Method, path, r.Form)
		http.Error(w, "?", http.StatusTeapot)
	}
}

func sumOf(number string) string { return fmt.Sprintf("%064x", []byte("sum of "+number)) }

func (f *fakeShop) order(w http.ResponseWriter, r *http.Request) {
	do := "accept"
	if len(f.do) > 0 {
		do, f.do = f.do[0], f.do[1:]
	}
	number := fmt.Sprintf("S%012d", len(f.kept)+1000*len(f.do))
	if do == "accept" || do == "lose" {
		f.kept = append(f.kept, found{id: uint64(len(f.kept)), number: number, token: r.FormValue("token"), checksum: sumOf(number), kept: sumOf(number)})
	}
	switch do {
	case "lose", "drop":
		panic(http.ErrAbortHandler)
	case "refuse":
		http.Error(w, "sold out", http.StatusConflict)
	case "break":
		http.Error(w, "?", http.StatusBadGateway)
	default:
		w.Header().Set("X-Order-Number", number)
		w.Header().Set("X-Order-Checksum", sumOf(number))
		w.Header().Set("X-Order-Total", "1.00")
		w.Header().Set("Location", "/order/"+number)
		w.WriteHeader(http.StatusSeeOther)
	}
}

// shopAt starts a fake shop and returns it with a configuration that shops in it. httptest's certificate is for example.com.
func shopAt(t *testing.T, do ...string) (*fakeShop, Config) {
	t.Helper()
	f := &fakeShop{t: t, do: do}
	f.server = httptest.NewUnstartedServer(f)
	f.server.StartTLS()
	t.Cleanup(f.server.Close)
	at, err := url.Parse(f.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	n := startNameServer(t)
	n.set("example.com. 1 IN A 127.0.0.1")
	roots := x509.NewCertPool()
	roots.AddCert(f.server.Certificate())
	return f, Config{URL: "https://example.com:" + at.Port(), Resolver: n.at, Roots: roots, Dir: t.TempDir(), Rate: 40, Browsers: 1,
		Customers: 20, Seed: 1, Timeout: 5 * time.Second}
}

func shopFor(t *testing.T, c Config, orders int) (Stats, []Entry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c.Tell = func(s Stats) {
		if s.Acknowledged+s.Refused+s.Unknown >= orders {
			cancel()
		}
	}
	stats, err := Run(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	entries, torn, err := ReadLedger(filepath.Join(c.Dir, LedgerFile))
	if err != nil || torn != nil {
		t.Fatalf("torn %q, %v", torn, err)
	}
	return stats, entries
}

func report(entries []Entry, rows []found) Report {
	last := map[string]Entry{}
	var tokens []string
	for _, e := range entries {
		if _, ok := last[e.Token]; !ok {
			tokens = append(tokens, e.Token)
		}
		last[e.Token] = e
	}
	return compare(tokens, last, rows)
}

func TestShopperOnAGoodDay(t *testing.T) {
	f, c := shopAt(t)
	stats, entries := shopFor(t, c, 10)
	if stats.Errors() > 0 || stats.Acknowledged < 10 || stats.Refused+stats.Unknown > 0 {
		var b bytes.Buffer
		_ = stats.Print(&b)
		t.Errorf("a shop without faults:\n%s", &b)
	}
	if r := report(entries, f.kept); !r.Sound() || r.Acknowledged != len(f.kept) || r.Acknowledged != stats.Acknowledged {
		t.Errorf("%+v of %d orders", r, len(f.kept))
	}
	if kept, err := ReadStats(filepath.Join(c.Dir, StatsFile)); err != nil || kept.Acknowledged != stats.Acknowledged {
		t.Errorf("kept statistics: %+v, %v", kept, err)
	}
	browsed := stats.Visits - stats.Acknowledged
	if browsed < stats.Acknowledged/2 || browsed > 2*stats.Acknowledged {
		t.Errorf("%d visits with %d orders, want every second", stats.Visits, stats.Acknowledged)
	}
	if len(stats.Addresses) != 1 || stats.Addresses[0].Address != netip.MustParseAddr("127.0.0.1") || stats.Addresses[0].Connections == 0 {
		t.Errorf("reached %+v", stats.Addresses)
	}
}

func TestShopperKnowsWhatItDoesNotKnow(t *testing.T) {
	f, c := shopAt(t, "lose", "drop", "refuse", "break", "forget", "accept")
	stats, entries := shopFor(t, c, 6)
	r := report(entries, f.kept)
	if stats.Unknown != 3 || stats.Refused != 1 || len(r.Arrived) != 1 || len(r.Absent) != 2 {
		t.Errorf("one answer lost, one order dropped, one broken, one refused: %+v, %+v", stats, r)
	}
	if len(r.Lost) != 1 || r.Sound() {
		t.Errorf("the order that the shop acknowledged and forgot isn't missed: %+v", r)
	}
}

func TestShopperReadsTheConfirmation(t *testing.T) {
	f, c := shopAt(t)
	f.other = true
	stats, _ := shopFor(t, c, 3)
	if p := stats.Pages[len(stats.Pages)-1]; p.Name != "confirmation" || p.Requests < 3 || p.Errors != p.Requests || stats.Errors() != p.Errors {
		t.Errorf("pages with another checksum: %+v", p)
	}
}

// TestOrderThatTheLedgerLost: the shop acknowledges, and the ledger can't take it down.
func TestOrderThatTheLedgerLost(t *testing.T) {
	_, c := shopAt(t)
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
	s := &shopper{cfg: c, resolver: newResolver(c.Resolver, c.Dial), ledger: &Ledger{f: &slowDisk{good: 1}}, rec: newRecorder(pages, time.Now())}
	v, err := s.newVisit(2)
	if err != nil {
		t.Fatal(err)
	}
	defer v.close()
	err = v.order(context.Background(), url.Values{"csrf": {"c&1"}, "token": {strings.Repeat("a", 32)}})
	if got := s.rec.snapshot(time.Now()); err == nil || got.Acknowledged != 0 {
		t.Errorf("counted %d orders that the ledger didn't take: %v", got.Acknowledged, err)
	}
}

// TestOrderThatNeverLeft: nothing listens, so the shop can't have the order, and that is known.
func TestOrderThatNeverLeft(t *testing.T) {
	f, c := shopAt(t)
	f.server.Close()
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
	l, _, err := OpenLedger(filepath.Join(c.Dir, LedgerFile))
	if err != nil {
		t.Fatal(err)
	}
	s := &shopper{cfg: c, resolver: newResolver(c.Resolver, c.Dial), ledger: l, rec: newRecorder(pages, time.Now())}
	v, err := s.newVisit(2)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.order(context.Background(), url.Values{"token": {strings.Repeat("a", 32)}}); err != nil {
		t.Fatal(err)
	}
	entries, _, err := ReadLedger(filepath.Join(c.Dir, LedgerFile))
	if err != nil || len(entries) != 2 || entries[1].Kind != Refused {
		t.Errorf("the ledger has %+v, %v", entries, err)
	}
}

func TestShopperIsRefusedNonsense(t *testing.T) {
	_, good := shopAt(t)
	for name, change := range map[string]func(*Config){
		"plain http":   func(c *Config) { c.URL = "http://example.com" },
		"a path":       func(c *Config) { c.URL += "/shop" },
		"no rate":      func(c *Config) { c.Rate = 0 },
		"a flood":      func(c *Config) { c.Rate = MaxRate + 1 },
		"browsers":     func(c *Config) { c.Browsers = 1000 },
		"no customers": func(c *Config) { c.Customers = 1 },
		"no directory": func(c *Config) { c.Dir = "" },
		"no resolver":  func(c *Config) { c.Resolver = netip.AddrPort{} },
	} {
		c := good
		change(&c)
		c.For = 10 * time.Millisecond
		if _, err := Run(context.Background(), c); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestShopperStopsWhenItsLedgerFails(t *testing.T) {
	_, c := shopAt(t)
	c.Dir = t.TempDir()
	l, _, err := OpenLedger(filepath.Join(c.Dir, LedgerFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
	s := &shopper{cfg: c, resolver: newResolver(c.Resolver, c.Dial), ledger: l, rec: newRecorder(pages, time.Now())}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.shop(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("went on shopping without a ledger: %v", err)
	}
	if got := s.rec.snapshot(time.Now()); got.Acknowledged != 0 {
		t.Errorf("counted %d orders that no ledger has", got.Acknowledged)
	}
}

func TestPercentiles(t *testing.T) {
	r := newRecorder([]string{"p"}, time.Time{})
	for i := range 100 {
		r.request("p", time.Duration(i+1)*time.Millisecond, nil)
	}
	p := r.snapshot(time.Time{}).Pages[0]
	for _, c := range []struct {
		got  time.Duration
		want float64 // ms
	}{{p.P50, 50}, {p.P95, 95}, {p.P99, 99}, {p.Max, 100}} {
		if ms := c.got.Seconds() * 1000; ms < c.want || ms > c.want*1.2 {
			t.Errorf("got %.1f ms for %.0f", ms, c.want)
		}
	}
}
