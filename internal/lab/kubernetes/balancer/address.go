package balancer

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// finalizer keeps a Service until its address is given back (k8s.io/cloud-provider, service/helpers).
const finalizer = "service.kubernetes.io/load-balancer-cleanup"

// give sees to it that a Service has an address, that the cluster knows, and that a healthy node answers for it.
func (b *Balancer) give(ctx context.Context, name string, s *corev1.Service, healthy map[check]bool) error {
	h, ok := b.held[name]
	if !ok {
		addr, err := b.free(s.Spec.LoadBalancerIP)
		if err != nil {
			return err
		}
		h = holding{addr: addr}
	}
	services := b.config.Client.CoreV1().Services(s.Namespace)
	if !slices.Contains(s.Finalizers, finalizer) {
		s = s.DeepCopy()
		s.Finalizers = append(s.Finalizers, finalizer)
		var err error
		if s, err = services.Update(ctx, s, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	b.held[name] = h
	if err := b.settle(ctx, name, b.port(s), healthy); err != nil {
		return err
	}
	if in := s.Status.LoadBalancer.Ingress; len(in) == 1 && in[0].IP == h.addr.String() {
		return nil
	}
	s = s.DeepCopy()
	mode := corev1.LoadBalancerIPModeVIP
	s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: h.addr.String(), IPMode: &mode}}
	_, err := services.UpdateStatus(ctx, s, metav1.UpdateOptions{})
	return err
}

// free is an address that no Service has: the one asked for, or the lowest.
func (b *Balancer) free(asked string) (netip.Addr, error) {
	taken := map[netip.Addr]bool{}
	for _, h := range b.held {
		taken[h.addr] = true
	}
	pool := b.config.Pool
	if asked != "" {
		addr, err := netip.ParseAddr(asked)
		switch {
		case err != nil:
			return netip.Addr{}, fmt.Errorf("loadBalancerIP: %w", err)
		case !pool.Contains(addr):
			return netip.Addr{}, fmt.Errorf("loadBalancerIP %s is not of this cluster's range %s", addr, pool)
		case taken[addr]:
			return netip.Addr{}, fmt.Errorf("loadBalancerIP %s is another Service's", addr)
		}
		return addr, nil
	}
	for addr := pool.Masked().Addr().Next(); pool.Contains(addr.Next()); addr = addr.Next() {
		if !taken[addr] {
			return addr, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("no address of %s is free", pool)
}

// settle has a healthy node answer for a Service's address: the one that does, while it is healthy.
func (b *Balancer) settle(ctx context.Context, name string, port int, healthy map[check]bool) error {
	h := b.held[name]
	if h.node != "" && healthy[check{h.node, port}] {
		return nil
	}
	next := ""
	// Spread over the nodes by address.
	nodes := b.config.Nodes
	for i := range nodes {
		n := nodes[(i+int(h.addr.As4()[3]))%len(nodes)]
		if n.Name != h.node && healthy[check{n.Name, port}] {
			next = n.Name
			break
		}
	}
	if next == "" && h.node == "" {
		return nil // still nobody
	}
	if err := b.leave(ctx, h); err != nil {
		return err
	}
	h.node = ""
	b.held[name] = h
	if next == "" {
		b.config.Log.Printf("load balancer of %s: %s: no node is healthy", name, h.addr)
		return nil
	}
	h.node = next
	if err := b.enter(ctx, h); err != nil {
		return err
	}
	b.held[name] = h
	b.config.Log.Printf("load balancer of %s: %s is at %s", name, h.addr, h.node)
	return nil
}

// enter makes a node answer for the address, and tells the neighbours.
func (b *Balancer) enter(ctx context.Context, h holding) error {
	n, ok := b.node(h.node)
	if !ok {
		return fmt.Errorf("no node %s", h.node)
	}
	netns, err := n.NetNS()
	if err != nil {
		return err
	}
	defer netns.Close()
	if err := b.config.Network.IP(ctx, netns, fmt.Sprintf("addr replace %s/32 dev eth0", h.addr)); err != nil {
		return err
	}
	if err := announce(netns, "eth0", h.addr); err != nil {
		return err
	}
	// Linux ignores an announcement within a second of the last word on an address (neigh/default/locktime): it is repeated.
	again, err := n.NetNS()
	if err != nil {
		return err
	}
	b.running.Go(func() {
		defer again.Close()
		select {
		case <-ctx.Done():
			return
		case <-time.After(1200 * time.Millisecond):
		}
		if err := announce(again, "eth0", h.addr); err != nil && n.Running() {
			b.config.Log.Printf("load balancer: announce %s again: %v", h.addr, err)
		}
	})
	return nil
}

// leave makes a node not answer any more. One that has ended doesn't.
func (b *Balancer) leave(ctx context.Context, h holding) error {
	n, ok := b.node(h.node)
	if !ok || !n.Running() {
		return nil
	}
	netns, err := n.NetNS()
	if err != nil {
		return err
	}
	err = b.config.Network.IP(ctx, netns, fmt.Sprintf("addr del %s/32 dev eth0", h.addr))
	return errors.Join(err, netns.Close())
}

// withdraw takes a Service's address back.
func (b *Balancer) withdraw(ctx context.Context, name string) error {
	h, ok := b.held[name]
	if !ok {
		return nil
	}
	if err := b.leave(ctx, h); err != nil {
		return err
	}
	delete(b.held, name)
	b.config.Log.Printf("load balancer of %s: %s is free", name, h.addr)
	return nil
}

// take takes the address of a Service that is being deleted, or that is no longer of the type, and lets the Service go.
func (b *Balancer) take(ctx context.Context, name string, s *corev1.Service) error {
	if err := b.withdraw(ctx, name); err != nil {
		return err
	}
	if !slices.Contains(s.Finalizers, finalizer) {
		return nil
	}
	services := b.config.Client.CoreV1().Services(s.Namespace)
	s = s.DeepCopy()
	if s.DeletionTimestamp == nil && len(s.Status.LoadBalancer.Ingress) > 0 {
		s.Status.LoadBalancer = corev1.LoadBalancerStatus{}
		var err error
		if s, err = services.UpdateStatus(ctx, s, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	s.Finalizers = slices.DeleteFunc(s.Finalizers, func(f string) bool { return f == finalizer })
	_, err := services.Update(ctx, s, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
