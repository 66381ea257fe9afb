package daemon

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/slipway-dev/slipway/internal/lab/fleet"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/shopper"
	"github.com/slipway-dev/slipway/internal/lab/verb"
)

// shopping is the one shopper of a lab. It runs in the daemon, dials inside the lab's network, and keeps its ledger over stops and starts.
type shopping struct {
	mu    sync.Mutex
	stop  context.CancelFunc
	ended chan struct{}
	stats shopper.Stats
	err   error // how the last one ended
}

func (d *Daemon) shop(ctx, life context.Context, req verb.ShopperRequest, report progress.Func) (verb.Shopping, error) {
	d.mu.Lock()
	up := d.up
	d.mu.Unlock()
	if !up {
		return verb.Shopping{}, errNotUp
	}
	var err error
	switch req.Do {
	case verb.StartShopping:
		err = d.startShopping(life, req)
	case verb.StopShopping:
		err = d.stopShopping(ctx, report)
	case verb.ShowLedger:
	default:
		err = fmt.Errorf("the shopper can't %q", req.Do)
	}
	if err != nil {
		return verb.Shopping{}, err
	}
	out := d.shopper.state(d.ledgerDir())
	if req.Do == verb.ShowLedger {
		out.Report, err = d.checkLedger(ctx)
	}
	return out, err
}

func (d *Daemon) ledgerDir() string { return filepath.Join(d.lab.Place.State, "shopper") }

func (s *shopping) state(dir string) verb.Shopping {
	s.mu.Lock()
	defer s.mu.Unlock()
	return verb.Shopping{Running: s.stop != nil, Dir: dir, Stats: s.stats}
}

func (d *Daemon) startShopping(life context.Context, req verb.ShopperRequest) error {
	s := &d.shopper
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		return errors.New("the shopper is shopping already")
	}
	ctx, cancel := context.WithCancel(life)
	config := shopper.Config{URL: "https://" + fleet.SiteName, Resolver: Resolver, Roots: d.lab.Authority.Pool(), Dial: d.lab.Network.DialContext,
		Dir: d.ledgerDir(), Rate: req.Rate, Browsers: req.Browsers, Customers: d.size.Shoppers(), Tell: s.tell}
	s.stop, s.ended, s.err = cancel, make(chan struct{}), nil
	go func() {
		stats, err := shopper.Run(ctx, config)
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stop, s.err = nil, err
		if err == nil {
			s.stats = stats
		}
		close(s.ended)
	}()
	return nil
}

func (s *shopping) tell(stats shopper.Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats = stats
}

// stopShopping lets the visits under way finish.
func (d *Daemon) stopShopping(ctx context.Context, report progress.Func) error {
	s := &d.shopper
	s.mu.Lock()
	stop, ended := s.stop, s.ended
	s.mu.Unlock()
	if ended == nil {
		return errors.New("the shopper was not started")
	}
	if stop != nil {
		stop()
	}
	task := progress.Begin(report, "the shopper finishes its visits")
	select {
	case <-ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	task.End()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// checkLedger holds the ledger against the orders on db1.
func (d *Daemon) checkLedger(ctx context.Context) (*shopper.Report, error) {
	entries, _, err := shopper.ReadLedger(filepath.Join(d.ledgerDir(), shopper.LedgerFile))
	if err != nil {
		return nil, err
	}
	db, err := d.lab.Fleet.DB("db1", "shop")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	result, err := shopper.Check(ctx, db, entries)
	return &result, err
}
