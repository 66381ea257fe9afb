package shopper

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// nameServer answers what it is set to, and REFUSED when it is set to nothing.
type nameServer struct {
	at netip.AddrPort

	mu     sync.Mutex
	record string
	rcode  int
	asked  int
}

func (n *nameServer) set(record string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.record = record
}

func (n *nameServer) questions() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

func startNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nameServer{at: conn.LocalAddr().(*net.UDPAddr).AddrPort()}
	started := make(chan struct{}) // one that has not cannot be shut down, and would serve ever after
	server := &dns.Server{PacketConn: conn, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.asked++
		reply := new(dns.Msg).SetReply(q)
		if n.record == "" {
			reply.Rcode = dns.RcodeRefused
		} else if rr, err := dns.NewRR(n.record); err == nil {
			reply.Rcode = n.rcode
			reply.Answer = append(reply.Answer, rr)
		}
		_ = w.WriteMsg(reply) // a lost answer is a lost packet: the client asks again
	})}
	done := make(chan error, 1)
	go func() { done <- server.ActivateAndServe() }()
	select {
	case <-started:
	case err := <-done:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return n
}

func TestResolverKeepsAnswersAsLongAsTheyLast(t *testing.T) {
	n := startNameServer(t)
	r := newResolver(n.at, (&net.Dialer{}).DialContext)
	now := time.Unix(1000, 0)
	r.now = func() time.Time { return now }
	look := func() string {
		t.Helper()
		addrs, err := r.lookup(context.Background(), "www.shop.example")
		if err != nil {
			return "error"
		}
		return addrs[0].String()
	}
	for i, step := range []struct {
		wait   time.Duration
		record string
		want   string
		asked  int
	}{
		{0, "www.shop.example. 5 IN A 10.0.0.1", "10.0.0.1", 1},
		{4999 * time.Millisecond, "www.shop.example. 5 IN A 10.0.0.2", "10.0.0.1", 1}, // still good
		{time.Millisecond, "www.shop.example. 5 IN A 10.0.0.2", "10.0.0.2", 2},        // and not a moment longer
		{5 * time.Second, "", "error", 3},                                             // a stale answer isn't an answer
		{0, "www.shop.example. 0 IN A 10.0.0.3", "10.0.0.3", 4},                       // a failure isn't kept
		{0, "www.shop.example. 0 IN A 10.0.0.4", "10.0.0.4", 5},                       // nor what has no time to live
		{0, "www.shop.example. 60 IN TXT \"no address\"", "error", 6},
	} {
		now = now.Add(step.wait)
		n.set(step.record)
		if got := look(); got != step.want || n.questions() != step.asked {
			t.Errorf("step %d: got %s after %d questions, want %s after %d", i, got, n.questions(), step.want, step.asked)
		}
	}
}

func TestResolverTakesNoAddressFromAFailure(t *testing.T) {
	n := startNameServer(t)
	n.set("www.shop.example. 60 IN A 10.0.0.1")
	n.rcode = dns.RcodeServerFailure
	if addrs, err := newResolver(n.at, (&net.Dialer{}).DialContext).lookup(context.Background(), "www.shop.example"); err == nil {
		t.Errorf("SERVFAIL gave %v", addrs)
	}
}

func TestResolverGivesUp(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	r := newResolver(silent.LocalAddr().(*net.UDPAddr).AddrPort(), (&net.Dialer{}).DialContext)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if addrs, err := r.lookup(ctx, "www.shop.example"); err == nil {
		t.Errorf("a silent server gave %v", addrs)
	}
}
