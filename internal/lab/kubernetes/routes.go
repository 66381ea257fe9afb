package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// routes leads each node's pod range to the node: from the lab's network, through which everything outside the cluster goes, and from the other nodes. A cloud's route
// controller does the same.
type routes struct {
	cluster  *cluster
	stop     context.CancelFunc
	informer informers.SharedInformerFactory

	mu     sync.Mutex
	ranges map[string]netip.Prefix // by node
}

func startRoutes(ctx context.Context, c *cluster) (*routes, error) {
	r := &routes{cluster: c, ranges: map[string]netip.Prefix{}}
	ctx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	factory := informers.NewSharedInformerFactory(c.client, 10*time.Second) // looks again, in case a machine was not up to it
	r.informer = factory
	informer := factory.Core().V1().Nodes().Informer()
	look := func(obj any) {
		n, ok := obj.(*corev1.Node)
		if !ok {
			return
		}
		if err := r.lead(ctx, n); err != nil && ctx.Err() == nil {
			c.log.Printf("routes to %s: %v", n.Name, err)
		}
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: look, UpdateFunc: func(_, now any) { look(now) }}); err != nil {
		r.stop()
		return nil, err
	}
	factory.Start(ctx.Done())
	return r, nil
}

// has says whether a node's pods can be reached.
func (r *routes) has(node string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ranges[node].IsValid()
}

// lead makes the routes to a node once it has a range.
func (r *routes) lead(ctx context.Context, n *corev1.Node) error {
	if n.Spec.PodCIDR == "" {
		return nil
	}
	pods, err := netip.ParsePrefix(n.Spec.PodCIDR)
	if err != nil {
		return err
	}
	index := -1
	for i := range r.cluster.nodes {
		if r.cluster.plan.nodeName(i) == n.Name {
			index = i
		}
	}
	if index < 0 {
		return errors.New("it is not one of the cluster's machines")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ranges[n.Name] == pods {
		return nil
	}
	net := r.cluster.env.Network
	route := fmt.Sprintf("route replace %s via %s", pods, r.cluster.plan.node(index))
	if err := net.IP(ctx, nil, route); err != nil {
		return err
	}
	for i, other := range r.cluster.nodes {
		if i == index || !other.Running() {
			continue
		}
		netns, err := other.NetNS()
		if err != nil {
			return err
		}
		if err := errors.Join(net.IP(ctx, netns, route), netns.Close()); err != nil {
			return err
		}
	}
	r.ranges[n.Name] = pods
	return nil
}

// close takes the routes out of the lab's network; those on the nodes go with them.
func (r *routes) close(ctx context.Context) error {
	r.stop()
	r.informer.Shutdown()
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for node, pods := range r.ranges {
		if err := r.cluster.env.Network.IP(ctx, nil, fmt.Sprintf("route del %s", pods)); err != nil {
			errs = append(errs, err)
			continue
		}
		delete(r.ranges, node)
	}
	return errors.Join(errs...)
}
