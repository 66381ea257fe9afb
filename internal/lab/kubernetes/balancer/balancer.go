package balancer

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

// Network is what the balancer does to the lab's network (internal/lab/network has it).
type Network interface {
	IP(ctx context.Context, in *os.File, lines ...string) error
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Node is a machine that can answer for addresses.
type Node struct {
	Name    string
	Addr    netip.Addr
	Running func() bool
	NetNS   func() (*os.File, error)
}

// Config is what the balancer of one cluster needs.
type Config struct {
	Client  kubernetes.Interface // may change Services and their status
	Network Network
	Pool    netip.Prefix // of which the first and last address are not given out
	Nodes   []Node
	// ProxyHealth is the port where every node's kube-proxy says whether it keeps up.
	ProxyHealth int
	Log         *log.Logger
}

const (
	// every is how often nodes are asked; Google's default is 8 s, which would make tests slow and show nothing more.
	every = 500 * time.Millisecond
	// failures in a row make a node unhealthy.
	failures = 2
	// checkLimit is how long a node may take to answer.
	checkLimit = time.Second
)

// Balancer runs for one cluster.
type Balancer struct {
	config   Config
	services corelisters.ServiceLister
	http     *http.Client
	poke     chan struct{}
	stop     context.CancelFunc
	informer informers.SharedInformerFactory
	running  sync.WaitGroup

	// Of the one goroutine that works:
	held   map[string]holding // by the Service's namespace/name
	failed map[check]int      // failures in a row
	told   map[string]string  // the last problem of a Service, to say it once
}

// holding is a Service's address and the node that answers for it; no node: none is healthy.
type holding struct {
	addr netip.Addr
	node string
}

// check is a question to a node.
type check struct {
	node string
	port int
}

// Start begins to look after Services. Close ends it.
func Start(ctx context.Context, config Config) (*Balancer, error) {
	b := &Balancer{config: config, poke: make(chan struct{}, 1), held: map[string]holding{}, failed: map[check]int{}, told: map[string]string{}}
	b.http = &http.Client{Timeout: checkLimit, Transport: &http.Transport{DialContext: config.Network.DialContext, DisableKeepAlives: true}}
	// What runs outlives the request that started it.
	ctx, b.stop = context.WithCancel(context.WithoutCancel(ctx))
	factory := informers.NewSharedInformerFactory(config.Client, 0)
	b.informer = factory
	informer := factory.Core().V1().Services()
	b.services = informer.Lister()
	poke := func(any) {
		select {
		case b.poke <- struct{}{}:
		default: // it is about to look anyway
		}
	}
	_, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: poke, UpdateFunc: func(_, now any) { poke(now) }, DeleteFunc: poke})
	if err != nil {
		b.Close()
		return nil, err
	}
	factory.Start(ctx.Done())
	wait, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if !cache.WaitForCacheSync(wait.Done(), informer.Informer().HasSynced) {
		b.Close()
		return nil, fmt.Errorf("load balancers: the API server does not list Services: %w", wait.Err())
	}
	b.running.Go(func() { b.loop(ctx) })
	return b, nil
}

// Close stops looking. The addresses go with the nodes.
func (b *Balancer) Close() {
	b.stop()
	b.informer.Shutdown()
	b.running.Wait()
}

func (b *Balancer) loop(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.poke:
		case <-tick.C:
		}
		b.pass(ctx)
	}
}

// pass looks at every Service once.
func (b *Balancer) pass(ctx context.Context) {
	all, err := b.services.List(labels.Everything())
	if err != nil {
		b.config.Log.Printf("load balancers: %v", err)
		return
	}
	slices.SortFunc(all, func(a, c *corev1.Service) int { return a.CreationTimestamp.Compare(c.CreationTimestamp.Time) })
	there := map[string]bool{}
	healthy := b.ask(ctx, all)
	for _, service := range all {
		name := service.Namespace + "/" + service.Name
		there[name] = true
		var err error
		if wanted(service) {
			err = b.give(ctx, name, service, healthy)
		} else {
			err = b.take(ctx, name, service)
		}
		b.tell(name, err)
	}
	for name := range b.held {
		if !there[name] { // its finalizer was taken off by someone else
			b.tell(name, b.withdraw(ctx, name))
		}
	}
}

// tell logs a Service's problem when it is another than before. Every pass tries again.
func (b *Balancer) tell(name string, err error) {
	said := ""
	if err != nil {
		said = err.Error()
	}
	if b.told[name] != said && said != "" {
		b.config.Log.Printf("load balancer of %s: %s", name, said)
	}
	b.told[name] = said
}

// wanted says whether a Service is to have an address.
func wanted(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.DeletionTimestamp == nil && s.Spec.LoadBalancerClass == nil
}

// port is where a node says whether it serves the Service.
func (b *Balancer) port(s *corev1.Service) int {
	if s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal && s.Spec.HealthCheckNodePort != 0 {
		return int(s.Spec.HealthCheckNodePort)
	}
	return b.config.ProxyHealth
}

// ask asks every node for every Service that has or wants an address, side by side.
func (b *Balancer) ask(ctx context.Context, all []*corev1.Service) map[check]bool {
	answers := map[check]bool{}
	for _, s := range all {
		if wanted(s) {
			for _, n := range b.config.Nodes {
				answers[check{n.Name, b.port(s)}] = false
			}
		}
	}
	var mu sync.Mutex
	var asked sync.WaitGroup
	for c := range answers {
		asked.Go(func() {
			ok := b.passes(ctx, c)
			mu.Lock()
			defer mu.Unlock()
			if ok {
				b.failed[c] = 0
			} else {
				b.failed[c]++
			}
			answers[c] = ok || b.failed[c] < failures && b.holds(c.node)
		})
	}
	asked.Wait()
	return answers
}

// holds says whether a node answers for any address: one that does is not dropped at its first failure, one that doesn't is not taken with one.
func (b *Balancer) holds(node string) bool {
	for _, h := range b.held {
		if h.node == node {
			return true
		}
	}
	return false
}

func (b *Balancer) passes(ctx context.Context, c check) bool {
	n, ok := b.node(c.node)
	if !ok || !n.Running() {
		return false
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/healthz", netip.AddrPortFrom(n.Addr, uint16(c.port))), nil)
	if err != nil {
		return false
	}
	response, err := b.http.Do(request)
	if err != nil {
		return false
	}
	return errors.Join(response.Body.Close()) == nil && response.StatusCode == http.StatusOK
}

func (b *Balancer) node(name string) (Node, bool) {
	i := slices.IndexFunc(b.config.Nodes, func(n Node) bool { return n.Name == name })
	if i < 0 {
		return Node{}, false
	}
	return b.config.Nodes[i], true
}
