package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/network"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
)

func must[T any](v T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return v
}

func main() {
	machine.Main()
	ctx := context.Background()
	t := time.Now()
	lap := func(s string) { fmt.Printf("+%.2fs %s\n", time.Since(t).Seconds(), s) }
	l := must(machine.NewLauncher("fleet-scratch", "/var/lib/slipway-lab/fleet-scratch/machines"))
	must(0, l.Clean(ctx, true))
	l = must(machine.NewLauncher("fleet-scratch", "/var/lib/slipway-lab/fleet-scratch/machines"))
	s := must(rootfs.Open("/var/cache/slipway-lab", l, progress.Printer(os.Stdout, 5*time.Second)))
	must(0, s.EnsureAll(ctx, rootfs.BookwormHost, rootfs.BullseyeHost, rootfs.BaseSid))
	lap("layers")
	dirs := must(s.Ensure(ctx, rootfs.BookwormHost))
	n := must(network.New(ctx, l, dirs, netip.AddrPort{}))
	lap("network")
	for i, v := range []machine.CgroupView{machine.Unified, machine.Controllers} {
		name := fmt.Sprintf("t%d", i)
		m := must(l.Start(ctx, machine.Spec{Name: name, Lower: dirs, Net: n.Port(name, netip.MustParseAddr(fmt.Sprintf("10.77.9.%d", i+1))), Cgroups: v}))
		lap("started")
		for {
			out, err := m.Output(ctx, "systemctl", "is-system-running", "--wait")
			if err == nil || len(out) > 0 {
				fmt.Printf("%s %v\n", out, err)
				if string(out) == "running\n" || string(out) == "degraded\n" {
					break
				}
			}
			time.Sleep(50 * time.Millisecond)
		}
		lap("running")
		fmt.Printf("%s", must(m.Output(ctx, "sh", "-c", "systemctl --failed --no-legend; cat /proc/self/cgroup; ls /sys/fs/cgroup; ip -br a; ls -la /proc/1/root; systemd-detect-virt; cat /proc/1/cgroup; ps axf; mount")))
		if i == 0 {
			must(0, m.Freeze(ctx))
			must(0, m.Thaw(ctx))
			lap("frozen, thawed")
			must(0, m.Halt(ctx))
			lap("halted")
		} else {
			c, err := n.DialContext(ctx, "tcp", "10.77.9.2:22")
			lap(fmt.Sprint(c != nil, err))
		}
	}
	if len(os.Args) > 1 {
		time.Sleep(time.Hour)
	}
	must(0, l.Machine("t1").Remove(ctx))
	must(0, n.Close(ctx))
	must(0, l.Clean(ctx, true))
	lap("closed")
}
