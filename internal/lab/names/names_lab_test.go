//go:build lab

package names

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/network"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
)

var servers *Servers

func TestMain(m *testing.M) {
	machine.Main()
	code, err := inLab(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// inLab runs the tests with a lab of their own: a network and the three servers.
func inLab(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "names-lab-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	l, err := machine.NewLauncher(fmt.Sprintf("names-%d", os.Getpid()), dir)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, l.Clean(context.WithoutCancel(ctx), true)) }()
	cache := os.Getenv("SLIPWAY_LAB_CACHE")
	if cache == "" {
		cache = "/var/cache/slipway-lab"
	}
	store, err := rootfs.Open(cache, l, progress.Printer(os.Stderr, 5*time.Second))
	if err != nil {
		return 1, err
	}
	lower, err := store.Ensure(ctx, Layer)
	if err != nil {
		return 1, err
	}
	nw, err := network.New(ctx, l, lower, netip.AddrPort{})
	if err != nil {
		return 1, err
	}
	began := time.Now()
	servers, err = Start(ctx, Env{Launcher: l, Network: nw, Lower: lower})
	if err != nil {
		return 1, err
	}
	fmt.Fprintf(os.Stderr, "name servers and resolver answer after %.2f s\n", time.Since(began).Seconds())
	code = m.Run()
	if err := servers.Close(ctx); err != nil {
		return 1, err
	}
	if err := nw.Close(ctx); err != nil {
		return 1, err
	}
	return code, nil
}

func records(t *testing.T, text string) []dns.RR {
	t.Helper()
	var list []dns.RR
	for token := dns.NewZoneParser(strings.NewReader(text), "", ""); ; {
		rr, ok := token.Next()
		if !ok {
			if err := token.Err(); err != nil {
				t.Fatal(err)
			}
			return list
		}
		list = append(list, rr)
	}
}

func answers(t *testing.T, server netip.Addr, name string, typ uint16) []string {
	t.Helper()
	list, err := servers.query(t.Context(), server, name, typ, server == Resolver)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, rr := range list {
		if rr.Header().Rrtype == typ {
			out = append(out, data(rr))
		}
	}
	return out
}

func TestTransferIsTheZone(t *testing.T) {
	got, err := servers.Transfer(t.Context(), Production)
	if err != nil {
		t.Fatal(err)
	}
	want := records(t, productionZone)
	if len(got) != len(want) {
		t.Errorf("%d records are transferred, the zone has %d", len(got), len(want))
	}
	on2, err := servers.transfer(t.Context(), Secondary, Production)
	if err != nil {
		t.Fatal(err)
	}
	if len(on2) != len(got) {
		t.Fatalf("the secondary has %d records, the primary %d", len(on2), len(got))
	}
	for i := range got {
		if got[i].String() != on2[i].String() {
			t.Errorf("primary %s, secondary %s", got[i], on2[i])
		}
	}
}

// TestReplace changes a zone and back, and times how long the secondary takes.
func TestReplace(t *testing.T) {
	before, err := servers.Transfer(t.Context(), Rehearsal)
	if err != nil {
		t.Fatal(err)
	}
	want := append(before[1:len(before):len(before)], records(t, "www.rehearsal.example. 60 IN A 10.77.3.1\nwww.rehearsal.example. 60 IN A 10.77.3.2\nold.rehearsal.example. 60 IN CNAME www.rehearsal.example.\n")...)
	began := time.Now()
	if err := servers.Replace(t.Context(), Rehearsal, want); err != nil {
		t.Fatal(err)
	}
	t.Logf("both servers have the change after %d ms", time.Since(began).Milliseconds())
	for _, server := range Addresses() {
		if got := answers(t, server, "www.rehearsal.example", dns.TypeA); len(got) != 2 {
			t.Errorf("%s answers %v", server, got)
		}
	}
	// A CNAME in the place of addresses, a name server less, another TTL.
	next := append(records(t, "www.rehearsal.example. 60 IN CNAME target.rehearsal.example.\nold.rehearsal.example. 120 IN CNAME www.rehearsal.example.\n"),
		records(t, "rehearsal.example. 3600 IN NS ns1.shop.example.\nrehearsal.example. 3600 IN TXT \"v=spf1 -all\"\n")...)
	if err := servers.Replace(t.Context(), Rehearsal, next); err != nil {
		t.Fatal(err)
	}
	now, err := servers.Transfer(t.Context(), Rehearsal)
	if err != nil {
		t.Fatal(err)
	}
	if len(now) != len(next)+1 {
		t.Errorf("the zone has %v", now)
	}
	if err := servers.Replace(t.Context(), Rehearsal, before[1:]); err != nil {
		t.Fatal(err)
	}
	after, err := servers.Transfer(t.Context(), Rehearsal)
	if err != nil {
		t.Fatal(err)
	}
	for i := range before[1:] {
		if after[i+1].String() != before[i+1].String() {
			t.Errorf("back again: %s, was %s", after[i+1], before[i+1])
		}
	}
	if a, b := after[0].(*dns.SOA).Serial, before[0].(*dns.SOA).Serial; a <= b {
		t.Errorf("serial went from %d to %d", b, a)
	}
}

// TestReplaceIsConditional: an update made of what was read holds only while the
// zone is as it was read.
func TestReplaceIsConditional(t *testing.T) {
	before, err := servers.Transfer(t.Context(), Rehearsal)
	if err != nil {
		t.Fatal(err)
	}
	with := func(address string) []dns.RR {
		return append(before[1:len(before):len(before)], records(t, "www.rehearsal.example. 60 IN A "+address+"\n")...)
	}
	late, _ := newUpdate(Rehearsal, before, with("10.77.3.1"))
	if err := servers.Replace(t.Context(), Rehearsal, with("10.77.3.2")); err != nil {
		t.Fatal(err)
	}
	answer, err := servers.exchange(t.Context(), Primary, late, true)
	if err != nil || answer.Rcode != dns.RcodeYXRrset {
		t.Errorf("an addition of what has come meanwhile: %v %v, want YXRRSET", answer, err)
	}
	now, err := servers.Transfer(t.Context(), Rehearsal)
	if err != nil {
		t.Fatal(err)
	}
	late, _ = newUpdate(Rehearsal, now, with("10.77.3.1"))
	if err := servers.Replace(t.Context(), Rehearsal, with("10.77.3.3")); err != nil {
		t.Fatal(err)
	}
	if answer, err = servers.exchange(t.Context(), Primary, late, true); err != nil || answer.Rcode != dns.RcodeNXRrset {
		t.Errorf("a change of what was changed meanwhile: %v %v, want NXRRSET", answer, err)
	}
	if err := servers.Replace(t.Context(), Rehearsal, before[1:]); err != nil {
		t.Fatal(err)
	}
}

func TestFollowsWithin100ms(t *testing.T) {
	before, err := servers.Transfer(t.Context(), Rehearsal)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := servers.Replace(context.Background(), Rehearsal, before[1:]); err != nil {
			t.Error(err)
		}
	}()
	best := time.Hour
	for i := range 10 {
		m := new(dns.Msg).SetUpdate(Rehearsal + ".")
		m.Insert(records(t, fmt.Sprintf("t%d.rehearsal.example. 60 IN A 10.77.3.1\n", i)))
		if answer, err := servers.exchange(t.Context(), Primary, m, true); err != nil || answer.Rcode != 0 {
			t.Fatal(answer, err)
		}
		began := time.Now()
		if err := servers.follow(t.Context(), Rehearsal); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(began))
	}
	t.Logf("the secondary has a change %d ms after the primary (best of 10)", best.Milliseconds())
	if best > 100*time.Millisecond {
		t.Errorf("the secondary takes %s, want 100 ms", best)
	}
}

// TestRefuses: nothing is given or changed without the key.
func TestRefuses(t *testing.T) {
	m := new(dns.Msg).SetUpdate(Rehearsal + ".")
	m.Insert(records(t, "evil.rehearsal.example. 60 IN A 192.0.2.1\n"))
	answer, err := servers.exchange(t.Context(), Primary, m, false)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Rcode != dns.RcodeRefused {
		t.Errorf("an unsigned update is answered %s", dns.RcodeToString[answer.Rcode])
	}
	for _, server := range Addresses() {
		answer, err := servers.exchange(t.Context(), server, new(dns.Msg).SetAxfr(Production+"."), false)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Rcode != dns.RcodeRefused {
			t.Errorf("%s: an unsigned transfer is answered %s", server, dns.RcodeToString[answer.Rcode])
		}
	}
	wrong := &Servers{env: servers.env}
	wrong.secret = "d3JvbmcgIHdyb25nICB3cm9uZyAgd3JvbmcgIHdyb25nISE="
	if _, err := wrong.Transfer(t.Context(), Production); err == nil {
		t.Error("a transfer with a wrong key is given")
	}
}

// TestResolver: the lab's names, the zones through the servers, TTLs honoured,
// and nothing else.
func TestResolver(t *testing.T) {
	for name, want := range map[string]string{
		"sqladmin.google.lab": "10.77.0.2", "oauth2.google.lab": "10.77.0.2", "api.ovh.lab": "10.77.0.2",
		"www.shop.example": "10.77.0.10", "static.shop.example": "10.77.0.10", "ns2.shop.example": "10.77.0.72",
		"ns-cloud-a2.googledomains.com": "10.77.0.72",
	} {
		if got := answers(t, Resolver, name, dns.TypeA); len(got) != 1 || got[0] != want {
			t.Errorf("%s is %v, want %s", name, got, want)
		}
	}
	if _, err := servers.query(t.Context(), Resolver, "www.example.org", dns.TypeA, true); err == nil || !strings.Contains(err.Error(), "NXDOMAIN") {
		t.Errorf("a name that is not the lab's: %v", err)
	}

	before, err := servers.Transfer(t.Context(), Rehearsal)
	if err != nil {
		t.Fatal(err)
	}
	change := func(address string) {
		t.Helper()
		want := append(before[1:len(before):len(before)], records(t, "ttl.rehearsal.example. 2 IN A "+address+"\n")...)
		if err := servers.Replace(t.Context(), Rehearsal, want); err != nil {
			t.Fatal(err)
		}
	}
	change("10.77.3.1")
	if got := answers(t, Resolver, "ttl.rehearsal.example", dns.TypeA); got[0] != "10.77.3.1" {
		t.Fatal(got)
	}
	change("10.77.3.2")
	if got := answers(t, Resolver, "ttl.rehearsal.example", dns.TypeA); got[0] != "10.77.3.1" {
		t.Errorf("the resolver does not cache: %v", got)
	}
	time.Sleep(3500 * time.Millisecond) // unbound counts whole seconds
	if got := answers(t, Resolver, "ttl.rehearsal.example", dns.TypeA); got[0] != "10.77.3.2" {
		t.Errorf("the resolver holds on to a record beyond its TTL: %v", got)
	}
	if err := servers.Replace(t.Context(), Rehearsal, before[1:]); err != nil {
		t.Fatal(err)
	}
}

func TestAddAndDropZone(t *testing.T) {
	const zone = "team.example.net."
	content := records(t, zone+" 21600 IN SOA ns-cloud-a1.googledomains.com. cloud-dns-hostmaster.google.com. 1 21600 3600 259200 300\n"+
		zone+" 21600 IN NS ns-cloud-a1.googledomains.com.\n"+zone+" 21600 IN NS ns-cloud-a2.googledomains.com.\n")
	for range 2 { // a zone can come again
		if err := servers.AddZone(t.Context(), zone, content); err != nil {
			t.Fatal(err)
		}
		if err := servers.Replace(t.Context(), zone, append(content[:3:3], records(t, "www."+zone+" 300 IN A 192.0.2.1\n")...)); err != nil {
			t.Fatal(err)
		}
		for _, server := range Addresses() {
			if got := answers(t, server, "www."+zone, dns.TypeA); len(got) != 1 {
				t.Errorf("%s answers %v", server, got)
			}
		}
		if err := servers.DropZone(t.Context(), zone); err != nil {
			t.Fatal(err)
		}
		if servers.Has(t.Context(), zone) {
			t.Error("the zone is still served")
		}
	}
}

// TestUpAgain: a server that was killed comes up with the zones as they were, and
// catches up with what it missed.
func TestUpAgain(t *testing.T) {
	before, err := servers.Transfer(t.Context(), Rehearsal)
	if err != nil {
		t.Fatal(err)
	}
	with := func(address string) []dns.RR {
		return append(before[1:len(before):len(before)], records(t, "again.rehearsal.example. 60 IN A "+address+"\n")...)
	}
	if err := servers.Replace(t.Context(), Rehearsal, with("10.77.3.1")); err != nil {
		t.Fatal(err)
	}
	// As after a while: the journal has gone into the zone's file.
	if err := rndc(t.Context(), servers.machine(primary), "sync", "-clean"); err != nil {
		t.Fatal(err)
	}
	for i := range servers.hosts {
		if err := servers.machine(i).Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		if state := servers.Machines()[i].State; state != "down" {
			t.Errorf("state is %s", state)
		}
		if i == secondary {
			if err := servers.Replace(t.Context(), Rehearsal, with("10.77.3.2")); err == nil {
				t.Error("a change that the secondary cannot have is no error")
			}
		}
		if err := servers.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(15 * time.Second)
	for _, server := range Addresses() {
		for {
			got := answers(t, server, "again.rehearsal.example", dns.TypeA)
			if len(got) == 1 && got[0] == "10.77.3.2" {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s answers %v", server, got)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	if err := servers.Replace(t.Context(), Rehearsal, before[1:]); err != nil {
		t.Fatal(err)
	}
}
