package cloud

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/slipway-dev/slipway/internal/lab/cloud/ovh"
	"github.com/slipway-dev/slipway/internal/lab/names"
)

// Roles of the service account that a rehearsal uses.
var Roles = []string{
	"roles/browser", "roles/cloudsql.admin", "roles/container.admin", "roles/dns.admin", "roles/serviceusage.serviceUsageConsumer", "roles/storage.admin",
}

// ViewerRoles let everything be seen and nothing be changed.
var ViewerRoles = []string{
	"roles/browser", "roles/cloudsql.viewer", "roles/container.clusterViewer", "roles/dns.reader", "roles/serviceusage.serviceUsageConsumer", "roles/storage.objectViewer",
}

// Credential is a file with a secret.
type Credential struct {
	Name    string
	Content []byte
}

// Credentials makes keys: for a rehearsal (all of the project; OVH: reads zones,
// writes the rehearsal's alone), for one that may only look, and OVH's for one
// that may do anything: no rehearsal takes that one.
func (c *Cloud) Credentials() ([]Credential, error) {
	var out []Credential
	for _, a := range []struct {
		id    string
		file  string
		roles []string
	}{{"slipway", "google.json", Roles}, {"slipway-viewer", "google-viewer.json", ViewerRoles}} {
		key, err := c.OAuth.CreateAccount(a.id, a.roles...)
		if err != nil {
			return nil, err
		}
		out = append(out, Credential{a.file, key})
	}
	read := []ovh.Rule{{Method: "GET", Path: "/domain/zone"}, {Method: "GET", Path: "/domain/zone/*"}}
	write := slices.Clone(read)
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		write = append(write, ovh.Rule{Method: method, Path: "/domain/zone/" + names.Rehearsal + "/*"})
	}
	var all []ovh.Rule
	for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
		all = append(all, ovh.Rule{Method: method, Path: "/*"})
	}
	for _, a := range []struct {
		prefix string
		rules  []ovh.Rule
	}{{"ovh-", write}, {"ovh-viewer-", read}, {"ovh-owner-", all}} {
		key, err := c.OVH.Grant(a.rules...)
		if err != nil {
			return nil, err
		}
		out = append(out,
			Credential{a.prefix + "application-key", []byte(key.ApplicationKey)},
			Credential{a.prefix + "application-secret", []byte(key.ApplicationSecret)},
			Credential{a.prefix + "consumer-key", []byte(key.ConsumerKey)})
	}
	return out, nil
}

// WriteCredentials writes files that their owner alone can read.
func WriteCredentials(dir string, list []Credential) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, c := range list {
		path := filepath.Join(dir, c.Name)
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return err
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(append(c.Content, '\n'))
		if closed := f.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	return nil
}
