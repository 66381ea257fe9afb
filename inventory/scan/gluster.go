package scan

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/go-multierror"
	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/inventory"
)

// Volume is the state of a Gluster volume, as one of its servers sees it.
type Volume struct {
	Name     string   `json:"name"`
	ID       string   `json:"id"`
	AskedOn  string   `json:"asked_on"` // the host
	Status   string   `json:"status"`   // Started, Stopped, Created
	Type     string   `json:"type"`     // Replicate, Distribute, ...
	Replicas int      `json:"replicas"`
	Arbiters int      `json:"arbiters"`
	Options  []Option `json:"options"` // those that were set, in Gluster's order
	Bricks   []Brick  `json:"bricks"`
	Peers    []Peer   `json:"peers"`
}

// Option is one of a volume's.
type Option struct{ Name, Value string }

// Brick is one brick. Heals and SplitBrains are -1 where the brick could not be asked.
type Brick struct {
	Host        string `json:"host"` // as Gluster names it
	Path        string `json:"path"`
	Online      bool   `json:"online"`
	Arbiter     bool   `json:"arbiter"`
	Heals       int64  `json:"heals"`        // entries that wait to be healed
	SplitBrains int64  `json:"split_brains"` // entries in split-brain
}

// Name is what Gluster calls it: host:path.
func (b Brick) Name() string { return b.Host + ":" + b.Path }

// Peer is another server of the pool.
type Peer struct {
	Host      string `json:"host"`
	Connected bool   `json:"connected"`
	State     string `json:"state"`
}

// Option gives the value of an option that was set.
func (v *Volume) Option(name string) (string, bool) {
	for _, o := range v.Options {
		if o.Name == name {
			return o.Value, true
		}
	}
	return "", false
}

// Gluster asks for a volume. The servers are asked one after the other until one answers; the error has why each did not.
func (s Source) Gluster(ctx context.Context, volume string) (*Volume, error) {
	q, err := remote.GlusterState(volume)
	if err != nil {
		return nil, err
	}
	all := &multierror.Error{ErrorFormat: remote.Lines}
	servers := s.Inventory.With(inventory.Files)
	if len(servers) == 0 {
		return nil, errors.New("no host of the inventory has the role files")
	}
	for _, h := range servers {
		out, err := s.Looker.Look(ctx, h.Name, q)
		if err == nil {
			var v *Volume
			if v, err = parseGluster(out.Stdout, out.Stderr); err == nil {
				v.AskedOn = h.Name
				return v, nil
			}
			err = fmt.Errorf("%s: gluster volume %s: %w", h.Name, volume, err)
		}
		all = multierror.Append(all, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, all
}

// The XML of the gluster command line (--xml), as Gluster 9 and 10 write it.
type (
	cliOutput struct {
		OpRet    int         `xml:"opRet"`
		OpErrstr string      `xml:"opErrstr"`
		Volumes  []xmlVolume `xml:"volInfo>volumes>volume"`
		Nodes    []xmlNode   `xml:"volStatus>volumes>volume>node"`
		Heal     []xmlHeal   `xml:"healInfo>bricks>brick"`
		Peers    []xmlPeer   `xml:"peerStatus>peer"`
	}
	xmlVolume struct {
		Name     string `xml:"name"`
		ID       string `xml:"id"`
		Status   string `xml:"statusStr"`
		Type     string `xml:"typeStr"`
		Replicas int    `xml:"replicaCount"`
		Arbiters int    `xml:"arbiterCount"`
		Bricks   []struct {
			Name    string `xml:"name"`
			Arbiter int    `xml:"isArbiter"`
		} `xml:"bricks>brick"`
		Options []struct {
			Name  string `xml:"name"`
			Value string `xml:"value"`
		} `xml:"options>option"`
	}
	xmlNode struct {
		Host   string `xml:"hostname"`
		Path   string `xml:"path"`
		Status int    `xml:"status"`
	}
	xmlHeal struct {
		Name    string `xml:"name"`
		Status  string `xml:"status"`
		Entries string `xml:"numberOfEntries"` // "-" where the brick could not be asked
	}
	xmlPeer struct {
		Host      string `xml:"hostname"`
		Connected int    `xml:"connected"`
		State     string `xml:"stateStr"`
	}
)

func parseGluster(stdout, stderr []byte) (*Volume, error) {
	all, err := parseSections(stdout, stderr)
	if err != nil {
		return nil, err
	}
	var out [5]cliOutput
	for i, name := range []string{"info", "status", "heal", "split", "peers"} {
		s, ok := all[name]
		if !ok {
			return nil, fmt.Errorf("%w: section %s is missing", ErrAnswer, name)
		}
		// status fails for a volume that isn't started, and so does heal: info says so better.
		if i > 0 && len(out[0].Volumes) == 1 && out[0].Volumes[0].Status != "Started" && name != "peers" {
			continue
		}
		if out[i], err = parseCLI(s); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(out[0].Volumes) != 1 {
		return nil, fmt.Errorf("%w: it tells of %d volumes", ErrAnswer, len(out[0].Volumes))
	}
	x := out[0].Volumes[0]
	v := &Volume{Name: x.Name, ID: x.ID, Status: x.Status, Type: x.Type, Replicas: x.Replicas, Arbiters: x.Arbiters}
	for _, o := range x.Options {
		v.Options = append(v.Options, Option{o.Name, o.Value})
	}
	for _, b := range x.Bricks {
		brick, err := parseBrick(b.Name)
		if err != nil {
			return nil, err
		}
		brick.Arbiter = b.Arbiter != 0
		brick.Online = slices.ContainsFunc(out[1].Nodes, func(n xmlNode) bool { return n.Host == brick.Host && n.Path == brick.Path && n.Status == 1 })
		if brick.Heals, err = entries(out[2].Heal, b.Name); err != nil {
			return nil, err
		}
		if brick.SplitBrains, err = entries(out[3].Heal, b.Name); err != nil {
			return nil, err
		}
		v.Bricks = append(v.Bricks, brick)
	}
	for _, p := range out[4].Peers {
		v.Peers = append(v.Peers, Peer{p.Host, p.Connected == 1, p.State})
	}
	slices.SortFunc(v.Peers, func(a, b Peer) int { return cmp.Compare(a.Host, b.Host) })
	return v, nil
}

func parseCLI(s section) (cliOutput, error) {
	var out cliOutput
	if err := xml.Unmarshal([]byte(s.text), &out); err != nil {
		if s.status != 0 {
			return out, errors.New(s.why())
		}
		return out, fmt.Errorf("%w: %v", ErrAnswer, err)
	}
	if out.OpRet != 0 {
		return out, errors.New(remote.Printable(cmp.Or(out.OpErrstr, s.why()), 200))
	}
	if s.status != 0 {
		return out, errors.New(s.why())
	}
	return out, nil
}

func parseBrick(name string) (Brick, error) {
	for i := range len(name) {
		if name[i] == ':' && i+1 < len(name) && name[i+1] == '/' {
			return Brick{Host: name[:i], Path: name[i+1:]}, nil
		}
	}
	return Brick{}, fmt.Errorf("%w: %q is not the name of a brick", ErrAnswer, remote.Printable(name, 80))
}

// entries finds a brick's count; -1 where it isn't a number, which is what an unconnected brick answers, or isn't there.
func entries(bricks []xmlHeal, name string) (int64, error) {
	for _, b := range bricks {
		if b.Name != name {
			continue
		}
		var n int64
		if _, err := fmt.Sscanf(b.Entries, "%d", &n); err != nil || b.Status != "Connected" {
			return -1, nil
		}
		if n < 0 {
			return 0, fmt.Errorf("%w: %d entries", ErrAnswer, n)
		}
		return n, nil
	}
	return -1, nil
}
