// Package faults breaks a lab on purpose, and heals it: machines killed and frozen, ways cut and slowed. Everything is done by the kernel (SIGKILL, cgroup.freeze, nftables on the bridge, tc), nothing inside
// the hosts. It imports fleet, machine, network and verb of the lab.
package faults

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/slipway-dev/slipway/internal/lab/fleet"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/network"
	"github.com/slipway-dev/slipway/internal/lab/verb"
)

// Faults makes and remembers faults. It is safe for concurrent use.
type Faults struct {
	fleet    *fleet.Fleet
	launcher *machine.Launcher
	network  *network.Network

	mu   sync.Mutex
	made []verb.Fault
}

// New breaks nothing yet.
func New(f *fleet.Fleet, l *machine.Launcher, n *network.Network) *Faults {
	return &Faults{fleet: f, launcher: l, network: n}
}

// List is what was made and not undone, in a fixed order.
func (f *Faults) List() []verb.Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.made)
}

func (f *Faults) add(fault verb.Fault) {
	f.remove(func(have verb.Fault) bool { return have.Kind == fault.Kind && have.A == fault.A && have.B == fault.B })
	f.made = append(f.made, fault)
	slices.SortFunc(f.made, func(x, y verb.Fault) int {
		return cmp.Or(strings.Compare(x.Kind, y.Kind), strings.Compare(x.A, y.A), strings.Compare(x.B, y.B))
	})
}

func (f *Faults) remove(which func(verb.Fault) bool) { f.made = slices.DeleteFunc(f.made, which) }

// The kinds of faults.
const (
	killed = "killed"
	frozen = "frozen"
	cut    = "cut"
	slow   = "slow"
)

func (f *Faults) machine(name string) (*machine.Machine, error) {
	if m := f.launcher.Machine(name); m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("no machine %q is running: slipway-lab status lists them", name)
}

// Kill ends a host as a power failure does.
func (f *Faults) Kill(ctx context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, err := f.machine(name)
	if err != nil {
		return err
	}
	if err := m.Kill(ctx); err != nil {
		return err
	}
	if err := f.network.Unplug(ctx, name); err != nil {
		return err
	}
	f.remove(func(x verb.Fault) bool { return x.Kind == frozen && x.A == name })
	f.add(verb.Fault{Kind: killed, A: name})
	return nil
}

// Start brings a killed host up again with the disk it had.
func (f *Faults) Start(ctx context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.start(ctx, name)
}

func (f *Faults) start(ctx context.Context, name string) error {
	if err := f.fleet.Start(ctx, name); err != nil {
		return err
	}
	f.remove(func(x verb.Fault) bool { return x.Kind == killed && x.A == name })
	for _, x := range f.made { // its connection is new; cuts go by the device's name and still hold
		if x.Kind == slow && x.A == name {
			if err := f.shape(ctx, name, x.Rate); err != nil {
				return err
			}
		}
	}
	return nil
}

// Freeze stops a machine where it stands.
func (f *Faults) Freeze(ctx context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, err := f.machine(name)
	if err != nil {
		return err
	}
	if err := m.Freeze(ctx); err != nil {
		return err
	}
	f.add(verb.Fault{Kind: frozen, A: name})
	return nil
}

// Thaw lets a frozen machine go on.
func (f *Faults) Thaw(ctx context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.thaw(ctx, name)
}

func (f *Faults) thaw(ctx context.Context, name string) error {
	m, err := f.machine(name)
	if err != nil {
		return err
	}
	if err := m.Thaw(ctx); err != nil {
		return err
	}
	f.remove(func(x verb.Fault) bool { return x.Kind == frozen && x.A == name })
	return nil
}

// Cut drops everything between two machines, ARP included, or between one and all others if b is empty. Established connections hang, as with a pulled cable.
func (f *Faults) Cut(ctx context.Context, a, b string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a == b || a == verb.Outside && b == "" {
		return errors.New("cut what from what? two different machines, or one from all others")
	}
	for _, name := range []string{a, b} {
		if name == "" || name == verb.Outside {
			continue
		}
		if _, isHost := fleet.Lookup(name); !isHost {
			if _, err := f.machine(name); err != nil {
				return err
			}
		}
	}
	if b != "" && b < a {
		a, b = b, a // one order for one cut
	}
	before := slices.Clone(f.made)
	f.add(verb.Fault{Kind: cut, A: a, B: b})
	if err := f.applyCuts(ctx); err != nil {
		f.made = before
		return err
	}
	return nil
}

// table is the lab's own nftables table.
const table = "slipway_lab"

// rules are all cuts as one nft script that replaces what was there. The hooks input and output carry what leaves the bridge to this computer's end of it.
func rules(made []verb.Fault) string {
	var in, out, forward []string
	for _, x := range made {
		if x.Kind != cut {
			continue
		}
		a, b := network.DeviceName(x.A), network.DeviceName(x.B)
		switch {
		case x.B == "":
			in = append(in, fmt.Sprintf("iifname %q drop", a))
			out = append(out, fmt.Sprintf("oifname %q drop", a))
			forward = append(forward, fmt.Sprintf("iifname %q drop", a), fmt.Sprintf("oifname %q drop", a))
		case x.A == verb.Outside:
			in = append(in, fmt.Sprintf("iifname %q drop", b))
			out = append(out, fmt.Sprintf("oifname %q drop", b))
		case x.B == verb.Outside:
			in = append(in, fmt.Sprintf("iifname %q drop", a))
			out = append(out, fmt.Sprintf("oifname %q drop", a))
		default:
			forward = append(forward, fmt.Sprintf("iifname %q oifname %q drop", a, b), fmt.Sprintf("iifname %q oifname %q drop", b, a))
		}
	}
	script := "table bridge " + table + " {}\ndelete table bridge " + table + "\n"
	if len(in)+len(out)+len(forward) == 0 {
		return script
	}
	script += "table bridge " + table + " {\n"
	for _, c := range []struct {
		hook  string
		rules []string
	}{{"input", in}, {"output", out}, {"forward", forward}} {
		script += fmt.Sprintf("\tchain %s {\n\t\ttype filter hook %s priority 0; policy accept;\n", c.hook, c.hook)
		for _, r := range c.rules {
			script += "\t\t" + r + "\n"
		}
		script += "\t}\n"
	}
	return script + "}\n"
}

func (f *Faults) applyCuts(ctx context.Context) error {
	_, err := f.network.Run(ctx, nil, rules(f.made), "nft", "-f", "-")
	return err
}

// rateForm is what tc(8) takes as a rate, in the units that make sense here.
var rateForm = regexp.MustCompile(`^[1-9][0-9]*(kbit|mbit|gbit)$`)

// Slow bounds what a machine sends, and what it receives.
func (f *Faults) Slow(ctx context.Context, name, rate string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !rateForm.MatchString(rate) {
		return fmt.Errorf("rate %q: want a number and kbit, mbit or gbit, as in 8mbit", rate)
	}
	if err := f.shape(ctx, name, rate); err != nil {
		return err
	}
	f.remove(func(x verb.Fault) bool { return x.Kind == slow && x.A == name })
	f.add(verb.Fault{Kind: slow, A: name, Rate: rate})
	return nil
}

func (f *Faults) shape(ctx context.Context, name, rate string) error {
	m, err := f.machine(name)
	if err != nil {
		return err
	}
	netns, err := m.NetNS()
	if err != nil {
		return err
	}
	defer netns.Close()
	// Towards the machine at the bridge's end, from it at its own.
	tbf := []string{"root", "tbf", "rate", rate, "burst", "64kb", "latency", "400ms"}
	if _, err := f.network.Run(ctx, nil, "", append([]string{"tc", "qdisc", "replace", "dev", network.DeviceName(name)}, tbf...)...); err != nil {
		return err
	}
	_, err = f.network.Run(ctx, netns, "", append([]string{"tc", "qdisc", "replace", "dev", "eth0"}, tbf...)...)
	return err
}

func (f *Faults) unshape(ctx context.Context, name string) error {
	m := f.launcher.Machine(name)
	if m == nil {
		return nil // its devices went with it
	}
	netns, err := m.NetNS()
	if err != nil {
		return err
	}
	defer netns.Close()
	_, err = f.network.Run(ctx, nil, "", "tc", "qdisc", "del", "dev", network.DeviceName(name), "root")
	_, err2 := f.network.Run(ctx, netns, "", "tc", "qdisc", "del", "dev", "eth0", "root")
	return errors.Join(err, err2)
}

// Heal undoes everything: killed hosts are started, frozen machines thawed, cuts and rates lifted. What fails stays on the list.
func (f *Faults) Heal(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, x := range slices.Clone(f.made) {
		switch x.Kind {
		case killed:
			errs = append(errs, f.start(ctx, x.A))
		case frozen:
			errs = append(errs, f.thaw(ctx, x.A))
		case slow:
			err := f.unshape(ctx, x.A)
			if err == nil {
				f.remove(func(y verb.Fault) bool { return x == y })
			}
			errs = append(errs, err)
		}
	}
	before := slices.Clone(f.made)
	f.remove(func(x verb.Fault) bool { return x.Kind == cut })
	if err := f.applyCuts(ctx); err != nil {
		f.made = before
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
