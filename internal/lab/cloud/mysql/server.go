package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/sqladmin"
	"github.com/slipway-dev/slipway/internal/lab/machine"
)

// server is one instance: a machine with a mysqld in it, both of which are
// started again when they end, as Cloud SQL does.
type server struct {
	engine   *Engine
	name     string
	slot     int
	image    string // the data disk's file
	diskUnit int64  // bytes per GB
	log      *slog.Logger
	tls      *certificates
	admin    *sql.DB // through the socket

	mu      sync.Mutex
	config  sqladmin.Config
	size    int64            // of the data disk, bytes
	machine *machine.Machine // nil before the first start; replaced when it is started again
	daemon  *daemon
	deleted bool
}

// host is the machine as it is now.
func (s *server) host() *machine.Machine {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.machine
}

// daemon is one run of mysqld.
type daemon struct {
	process *machine.Process
	stopped bool          // on purpose; under server.mu
	ended   chan struct{} // closed when it has ended
}

// start starts mysqld and returns when it answers.
func (s *server) start(ctx context.Context, args ...string) error {
	out, err := os.OpenFile(filepath.Join(s.engine.env.Launcher.Dir(s.machineName()), "mysqld.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	// It lives as long as the machine, not as long as the request.
	argv := append([]string{"/usr/sbin/mysqld", "--defaults-file=" + configPath}, args...)
	p, err := s.host().Start(context.WithoutCancel(ctx), machine.Cmd{Argv: argv, Stdout: out, Stderr: out})
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	d := &daemon{process: p, ended: make(chan struct{})}
	s.mu.Lock()
	s.daemon = d
	s.mu.Unlock()
	go s.watch(d)
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := s.admin.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-d.ended:
			return fmt.Errorf("mysqld has ended: %s", s.lastLines())
		case <-ctx.Done():
			return fmt.Errorf("mysqld does not answer: %w (%w): %s", err, ctx.Err(), s.lastLines())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// watch reaps mysqld, and starts it again when nobody stopped it, as Cloud SQL does.
func (s *server) watch(d *daemon) {
	m := s.host()
	err := d.process.Wait()
	close(d.ended)
	time.Sleep(time.Second) // and whether the machine has ended with it is known
	s.mu.Lock()
	over := d.stopped || s.deleted || s.daemon != d || s.machine != m
	s.mu.Unlock()
	if over || !m.Running() {
		return
	}
	s.log.Warn("mysqld has ended and is started again", "error", fmt.Sprint(err), "log", s.lastLines())
	if err := s.start(context.Background()); err != nil && m.Running() {
		s.log.Error("mysqld does not come up again", "error", err.Error())
	}
}

// stop ends mysqld in order.
func (s *server) stop(ctx context.Context) error {
	s.mu.Lock()
	d := s.daemon
	if d != nil {
		d.stopped = true
	}
	s.mu.Unlock()
	if d == nil {
		return nil
	}
	if err := d.process.Signal(terminate); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop mysqld: %w", err)
	}
	select {
	case <-d.ended:
		return nil
	case <-time.After(stopTimeout):
		return fmt.Errorf("mysqld does not stop within %s", stopTimeout)
	case <-ctx.Done():
		return fmt.Errorf("stop mysqld: %w", ctx.Err())
	}
}

// lastLines are the end of mysqld's log.
func (s *server) lastLines() string {
	raw, err := os.ReadFile(filepath.Join(s.engine.env.Launcher.Dir(s.machineName()), "mysqld.log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return strings.Join(lines[max(0, len(lines)-6):], "; ")
}

// Identity implements sqladmin.Server.
func (s *server) Identity() sqladmin.Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.tls.identity()
	if s.config.Public {
		id.PrimaryIP = primaryIP(s.slot).String()
	}
	if s.config.Private {
		id.PrivateIP = privateIP(s.slot).String()
	}
	return id
}

// Restart implements sqladmin.Server.
func (s *server) Restart(ctx context.Context) error {
	if err := s.stop(ctx); err != nil {
		return err
	}
	return s.start(ctx)
}

// Delete implements sqladmin.Server.
func (s *server) Delete(ctx context.Context) error {
	var all error
	if s.admin != nil {
		all = errors.Join(all, s.admin.Close())
	}
	s.mu.Lock()
	s.deleted = true
	m := s.machine
	s.mu.Unlock()
	if m != nil {
		all = errors.Join(all, m.Remove(ctx))
	}
	if err := os.Remove(s.image); err != nil && !errors.Is(err, os.ErrNotExist) {
		all = errors.Join(all, err)
	}
	if all != nil {
		return fmt.Errorf("delete instance %s: %w", s.name, all)
	}
	s.engine.give(s.slot)
	return nil
}
