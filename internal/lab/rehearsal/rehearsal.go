// Package rehearsal writes what the product needs to be rehearsed against a running lab: slipway.yaml, the inventory, the hosts' keys, the secrets that
// slipway.yaml refers to. What belongs to the cloud (its keys) is written beside it by the lab's other parts.
//
// It imports fleet and shop of the lab. It must not import the product: the product reads these files as it would read anybody's.
package rehearsal

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"text/template"

	"github.com/slipway-dev/slipway/internal/lab/fleet"
	"github.com/slipway-dev/slipway/internal/lab/shop"
)

//go:embed slipway.yaml.tmpl inventory.yaml.tmpl values-lab.yaml
var files embed.FS

// Source is what is to be rehearsed.
type Source struct {
	Secrets fleet.Secrets
	Files   int    // in the Gluster volume
	Image   string // path of product 1's picture, in the volume
}

// Write writes the files into dir, which is made if it is missing. Files of an earlier call are replaced; others are left.
func Write(dir string, s Source) error {
	values := struct {
		Site, Volume, Assets, AssetsSize, Image, Customer string
	}{fleet.SiteName, fleet.Volume, fleet.AssetsPath, assetsSize(s.Files), s.Image, shop.Email(1)}
	config, err := render("slipway.yaml.tmpl", values)
	if err != nil {
		return err
	}
	inventory, err := render("inventory.yaml.tmpl", struct{ Groups []group }{groups()})
	if err != nil {
		return err
	}
	lab, err := files.ReadFile("values-lab.yaml")
	if err != nil {
		return err
	}
	known, err := s.Secrets.KnownHosts()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "secrets"), 0o700); err != nil {
		return err
	}
	for _, f := range []struct {
		name    string
		content []byte
		mode    os.FileMode
	}{
		{"slipway.yaml", config, 0o644}, {"inventory.yaml", inventory, 0o644}, {"values-lab.yaml", lab, 0o644},
		{"known_hosts", []byte(known), 0o644}, {"ca.pem", []byte(s.Secrets.CACert), 0o644}, {"id_ed25519", []byte(s.Secrets.SlipwayKey), 0o600},
		secret("mariadb", s.Secrets.SlipwayPassword), secret("redis", s.Secrets.RedisPassword),
		secret("rabbitmq", s.Secrets.QueuePassword), secret("rabbitmq-cookie", s.Secrets.BrokerCookie),
		secret("cloudsql-shop", s.Secrets.CloudShopPassword), secret("cloudsql-slipway", s.Secrets.CloudSlipwayPassword),
		secret("tls.crt", s.Secrets.EdgeCert), secret("tls.key", s.Secrets.EdgeKey), secret("shop-login", shop.Password),
	} {
		if err := replace(filepath.Join(dir, f.name), f.content, f.mode); err != nil {
			return err
		}
	}
	return nil
}

func secret(name, value string) struct {
	name    string
	content []byte
	mode    os.FileMode
} {
	return struct {
		name    string
		content []byte
		mode    os.FileMode
	}{filepath.Join("secrets", name), []byte(value), 0o600}
}

// replace writes a file that is never wider open than mode.
func replace(path string, content []byte, mode os.FileMode) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Chmod(mode), f.Close())
}

// assetsSize leaves room above what the seeder makes: 34 kB a file on average.
func assetsSize(files int) string {
	const mib = 1 << 20
	need := int64(files)*40_000*3/2/mib + 64
	return fmt.Sprintf("%dMiB", need)
}

type group struct {
	Name    string
	Role    fleet.Role
	Virtual netip.Addr
	Hosts   []host
}

type host struct {
	Name string
	Addr netip.Addr
	More string // roles beside the group's
}

func groups() []group {
	list := []group{
		{Name: "edge", Role: fleet.Edge, Virtual: fleet.EdgeAddress}, {Name: "caches", Role: fleet.Cache, Virtual: fleet.CacheAddress}, {Name: "webs", Role: fleet.Web},
		{Name: "redises", Role: fleet.Redis}, {Name: "databases", Role: fleet.Database}, {Name: "assets", Role: fleet.Files},
	}
	for i := range list {
		for _, h := range fleet.Hosts() {
			if h.Role != list[i].Role {
				continue
			}
			more := ""
			switch h.Name {
			case "web1":
				more = "worker, cron"
			case "web2":
				more = "worker"
			case "files1":
				more = "queue"
			}
			list[i].Hosts = append(list[i].Hosts, host{Name: h.Name, Addr: h.Addr, More: more})
		}
	}
	return list
}

func render(name string, values any) ([]byte, error) {
	text, err := files.ReadFile(name)
	if err != nil {
		return nil, err
	}
	t, err := template.New(name).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, values)
	return out.Bytes(), err
}
