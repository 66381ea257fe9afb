package zone

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/slipway-dev/slipway/internal/lab/cloud/ovh"
)

// nameserver is one authoritative server of a test. Its faults are set by the test.
type nameserver struct {
	mu        sync.Mutex
	zone      string
	serial    uint32
	records   []ovh.Data
	rcode     int  // not 0: answered to all questions
	lame      bool // answers without the AA flag
	silentUDP bool
	silent    bool
	truncate  bool // over UDP
	asked     map[string]int
}

func (n *nameserver) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	n.mu.Lock()
	defer n.mu.Unlock()
	proto := w.LocalAddr().Network()
	n.asked[proto]++
	if n.silent || n.silentUDP && proto == "udp" {
		return
	}
	m := new(dns.Msg).SetReply(q)
	m.Authoritative = !n.lame
	if q.RecursionDesired {
		m.Rcode = dns.RcodeRefused
	}
	if n.rcode != 0 {
		m.Rcode = n.rcode
		_ = w.WriteMsg(m)
		return
	}
	name, typ := dns.CanonicalName(q.Question[0].Name), q.Question[0].Qtype
	if n.truncate && proto == "udp" {
		m.Truncated = true
		_ = w.WriteMsg(m)
		return
	}
	if typ == dns.TypeSOA {
		rr, _ := dns.NewRR(fmt.Sprintf("%s 3600 IN SOA ns1.%s root.%s %d 1 1 1 60", n.zone, n.zone, n.zone, n.serial))
		m.Answer = append(m.Answer, rr)
	}
	for _, r := range n.records {
		ttl := r.TTL
		if ttl == 0 {
			ttl = 3600
		}
		if Absolute(r.Name, n.zone) == name && dns.StringToType[r.Type] == typ {
			rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", name, ttl, r.Type, r.Target))
			if err != nil {
				panic(err)
			}
			m.Answer = append(m.Answer, rr)
		}
	}
	_ = w.WriteMsg(m)
}

func (n *nameserver) set(f func(*nameserver)) { n.mu.Lock(); defer n.mu.Unlock(); f(n) }

// world is a zone with two name servers, and the backend of a provider's API in front of them.
type world struct {
	origin string
	ns     [2]*nameserver
	port   uint16
}

func newWorld(t *testing.T, origin string, records ...ovh.Data) *world {
	t.Helper()
	w := &world{origin: origin}
	records = append(records, ovh.Data{Type: "NS", TTL: 3600, Target: "ns1." + origin}, ovh.Data{Type: "NS", TTL: 3600, Target: "ns2." + origin})
	for try := 0; ; try++ {
		if w.listen(t, records) {
			return w
		}
		if try == 20 {
			t.Fatal("no free port on both addresses")
		}
	}
}

func (w *world) listen(t *testing.T, records []ovh.Data) bool {
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.port = uint16(first.Addr().(*net.TCPAddr).Port)
	second, err := net.Listen("tcp", fmt.Sprintf("127.0.0.2:%d", w.port))
	if err != nil {
		_ = first.Close()
		return false
	}
	for i, l := range []net.Listener{first, second} {
		pc, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		n := &nameserver{zone: w.origin, serial: 1, records: slices.Clone(records), asked: map[string]int{}}
		w.ns[i] = n
		for _, s := range []*dns.Server{{Listener: l, Handler: n}, {PacketConn: pc, Handler: n}} {
			ready := make(chan struct{})
			s.NotifyStartedFunc = func() { close(ready) }
			go func() { _ = s.ActivateAndServe() }()
			<-ready
			t.Cleanup(func() { _ = s.Shutdown() })
		}
	}
	return true
}

func (w *world) servers() Servers {
	return Servers{Port: w.port, Timeout: 150 * time.Millisecond, Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
		switch host {
		case "ns1." + w.origin:
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		case "ns2." + w.origin:
			return []netip.Addr{netip.MustParseAddr("127.0.0.2")}, nil
		}
		return nil, errors.New("no such host " + host)
	}}
}

func (w *world) hosts() []string { return []string{"ns1." + w.origin, "ns2." + w.origin} }

func (w *world) Records(context.Context, string) ([]ovh.Data, error) {
	w.ns[0].mu.Lock()
	defer w.ns[0].mu.Unlock()
	return slices.Clone(w.ns[0].records), nil
}

func (w *world) Replace(_ context.Context, _ string, records []ovh.Data) error {
	for _, n := range w.ns {
		n.set(func(n *nameserver) { n.records = slices.Clone(records); n.serial++ })
	}
	return nil
}

func (w *world) SOA(context.Context, string) (ovh.SOA, error) { return ovh.SOA{}, nil }

func (w *world) served(t *testing.T, name, typ string) string {
	t.Helper()
	a, err := w.servers().Ask(context.Background(), w.hosts(), Absolute(name, w.origin), typ)
	if err != nil {
		t.Fatal(err)
	}
	if len(a) != 2 || !a[0].Set.Equal(a[1].Set) {
		t.Fatalf("the servers disagree: %v", a)
	}
	return a[0].Set.Data()
}

func TestAskEachServer(t *testing.T) {
	w := newWorld(t, "shop.example.", ovh.Data{Name: "www", Type: "A", TTL: 60, Target: "192.0.2.1"})
	s, ctx := w.servers(), context.Background()
	ask := func() ([]Answer, error) { return s.Ask(ctx, w.hosts(), "WWW.shop.example.", "A") }
	a, err := ask()
	if err != nil || len(a) != 2 || a[0].Set.Data() != "60 192.0.2.1" || a[0].Server != "ns1.shop.example. (127.0.0.1)" {
		t.Fatalf("%v, %v", a, err)
	}
	for name, c := range map[string]struct {
		fault func(*nameserver)
		want  string
	}{
		"SERVFAIL": {func(n *nameserver) { n.rcode = dns.RcodeServerFailure }, "ns2.shop.example. (127.0.0.2): ask for www.shop.example. A: it answers SERVFAIL"},
		"REFUSED":  {func(n *nameserver) { n.rcode = dns.RcodeRefused }, "it answers REFUSED"},
		"lame":     {func(n *nameserver) { n.lame = true }, "its answer isn't authoritative"},
		"silent":   {func(n *nameserver) { n.silent = true }, "i/o timeout"},
	} {
		w.ns[1].set(c.fault)
		if _, err := ask(); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "ns2.shop.example.") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		w.ns[1].set(func(n *nameserver) { n.rcode, n.lame, n.silent = 0, false, false })
	}
	for name, fault := range map[string]func(*nameserver){
		"UDP lost":  func(n *nameserver) { n.silentUDP = true },
		"truncated": func(n *nameserver) { n.truncate = true },
	} {
		w.ns[1].set(func(n *nameserver) { n.asked["tcp"] = 0 })
		w.ns[1].set(fault)
		if a, err := ask(); err != nil || len(a) != 2 || a[1].Set.Data() != "60 192.0.2.1" || w.ns[1].asked["tcp"] == 0 {
			t.Errorf("%s: %v, %v", name, a, err)
		}
		w.ns[1].set(func(n *nameserver) { n.silentUDP, n.truncate = false, false })
	}
	w.ns[1].set(func(n *nameserver) { n.records = nil; n.serial = 7 })
	if a, err := ask(); err != nil || !a[1].Set.Absent() {
		t.Errorf("absent: %v, %v", a, err)
	}
	ser, err := s.Serials(ctx, w.hosts(), "shop.example.")
	if err != nil || len(ser) != 2 || ser[0].Number != 1 || ser[1].Number != 7 {
		t.Errorf("%v, %v", ser, err)
	}
	if _, err := s.Ask(ctx, []string{"ns9.shop.example."}, "www.shop.example.", "A"); err == nil || !strings.Contains(err.Error(), "ns9") {
		t.Errorf("a server without an address: %v", err)
	}
	if _, err := s.Ask(ctx, nil, "www.shop.example.", "A"); err == nil {
		t.Error("no servers at all is no error")
	}
}
