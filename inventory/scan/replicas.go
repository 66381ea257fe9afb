package scan

import (
	"fmt"
	"strings"
)

// Copies are a volume's bricks, if each of them has every file whole; else why it hasn't. Only of such a brick is a file's contents what the
// volume would give: an arbiter has none, a distributed or dispersed volume has parts, and sharding cuts files up.
func (v *Volume) Copies() (bricks []Brick, why string) {
	shard, _ := v.Option("features.shard")
	switch {
	case v.Type != "Replicate" || v.Replicas != len(v.Bricks):
		return nil, fmt.Sprintf("it is of type %s, of %d bricks with %d replicas", v.Type, len(v.Bricks), v.Replicas)
	case v.Arbiters > 0:
		return nil, "it has an arbiter"
	case shard != "" && !strings.EqualFold(shard, "off") && !strings.EqualFold(shard, "disable"):
		return nil, "it is sharded"
	case len(v.Bricks) < 2:
		return nil, "it has one brick, which no other bears out"
	}
	return v.Bricks, ""
}

// Notes are what a person should know of a volume that is well.
func (v *Volume) Notes() []string {
	var out []string
	if _, why := v.Copies(); why != "" {
		out = append(out, fmt.Sprintf("volume %s: %s: everything is read through its mount, which is slower", v.Name, why))
	}
	if is, _ := v.Option("features.quota"); strings.EqualFold(is, "on") {
		out = append(out, fmt.Sprintf("volume %s has a quota: what comes back to it may be refused; gluster volume quota %s list shows it", v.Name, v.Name))
	}
	return out
}
