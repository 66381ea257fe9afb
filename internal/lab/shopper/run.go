package shopper

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// MaxRate is the most orders a second that a shopper may be told to make.
const MaxRate = 50

// Names of the files that a shopper keeps in its directory.
const (
	LedgerFile = "ledger.jsonl"
	StatsFile  = "stats.json"
)

// Config says where the shop is and how much to buy.
type Config struct {
	URL       string         // https://www.shop.example, without a path
	Resolver  netip.AddrPort // the name server that customers ask
	Roots     *x509.CertPool // the authorities that they trust; nil: the system's
	Dial      DialFunc       // nil: this process's network
	Dir       string         // where ledger and statistics are kept
	Rate      float64        // orders a second, at most MaxRate
	Browsers  float64        // visits without an order for each with one
	For       time.Duration  // how long; 0: until the context ends
	Customers int            // customers 2 to this log in and buy; customer 1 is left to others
	Seed      uint64         // what they look at
	Timeout   time.Duration  // of one request; 0: 10 s
	AtOnce    int            // visits under way at most; 0: 32
	Tell      func(Stats)    // called each second and at the end; may be nil
}

func (c *Config) check() error {
	var errs []error
	if !strings.HasPrefix(c.URL, "https://") || strings.Count(c.URL, "/") != 2 {
		errs = append(errs, fmt.Errorf("the shop's address must be https:// and a name, and is %q", c.URL))
	}
	if c.Rate <= 0 || c.Rate > MaxRate {
		errs = append(errs, fmt.Errorf("the rate must be above 0 and at most %d orders a second, and is %g", MaxRate, c.Rate))
	}
	if c.Browsers < 0 || c.Rate*c.Browsers > 4*MaxRate {
		errs = append(errs, fmt.Errorf("there can't be %g visits without an order for each with one", c.Browsers))
	}
	if c.Customers < 2 {
		errs = append(errs, errors.New("there must be customers beside the first"))
	}
	if !c.Resolver.IsValid() || c.Dir == "" {
		errs = append(errs, errors.New("the resolver and the directory must be given"))
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.AtOnce == 0 {
		c.AtOnce = 32
	}
	c.AtOnce = min(c.AtOnce, c.Customers-1) // two visits of one customer would share a cart
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: 3 * time.Second}).DialContext
	}
	return errors.Join(errs...)
}

type shopper struct {
	cfg      Config
	resolver *resolver
	ledger   *Ledger
	rec      *recorder
}

// Run shops until ctx ends or the time is over, lets the visits under way finish (at most a minute), and returns
// what it saw. The shop's failures are statistics; an error means that the ledger or the configuration failed, and
// that nothing more was ordered.
func Run(ctx context.Context, cfg Config) (Stats, error) {
	if err := cfg.check(); err != nil {
		return Stats{}, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return Stats{}, fmt.Errorf("make the shopper's directory: %w", err)
	}
	ledger, _, err := OpenLedger(filepath.Join(cfg.Dir, LedgerFile))
	if err != nil {
		return Stats{}, err
	}
	s := &shopper{cfg: cfg, resolver: newResolver(cfg.Resolver, cfg.Dial), ledger: ledger, rec: newRecorder(pages, time.Now())}
	if cfg.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.For)
		defer cancel()
	}
	err = s.shop(ctx)
	return s.rec.snapshot(time.Now()), errors.Join(err, s.tell(), ledger.Close())
}

// shop starts visits until ctx ends. Visits have a context of their own: an order that was sent is waited for.
func (s *shopper) shop(ctx context.Context) error {
	group, stop := errgroup.WithContext(ctx)
	visits, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	group.SetLimit(s.cfg.AtOnce)
	customers := make(chan int, s.cfg.Customers)
	for c := 2; c <= s.cfg.Customers; c++ {
		customers <- c
	}
	done := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		select {
		case <-done:
		case <-stop.Done():
			select { // a minute of grace, then what hangs is cut off and becomes unknown
			case <-done:
			case <-time.After(time.Minute):
				cancel()
			}
		}
	})
	every := time.Duration(float64(time.Second) / (s.cfg.Rate * (1 + s.cfg.Browsers)))
	ticker, report := time.NewTicker(every), time.NewTicker(time.Second)
	defer ticker.Stop()
	defer report.Stop()
	var failed error
	buying := 0.0
	for n := uint64(0); stop.Err() == nil && failed == nil; {
		select {
		case <-stop.Done():
		case <-report.C:
			failed = s.tell()
		case <-ticker.C:
			r := rand.New(rand.NewPCG(s.cfg.Seed, n))
			n++
			buying += 1 / (1 + s.cfg.Browsers)
			buys := buying >= 1-1e-9
			if buys {
				buying--
			}
			started := group.TryGo(func() error {
				customer := <-customers // there are at least as many as visits at once
				defer func() { customers <- customer }()
				return s.visit(visits, customer, buys, r)
			})
			if !started {
				s.rec.change(func(st *Stats) { st.Skipped++ })
			}
		}
	}
	err := group.Wait()
	close(done)
	others.Wait()
	return errors.Join(failed, err)
}

func (s *shopper) visit(ctx context.Context, customer int, buys bool, r *rand.Rand) error {
	v, err := s.newVisit(customer)
	if err != nil {
		return err
	}
	defer v.close()
	s.rec.change(func(st *Stats) { st.Visits++ })
	if buys {
		return v.buy(ctx, r)
	}
	_, _ = v.browse(ctx, r) // its errors were counted where they arose
	return nil
}

// tell keeps the statistics beside the ledger, whole or not at all.
func (s *shopper) tell() error {
	stats := s.rec.snapshot(time.Now())
	if s.cfg.Tell != nil {
		s.cfg.Tell(stats)
	}
	data, err := json.MarshalIndent(stats, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the statistics: %w", err)
	}
	path := filepath.Join(s.cfg.Dir, StatsFile)
	if err := os.WriteFile(path+".part", append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep the statistics: %w", err)
	}
	if err := os.Rename(path+".part", path); err != nil {
		return fmt.Errorf("keep the statistics: %w", err)
	}
	return nil
}
