package scan

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"

	"github.com/slipway-dev/slipway/internal/errlist"
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
type Option struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Brick is one brick. The counts are of entries (files and directories), and -1 where the brick could not be asked.
type Brick struct {
	Host        string `json:"host"` // as Gluster names it
	Path        string `json:"path"`
	Online      bool   `json:"online"`
	Arbiter     bool   `json:"arbiter"`
	Heals       int64  `json:"heals"`        // that wait to be healed
	Healing     int64  `json:"healing"`      // that are being healed, or are just being written
	SplitBrains int64  `json:"split_brains"` // of which no copy is known to be right
}

// Name is what Gluster calls it: host:path.
func (b Brick) Name() string { return b.Host + ":" + b.Path }

// Peer is a server of the pool; the one that was asked calls itself localhost.
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

// An entry that is just being written looks like one that is being healed. What was only written is gone at the next look.
const (
	healLooks = 4
	healPause = time.Second
)

// Gluster asks for a volume, and while entries seem to be healing, again, a few times. The servers are asked one after the
// other until one answers; the error has why each did not.
func (s Source) Gluster(ctx context.Context, volume string) (*Volume, error) {
	var hosts []string
	for _, h := range s.Inventory.With(inventory.Files) {
		hosts = append(hosts, h.Name)
	}
	if len(hosts) == 0 {
		return nil, errors.New("no host of the inventory has the role files")
	}
	return GlusterOn(ctx, s.Looker, hosts, volume)
}

// GlusterOn is Source.Gluster, of servers that are known without an inventory.
func GlusterOn(ctx context.Context, l remote.Looker, hosts []string, volume string) (*Volume, error) {
	for look := 1; ; look++ {
		v, err := gluster(ctx, l, hosts, volume)
		if err != nil || look == healLooks || !slices.ContainsFunc(v.Bricks, func(b Brick) bool { return b.Healing > 0 }) {
			return v, err
		}
		select {
		case <-time.After(healPause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func gluster(ctx context.Context, l remote.Looker, hosts []string, volume string) (*Volume, error) {
	q, err := remote.GlusterState(volume)
	if err != nil {
		return nil, err
	}
	var all *multierror.Error
	for _, host := range hosts {
		out, err := l.Look(ctx, host, q)
		if err == nil {
			var v *Volume
			if v, err = parseGluster(out.Stdout, out.Stderr); err == nil {
				v.AskedOn = host
				return v, nil
			}
			err = fmt.Errorf("%s: gluster volume %s: %w", host, volume, err)
		}
		all = multierror.Append(all, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errlist.OrNil(all)
}

// The XML of the gluster command line (--xml), as Gluster 9 and 10 write it.
type (
	cliOutput struct {
		OpRet    int         `xml:"opRet"`
		OpErrstr string      `xml:"opErrstr"`
		Volumes  []xmlVolume `xml:"volInfo>volumes>volume"`
		Nodes    []xmlNode   `xml:"volStatus>volumes>volume>node"`
		Heal     []xmlHeal   `xml:"healInfo>bricks>brick"`
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
	// xmlHeal is of "info summary". The numbers are "-" where the brick could not be asked.
	xmlHeal struct {
		Name    string `xml:"name"`
		Status  string `xml:"status"`
		Pending string `xml:"numberOfEntriesInHealPending"`
		Split   string `xml:"numberOfEntriesInSplitBrain"`
		Healing string `xml:"numberOfEntriesPossiblyHealing"`
	}
)

func parseGluster(stdout, stderr []byte) (*Volume, error) {
	all, err := parseSections(stdout, stderr)
	if err != nil {
		return nil, err
	}
	var out [3]cliOutput
	for i, name := range []string{"info", "status", "heal"} {
		s, ok := all[name]
		if !ok {
			return nil, fmt.Errorf("%w: section %s is missing", ErrAnswer, name)
		}
		// status fails for a volume that isn't started, and so does heal: info says so better.
		if i > 0 && len(out[0].Volumes) == 1 && out[0].Volumes[0].Status != "Started" {
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
		brick.Heals, brick.Healing, brick.SplitBrains = counts(out[2].Heal, b.Name)
		v.Bricks = append(v.Bricks, brick)
	}
	if v.Peers, err = parsePeers(all["peers"]); err != nil {
		return nil, fmt.Errorf("peers: %w", err)
	}
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

// counts finds a brick's numbers; -1 where they are no numbers, which is what a brick that isn't connected answers.
func counts(bricks []xmlHeal, name string) (pending, healing, split int64) {
	i := slices.IndexFunc(bricks, func(b xmlHeal) bool { return b.Name == name })
	if i < 0 || bricks[i].Status != "Connected" {
		return -1, -1, -1
	}
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 {
			return -1
		}
		return n
	}
	return number(bricks[i].Pending), number(bricks[i].Healing), number(bricks[i].Split)
}

// parsePeers reads the table of gluster pool list: UUID Hostname State. (With --xml it would be another command to sudo.)
func parsePeers(s section) ([]Peer, error) {
	if s.status != 0 {
		return nil, errors.New(s.why())
	}
	var out []Peer
	for line, p := range rows(s.text) {
		if p[0] == "UUID" {
			continue
		}
		if len(p) < 3 {
			return nil, fmt.Errorf("%w: %v", ErrAnswer, odd(line))
		}
		out = append(out, Peer{p[1], p[2] == "Connected", strings.Join(p[2:], " ")})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: it tells of no servers", ErrAnswer)
	}
	slices.SortFunc(out, func(a, b Peer) int { return cmp.Compare(a.Host, b.Host) })
	return out, nil
}
