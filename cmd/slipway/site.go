package main

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-dev/slipway/internal/config"
	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/strictyaml"
	"github.com/slipway-dev/slipway/inventory"
	"github.com/slipway-dev/slipway/runbooks"
	"github.com/slipway-dev/slipway/steps/cloudsql"
	"github.com/slipway-dev/slipway/steps/cluster"
	"github.com/slipway-dev/slipway/steps/release"
	"github.com/slipway-dev/slipway/steps/release/chart"
	"github.com/slipway-dev/slipway/steps/smoke"
)

// patience is how long a check of the new site waits for pods that have only just become ready.
const patience = 30 * time.Second

// site is what the configuration says is moved.
func site(c *config.Config, inv *inventory.Inventory) (runbooks.Site, error) {
	shape, err := releaseShape(c.Release)
	if err != nil {
		return runbooks.Site{}, &configError{err}
	}
	s := runbooks.Site{
		Name:         c.Source.Site,
		Tool:         tool(),
		Inventory:    inv,
		Clocks:       time.Duration(c.Limits.ClockOffset),
		SnapshotFrom: c.Source.MariaDB.SnapshotFrom,
		Schemas:      c.Source.MariaDB.Databases,
		Volume:       c.Source.Gluster.Volume,
		Project:      c.Google.Project,
		Location:     c.Cluster.Location,
		Cluster:      clusterSpec(c.Cluster),
		Instance:     instanceSpec(c),
		Charset:      c.CloudSQL.Charset,
		Collate:      c.CloudSQL.Collation,
		Namespace:    c.Release.Namespace,
		Mover:        c.Mover.Image,
		Release:      shape,
		Patience:     patience,
		Names:        c.DNS.Names,
		Go:           runbooks.Go{Within: time.Duration(c.Gates.Go.Within)},
		TTL:          seconds(c.DNS.TTL),
		MaxTTL:       seconds(c.DNS.MaxTTL),
	}
	for _, u := range c.CloudSQL.Users {
		s.Accounts = append(s.Accounts, cloudsql.Account{Name: u.Name, Host: u.Host, Password: u.Password})
	}
	for _, o := range c.Release.Secrets {
		s.Secrets = append(s.Secrets, secretObject(o))
	}
	for _, v := range c.Volumes {
		s.Claims = append(s.Claims, kube.Claim{Name: v.Claim, Class: v.StorageClass, Mode: v.Access, Size: quantity(v.Size)})
		if v.From != "" {
			s.Assets = v.Claim
		}
	}
	for _, k := range c.Smoke {
		s.Checks = append(s.Checks, check(k))
	}
	return s, nil
}

func clusterSpec(c config.Cluster) google.ClusterSpec {
	return google.ClusterSpec{
		Version:            c.Version,
		Channel:            c.ReleaseChannel,
		Nodes:              int64(c.Nodes),
		Machine:            c.MachineType,
		DiskGB:             gigabytes(c.DiskSize),
		NodeAccount:        c.NodeAccount,
		Network:            c.Network,
		Subnetwork:         c.Subnetwork,
		AuthorizedNetworks: networks(c.AuthorizedNetworks),
		Filestore:          c.Filestore,
	}
}

func instanceSpec(c *config.Config) google.InstanceSpec {
	q := c.CloudSQL
	spec := google.InstanceSpec{
		Version:            q.Version,
		Region:             c.Google.Region,
		Tier:               q.Tier,
		Edition:            q.Edition,
		Availability:       q.Availability,
		DiskGB:             gigabytes(q.DiskSize),
		AutoResize:         q.DiskGrows,
		PrivateNetwork:     q.PrivateNetwork,
		PublicAddress:      len(q.AuthorizedNetworks) > 0,
		AuthorizedNetworks: networks(q.AuthorizedNetworks),
		ServerCAMode:       q.ServerCAMode,
		LogDays:            int64(q.LogDays),
	}
	for _, f := range q.Flags {
		spec.Flags = append(spec.Flags, google.Flag{Name: f.Key, Value: f.Value})
	}
	return spec
}

func secretObject(o config.Secret) cluster.SecretObject {
	out := cluster.SecretObject{Name: o.Name, Type: o.Type}
	for _, d := range o.Data {
		out.Items = append(out.Items, cluster.SecretItem{Key: d.Key, From: d.From, Fact: google.Fact(d.Instance), Value: d.Value})
	}
	return out
}

func check(k config.Check) smoke.Check {
	out := smoke.Check{Name: k.Name, Method: k.Method, Path: k.Path, Status: k.Status, Location: k.Location, Contains: k.Contains, Asset: k.Asset}
	for _, f := range k.Form {
		out.Form = append(out.Form, smoke.Field{Name: f.Name, Value: f.Value, From: f.From})
	}
	for _, c := range k.Capture {
		out.Capture = append(out.Capture, smoke.Capture{Name: c.Name, Header: c.Header, Pattern: c.Pattern})
	}
	if k.Row != nil {
		out.Row = &smoke.Row{Query: k.Row.Query, Args: k.Row.Args}
	}
	return out
}

// releaseShape loads the chart and lays the files of values over the environment's, the later over the earlier.
func releaseShape(r config.Release) (release.Shape, error) {
	sh := release.Shape{Namespace: r.Namespace, Name: r.Name, Writers: r.Writers, Service: r.Service, Values: map[string]any{}}
	files, err := fs.FS(chart.Files), error(nil)
	if r.Chart != "" {
		files = os.DirFS(string(r.Chart))
	} else if sh.Values, err = chart.Values(chart.Environment(r.Environment)); err != nil {
		return sh, fmt.Errorf("release.environment: %w", err)
	}
	if sh.Chart, err = kube.LoadChart(files); err != nil {
		return sh, fmt.Errorf("release.chart: %w", err)
	}
	for _, path := range r.Values {
		text, err := os.ReadFile(string(path))
		if err != nil {
			return sh, fmt.Errorf("release.values: %w", err)
		}
		var v map[string]any
		if err := yaml.Unmarshal(text, &v); err != nil {
			return sh, fmt.Errorf("release.values: %s: %w", path, err)
		}
		overlay(sh.Values, v)
	}
	for _, f := range r.Instance {
		sh.Facts = append(sh.Facts, release.Setting{Path: f.Key, Fact: google.Fact(f.Value)})
	}
	return sh, nil
}

// overlay lays over on base: maps key by key, all else whole, as helm --values does.
func overlay(base, over map[string]any) {
	for k, v := range over {
		below, ok := base[k].(map[string]any)
		if above, is := v.(map[string]any); ok && is {
			overlay(below, above)
			continue
		}
		base[k] = v
	}
}

func networks(list []netip.Prefix) []string {
	var out []string
	for _, n := range list {
		out = append(out, n.String())
	}
	return out
}

// gigabytes is a size as Google takes it, in GiB that it calls GB. The configuration holds whole ones.
func gigabytes(s strictyaml.Size) int64 { return int64(s) >> 30 }

// quantity is a size as Kubernetes takes it.
func quantity(s strictyaml.Size) string { return fmt.Sprintf("%dMi", int64(s)>>20) }

func seconds(d strictyaml.Duration) int { return int(time.Duration(d) / time.Second) }
