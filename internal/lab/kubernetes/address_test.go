package kubernetes

import (
	"net/netip"
	"testing"
)

// TestPlansAreDisjoint: clusters of one lab share no address, and keep out of the ranges that the lab's other parts have.
func TestPlansAreDisjoint(t *testing.T) {
	others := []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24"), netip.MustParsePrefix("10.77.1.0/24")}
	var seen []netip.Prefix
	for slot := range MaxClusters {
		p := plan{slot: slot}
		own := []netip.Prefix{p.pods(), p.services(), p.balancers(), netip.PrefixFrom(p.controlPlane(), 32)}
		for i := range maxNodes {
			own = append(own, netip.PrefixFrom(p.node(i), 32))
		}
		for _, r := range own {
			if r != r.Masked() {
				t.Errorf("slot %d: %s does not begin where its mask does", slot, r)
			}
			for _, o := range append(others, seen...) {
				if r.Overlaps(o) {
					t.Errorf("slot %d: %s overlaps %s", slot, r, o)
				}
			}
		}
		for _, inside := range []netip.Addr{p.firstService(), p.dns()} {
			if !p.services().Contains(inside) {
				t.Errorf("slot %d: %s is not a Service's address", slot, inside)
			}
		}
		seen = append(seen, own...)
	}
}

func TestNames(t *testing.T) {
	if got := (plan{slot: 1}).nodeName(0); got != "k2-node1" {
		t.Errorf("the second cluster's first node is %s", got)
	}
}
