package kubernetes

import (
	"fmt"
	"net/netip"
)

// MaxClusters is how many clusters one lab holds at once: the lab's ranges are divided by it.
const MaxClusters = 8

// maxNodes is what a cluster's share of the machines' range leaves beside the control plane, within the pod ranges of a node each.
const maxNodes = 14

// plan is where a cluster lies in the lab's network. Clusters of one lab differ in their slot and share no address.
type plan struct {
	slot int // 0 to MaxClusters-1
}

// controlPlane is the machine whose port 443 is the cluster's endpoint.
func (p plan) controlPlane() netip.Addr {
	return netip.AddrFrom4([4]byte{10, 77, 2, byte(16*p.slot + 1)})
}

// node is the address of the i-th node, counted from 0.
func (p plan) node(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 77, 2, byte(16*p.slot + 2 + i)})
}

// pods is the range of which each node gets a /24 from the controller manager.
func (p plan) pods() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(16 * p.slot), 0}), 20)
}

// services is the range of Services' own addresses.
func (p plan) services() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 96, byte(16 * p.slot), 0}), 20)
}

// firstService is the address of the Service kubernetes.default: the API server always takes the first.
func (p plan) firstService() netip.Addr { return p.services().Addr().Next() }

// dns is the address of the Service of the cluster's name server.
func (p plan) dns() netip.Addr { return netip.AddrFrom4([4]byte{10, 96, byte(16 * p.slot), 10}) }

// balancers is the range of which Services of type LoadBalancer get their addresses.
func (p plan) balancers() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, 3, byte(32 * p.slot)}), 27)
}

// The names by which the lab's other verbs (kill, freeze) know the cluster's machines. Counted from 1, as people do.
func (p plan) controlPlaneName() string { return fmt.Sprintf("k%d-control", p.slot+1) }

func (p plan) nodeName(i int) string { return fmt.Sprintf("k%d-node%d", p.slot+1, i+1) }
