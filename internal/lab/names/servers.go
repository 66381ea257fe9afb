package names

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/network"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
)

// Layer is what the three machines are made of.
var Layer = rootfs.Layer{Name: "names", Suite: rootfs.Bookworm, On: &rootfs.Base, Packages: []string{"bind9", "bind9-dnsutils", "unbound"}}

// Env is what of the lab the servers need.
type Env struct {
	Launcher *machine.Launcher
	Network  *network.Network
	Lower    []string // the directories of Layer
}

// Servers are the three name servers.
type Servers struct {
	env    Env
	secret string // of the TSIG key, base64

	change sync.Mutex // one change of zones or of a zone's content at a time

	mu    sync.Mutex
	hosts []*host  // primary, secondary, resolver
	zones []string // served now, without the dot at the end
}

// host is one server; its machine is replaced when it is started again.
type host struct {
	spec    machine.Spec
	at      netip.Addr
	machine *machine.Machine // nil before the first start
}

// Start starts the servers with their first zones and returns when each answers.
func Start(ctx context.Context, e Env) (*Servers, error) {
	secret, err := newSecret()
	if err != nil {
		return nil, err
	}
	control, err := newSecret()
	if err != nil {
		return nil, err
	}
	zones := []string{Production, Rehearsal}
	s := &Servers{env: e, secret: secret, zones: slices.Clone(zones)}
	bind := func(zoneOf func(string) string, more ...machine.File) []machine.File {
		return append([]machine.File{
			{Path: "/etc/bind/named.conf", Content: []byte(namedConf(secret, control, zoneOf, zones...)), Mode: 0o640, Owner: "root:bind"},
			{Path: "/etc/bind/rndc.conf", Content: []byte(rndcConf(control)), Mode: 0o640, Owner: "root:bind"},
			{Path: "/etc/bind/start", Content: []byte(startScript), Mode: 0o755},
			{Path: "/run/named", Dir: true, Mode: 0o775, Owner: "root:bind"},
		}, more...)
	}
	named := []string{"/usr/bin/tini", "--", "/etc/bind/start"}
	for _, one := range []struct {
		name  string
		at    netip.Addr
		argv  []string
		files []machine.File
	}{
		{"ns1", Primary, named, bind(primaryZone,
			machine.Text("/etc/bind/first/"+Production+".zone", productionZone), machine.Text("/etc/bind/first/"+Rehearsal+".zone", rehearsalZone))},
		{"ns2", Secondary, named, bind(secondaryZone)},
		{"resolver", Resolver, []string{"/usr/bin/tini", "--", "/usr/sbin/unbound", "-d", "-c", "/etc/unbound/lab.conf"},
			[]machine.File{machine.Text("/etc/unbound/lab.conf", unboundConf())}},
	} {
		// A server of an earlier lab may have left its zones: they begin anew.
		if err := os.RemoveAll(e.Launcher.Dir(one.name)); err != nil {
			return nil, fmt.Errorf("start the name servers: %w", err)
		}
		s.hosts = append(s.hosts, &host{at: one.at, spec: machine.Spec{
			Name: one.name, Lower: e.Lower, Argv: one.argv, Files: one.files, Net: e.Network.Port(one.name, one.at),
		}})
	}
	if err := s.Up(ctx); err != nil {
		return nil, errors.Join(err, s.Close(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// startScript gives the primary its first zones once, and is named from then on: a
// server that comes up again has the zones as it left them.
const startScript = `#!/bin/sh
set -eu
for zone in /etc/bind/first/*.zone; do
	at=/var/cache/bind/${zone##*/}
	test ! -e "$zone" || test -e "$at" || install -o bind -g bind -m 0644 "$zone" "$at"
done
exec /usr/sbin/named -f -u bind -c /etc/bind/named.conf
`

// Up starts those of the servers that do not run, with the zones that they had,
// and returns when all answer.
func (s *Servers) Up(ctx context.Context) error {
	again, err := s.startStopped(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	zones := slices.Clone(s.zones)
	s.mu.Unlock()
	if err := s.ready(ctx, zones); err != nil || !again {
		return err
	}
	// A secondary that was down asks the primary again after the SOA's refresh time,
	// which is an hour; here it is told to take the whole zone, since a primary that was
	// killed may have come back with an earlier serial.
	for _, zone := range zones {
		if err := rndc(ctx, s.machine(secondary), "retransfer", zone); err != nil {
			return fmt.Errorf("have the secondary look again: %w", err)
		}
		if err := s.follow(ctx, zone); err != nil {
			return err
		}
	}
	return nil
}

// startStopped starts what does not run; again says whether one of them had run.
func (s *Servers) startStopped(ctx context.Context) (again bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.hosts {
		if h.machine != nil && h.machine.Running() {
			continue
		}
		again = again || h.machine != nil
		if h.machine, err = s.env.Launcher.Start(ctx, h.spec); err != nil {
			return false, fmt.Errorf("start the name servers: %w", err)
		}
	}
	return again, nil
}

// machine is a server's machine as it is now.
func (s *Servers) machine(i int) *machine.Machine {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hosts[i].machine
}

// Indexes of the hosts.
const (
	primary = iota
	secondary
)

func newSecret() (string, error) {
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("random bytes: %w", err)
	}
	return base64.StdEncoding.EncodeToString(b), nil
}

// startTimeout bounds how long the servers may take until they answer.
const startTimeout = 30 * time.Second

// ready waits until both servers answer each zone's SOA and the resolver a name. A secondary that came up before its primary has asked in
// vain, and would ask again after minutes: it is told to, every second.
func (s *Servers) ready(ctx context.Context, zones []string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, zone := range zones {
		err := s.poll(ctx, func() error {
			_, err := s.soa(ctx, Primary, zone)
			return err
		})
		if err != nil {
			return fmt.Errorf("name server %s does not answer zone %s: %w", Primary, zone, err)
		}
		told := time.Now()
		err = s.poll(ctx, func() error {
			_, err := s.soa(ctx, Secondary, zone)
			if err != nil && time.Since(told) > time.Second {
				err = errors.Join(err, rndc(ctx, s.machine(secondary), "retransfer", zone))
				told = time.Now()
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("name server %s does not answer zone %s: %w", Secondary, zone, err)
		}
	}
	err := s.poll(ctx, func() error {
		_, err := s.query(ctx, Resolver, "www."+Production, dns.TypeA, true)
		return err
	})
	if err != nil {
		return fmt.Errorf("resolver %s does not answer: %w", Resolver, err)
	}
	return nil
}

// poll asks every 20 ms until there is no error; a machine that has ended ends
// the wait with its console's last lines.
func (s *Servers) poll(ctx context.Context, ask func() error) error {
	for {
		err := ask()
		if err == nil {
			return nil
		}
		for i := range s.hosts {
			if m := s.machine(i); !m.Running() {
				return fmt.Errorf("%w; %s has ended: %s", err, m.Name(), tail(m.Console()))
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func tail(file string) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "; ")
}

// Close ends the servers and removes what they wrote.
func (s *Servers) Close(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all error
	for _, h := range s.hosts {
		if h.machine != nil {
			all = errors.Join(all, h.machine.Remove(ctx))
		}
	}
	return all
}

// Key is the TSIG key (hmac-sha256) that may transfer and update every zone: its
// name and its secret in base64. It is the lab's, not the product's.
func (s *Servers) Key() (name, secret string) { return keyName, s.secret }

// Machine is one of the servers' machines, for status.
type Machine struct {
	Name    string
	Address netip.Addr
	State   string // running or down
	Pid     int
}

// Machines lists the servers' machines.
func (s *Servers) Machines() []Machine {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Machine
	for _, h := range s.hosts {
		one := Machine{Name: h.spec.Name, Address: h.at, State: "down"}
		if h.machine != nil && h.machine.Running() {
			one.State, one.Pid = "running", h.machine.Pid()
		}
		out = append(out, one)
	}
	return out
}
