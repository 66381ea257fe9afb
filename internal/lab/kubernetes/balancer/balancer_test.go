package balancer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

// quiet is a network that refuses to be dialed and notes what it is told.
type quiet struct {
	mu   sync.Mutex
	said []string
	fail error
}

func (q *quiet) IP(_ context.Context, _ *os.File, lines ...string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.said = append(q.said, lines...)
	return q.fail
}

func (q *quiet) DialContext(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("nobody answers")
}

// newTest makes a balancer that does nothing by itself, of services that its lister has.
func newTest(t *testing.T, services ...*corev1.Service) (*Balancer, *fake.Clientset, *quiet) {
	t.Helper()
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	var objects []runtime.Object
	for _, s := range services {
		objects = append(objects, s)
		if err := indexer.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	client, net := fake.NewClientset(objects...), &quiet{}
	b := &Balancer{held: map[string]holding{}, failed: map[check]int{}, told: map[string]string{}, services: corelisters.NewServiceLister(indexer)}
	b.config = Config{Client: client, Network: net, Pool: netip.MustParsePrefix("10.77.3.32/30"), ProxyHealth: 10256, Log: log.New(io.Discard, "", 0)}
	return b, client, net
}

func loadBalancer(name string, change ...func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}}
	for _, f := range change {
		f(s)
	}
	return s
}

func TestGivesAddressBeforeAnyNodeIsHealthy(t *testing.T) {
	b, client, _ := newTest(t, loadBalancer("edge"))
	b.pass(t.Context())
	s, err := client.CoreV1().Services("shop").Get(t.Context(), "edge", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if in := s.Status.LoadBalancer.Ingress; len(in) != 1 || in[0].IP != "10.77.3.33" {
		t.Errorf("ingress %v", in)
	}
	if !slices.Contains(s.Finalizers, finalizer) {
		t.Error("a Service with an address can go without giving it back")
	}
}

func TestFree(t *testing.T) {
	b, _, _ := newTest(t)
	b.held["a"] = holding{addr: netip.MustParseAddr("10.77.3.33")}
	for _, c := range []struct{ asked, want, err string }{
		{"", "10.77.3.34", ""},
		{"10.77.3.34", "10.77.3.34", ""},
		{"10.77.3.33", "", "another Service's"},
		{"10.77.3.65", "", "not of this cluster's range"},
		{"edge", "", "loadBalancerIP"},
	} {
		got, err := b.free(c.asked)
		if c.err == "" && (err != nil || got.String() != c.want) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%q: %v, %v", c.asked, got, err)
		}
	}
	b.held["b"] = holding{addr: netip.MustParseAddr("10.77.3.34")}
	if got, err := b.free(""); err == nil {
		t.Errorf("of a full range: %v", got)
	}
}

func TestLetsGo(t *testing.T) {
	now := metav1.Now()
	for name, s := range map[string]*corev1.Service{
		"deleted": loadBalancer("edge", func(s *corev1.Service) { s.DeletionTimestamp, s.Finalizers = &now, []string{finalizer, "another"} }),
		"no longer a load balancer": loadBalancer("edge", func(s *corev1.Service) {
			s.Spec.Type, s.Finalizers = corev1.ServiceTypeClusterIP, []string{finalizer, "another"}
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "10.77.3.33"}}
		}),
	} {
		b, client, _ := newTest(t, s)
		b.held["shop/edge"] = holding{addr: netip.MustParseAddr("10.77.3.33")}
		b.pass(t.Context())
		got, err := client.CoreV1().Services("shop").Get(t.Context(), "edge", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Finalizers, []string{"another"}) || len(got.Status.LoadBalancer.Ingress) > 0 || len(b.held) > 0 {
			t.Errorf("%s: finalizers %v, ingress %v, held %v", name, got.Finalizers, got.Status.LoadBalancer.Ingress, b.held)
		}
	}
}

// TestKeepsAddressUntilNodeLetsGo: an address that may still be on a node is not given to another Service.
func TestKeepsAddressUntilNodeLetsGo(t *testing.T) {
	now := metav1.Now()
	b, client, net := newTest(t, loadBalancer("edge", func(s *corev1.Service) { s.DeletionTimestamp, s.Finalizers = &now, []string{finalizer} }))
	b.config.Nodes = []Node{{Name: "n1", Running: func() bool { return true }, NetNS: func() (*os.File, error) { return os.Open(os.DevNull) }}}
	b.held["shop/edge"] = holding{addr: netip.MustParseAddr("10.77.3.33"), node: "n1"}
	net.fail = errors.New("no")
	b.pass(t.Context())
	if _, err := client.CoreV1().Services("shop").Get(t.Context(), "edge", metav1.GetOptions{}); err != nil || len(b.held) != 1 {
		t.Errorf("let go of: %v, held %v", err, b.held)
	}
	net.fail = nil
	b.pass(t.Context())
	if len(b.held) != 0 || !slices.Contains(net.said, "addr del 10.77.3.33/32 dev eth0") {
		t.Errorf("held %v after %v", b.held, net.said)
	}
}

// TestMovesOnSecondFailure: one missed answer moves nothing, two do; a node that has ended is not asked to let go.
func TestMovesOnSecondFailure(t *testing.T) {
	s := loadBalancer("edge", func(s *corev1.Service) { s.Finalizers = []string{finalizer} })
	b, _, net := newTest(t, s)
	b.config.Nodes = []Node{{Name: "n1", Addr: netip.MustParseAddr("10.77.2.2"), Running: func() bool { return false }}}
	b.held["shop/edge"] = holding{addr: netip.MustParseAddr("10.77.3.33"), node: "n1"}
	b.pass(t.Context())
	if b.held["shop/edge"].node != "n1" {
		t.Error("moved at the first failure")
	}
	b.pass(t.Context())
	if b.held["shop/edge"].node != "" || len(net.said) > 0 {
		t.Errorf("held %v, said %v", b.held, net.said)
	}
}

func TestLocalAsksItsOwnPort(t *testing.T) {
	b, _, _ := newTest(t)
	local := loadBalancer("local", func(s *corev1.Service) {
		s.Spec.ExternalTrafficPolicy, s.Spec.HealthCheckNodePort = corev1.ServiceExternalTrafficPolicyLocal, 30123
	})
	if got := fmt.Sprint(b.port(loadBalancer("any")), b.port(local)); got != "10256 30123" {
		t.Errorf("ports %s", got)
	}
}
