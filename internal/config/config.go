// Package config reads slipway.yaml. It finds all problems at once, each with its line and column; it knows of secrets
// only where they are (secret.Ref) and resolves none.
//
// The steps don't import it: the wiring in cmd fills their fields from it. It imports inventory, and no step, no engine and
// no client.
package config

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/strictyaml"
	"github.com/slipway-dev/slipway/inventory"
)

// Config is slipway.yaml. Paths are absolute or relative to the working directory, no longer to the file. What each key
// means is in example.yaml and docs/slipway-yaml.md.
type Config struct {
	Version   int    `yaml:"version,required" json:"version"`
	Name      string `yaml:"name,required" json:"name"`
	State     Path   `yaml:"state" json:"state"`
	Inventory Path   `yaml:"inventory,required" json:"inventory"`
	CAFile    Path   `yaml:"ca_file" json:"ca_file"`

	SSH       SSH       `yaml:"ssh,required" json:"ssh"`
	Source    Source    `yaml:"source,required" json:"source"`
	Google    Google    `yaml:"google,required" json:"google"`
	Cluster   Cluster   `yaml:"cluster,required" json:"cluster"`
	CloudSQL  CloudSQL  `yaml:"cloudsql,required" json:"cloudsql"`
	Release   Release   `yaml:"release,required" json:"release"`
	Volumes   []Volume  `yaml:"volumes,required" json:"volumes"`
	Mover     Mover     `yaml:"mover,required" json:"mover"`
	DNS       DNS       `yaml:"dns,required" json:"dns"`
	Smoke     []Check   `yaml:"smoke,required" json:"smoke"`
	Steps     []Own     `yaml:"steps" json:"steps"`
	Snapshots Snapshots `yaml:"snapshots" json:"snapshots"`
	Gates     Gates     `yaml:"gates" json:"gates"`
	Limits    Limits    `yaml:"limits" json:"limits"`

	file    *strictyaml.File
	digests []Digest
}

// Path is a file or directory.
type Path string

// SSH is how the hosts are reached.
type SSH struct {
	User       string `yaml:"user,required" json:"user"`
	KnownHosts Path   `yaml:"known_hosts,required" json:"known_hosts"`
	Keys       []Key  `yaml:"keys" json:"keys"`
	Agent      bool   `yaml:"agent" json:"agent"` // the one at $SSH_AUTH_SOCK
	Jump       []Jump `yaml:"jump" json:"jump"`   // outermost first
}

// Key is a private key file. Passphrase may be zero.
type Key struct {
	File       Path       `yaml:"file,required" json:"file"`
	Passphrase secret.Ref `yaml:"passphrase" json:"passphrase"`
}

// Jump is a host through which the others are reached.
type Jump struct {
	Address string `yaml:"address,required" json:"address"`
	Port    int    `yaml:"port" json:"port"` // 0: 22
	User    string `yaml:"user" json:"user"` // "": ssh.user
}

// Source is the site as it runs today.
type Source struct {
	Site    string  `yaml:"site,required" json:"site"` // public host name
	MariaDB MariaDB `yaml:"mariadb,required" json:"mariadb"`
	Gluster Gluster `yaml:"gluster,required" json:"gluster"`
	Redis   Redis   `yaml:"redis" json:"redis"`
}

// MariaDB is the source's database servers: all hosts of role db. They are asked from the host itself, at 127.0.0.1.
type MariaDB struct {
	SnapshotFrom string     `yaml:"snapshot_from,required" json:"snapshot_from"` // host: the standby
	Port         int        `yaml:"port" json:"port"`
	User         string     `yaml:"user,required" json:"user"`
	Password     secret.Ref `yaml:"password,required" json:"password"`
	Databases    []string   `yaml:"databases,required" json:"databases"`
}

// Gluster is the source's volume of assets: its servers are the hosts of role files.
type Gluster struct {
	Volume   string `yaml:"volume,required" json:"volume"`
	ReadFrom string `yaml:"read_from,required" json:"read_from"` // host that has it mounted
	Mount    string `yaml:"mount,required" json:"mount"`         // directory there
}

// Redis is the source's Redis servers: all hosts of role redis.
type Redis struct {
	Password secret.Ref `yaml:"password" json:"password"`
}

// Google is the project that the site moves to.
type Google struct {
	Project     string     `yaml:"project,required" json:"project"`
	Region      string     `yaml:"region,required" json:"region"`
	Credentials secret.Ref `yaml:"credentials,required" json:"credentials"` // a service account's key
	Endpoints   Endpoints  `yaml:"endpoints" json:"endpoints"`
}

// Endpoints are the APIs' addresses where they aren't Google's own.
type Endpoints struct {
	SQLAdmin        string `yaml:"sqladmin" json:"sqladmin"`
	Container       string `yaml:"container" json:"container"`
	DNS             string `yaml:"dns" json:"dns"`
	ResourceManager string `yaml:"resource_manager" json:"resource_manager"`
	Storage         string `yaml:"storage" json:"storage"`
}

// Cluster is the cluster that a run creates.
type Cluster struct {
	Location           string          `yaml:"location" json:"location"` // zone or region; google.region if left out
	Nodes              int             `yaml:"nodes,required" json:"nodes"`
	MachineType        string          `yaml:"machine_type,required" json:"machine_type"`
	DiskSize           strictyaml.Size `yaml:"disk_size" json:"disk_size"`
	ReleaseChannel     string          `yaml:"release_channel" json:"release_channel"`
	Version            string          `yaml:"version" json:"version"`
	Network            string          `yaml:"network" json:"network"`
	Subnetwork         string          `yaml:"subnetwork" json:"subnetwork"`
	NodeAccount        string          `yaml:"node_account" json:"node_account"`
	AuthorizedNetworks []netip.Prefix  `yaml:"authorized_networks" json:"authorized_networks"`
	Filestore          bool            `yaml:"filestore" json:"filestore"`
}

// CloudSQL is the instance that a run creates.
type CloudSQL struct {
	Version            string           `yaml:"version,required" json:"version"`
	Tier               string           `yaml:"tier,required" json:"tier"`
	Edition            string           `yaml:"edition" json:"edition"`
	Availability       string           `yaml:"availability" json:"availability"`
	DiskSize           strictyaml.Size  `yaml:"disk_size,required" json:"disk_size"`
	DiskGrows          bool             `yaml:"disk_grows" json:"disk_grows"`
	PrivateNetwork     string           `yaml:"private_network" json:"private_network"`
	AuthorizedNetworks []netip.Prefix   `yaml:"authorized_networks" json:"authorized_networks"`
	ServerCAMode       string           `yaml:"server_ca_mode" json:"server_ca_mode"`
	LogDays            int              `yaml:"log_days" json:"log_days"`
	Flags              strictyaml.Pairs `yaml:"flags" json:"flags"`
	Charset            string           `yaml:"charset" json:"charset"`
	Collation          string           `yaml:"collation" json:"collation"`
	Users              []User           `yaml:"users,required" json:"users"`
	LoadAs             string           `yaml:"load_as,required" json:"load_as"` // one of Users: copies and verifies
}

// User is an account of the instance.
type User struct {
	Name     string     `yaml:"name,required" json:"name"`
	Host     string     `yaml:"host" json:"host"`
	Password secret.Ref `yaml:"password,required" json:"password"`
}

// Release is what Helm installs.
type Release struct {
	Chart       Path             `yaml:"chart" json:"chart"`             // "": the built-in chart
	Environment string           `yaml:"environment" json:"environment"` // of the built-in chart
	Name        string           `yaml:"name" json:"name"`
	Namespace   string           `yaml:"namespace" json:"namespace"`
	Values      []Path           `yaml:"values" json:"values"`
	Writers     string           `yaml:"writers" json:"writers"`   // path of the value that switches the writers on
	Service     string           `yaml:"service" json:"service"`   // of type LoadBalancer, at which the site is reached
	Instance    strictyaml.Pairs `yaml:"instance" json:"instance"` // path of a value: fact of the instance
	Secrets     []Secret         `yaml:"secrets,required" json:"secrets"`
}

// Facts of the database instance that the release's values and secrets can be given.
var facts = []string{"host", "address", "port", "ca"}

// Secret is a Kubernetes Secret that the release needs.
type Secret struct {
	Name string  `yaml:"name,required" json:"name"`
	Type string  `yaml:"type" json:"type"`
	Data []Datum `yaml:"data,required" json:"data"`
}

// Datum is one key of a Secret: a secret, a fact of the instance, or a text that isn't secret.
type Datum struct {
	Key      string     `yaml:"key,required" json:"key"`
	From     secret.Ref `yaml:"from" json:"from"`
	Instance string     `yaml:"instance" json:"instance"`
	Value    string     `yaml:"value" json:"value"`
}

// Volume is a claim in the cluster.
type Volume struct {
	Claim        string          `yaml:"claim,required" json:"claim"`
	Size         strictyaml.Size `yaml:"size,required" json:"size"`
	Access       string          `yaml:"access,required" json:"access"`
	StorageClass string          `yaml:"storage_class" json:"storage_class"` // "": the cluster's default
	From         string          `yaml:"from" json:"from"`                   // gluster, or "" for one that starts empty
}

// Mover is the pod that writes files into claims.
type Mover struct {
	Image string `yaml:"image,required" json:"image"`
}

// DNS is the names that point at the site. Their name servers are those that the zones name.
type DNS struct {
	Provider   string              `yaml:"provider,required" json:"provider"` // of both zones: ovh or clouddns
	OVH        *OVH                `yaml:"ovh" json:"ovh"`
	Production Zone                `yaml:"production,required" json:"production"` // only asked, never changed by a rehearsal
	Rehearsal  Zone                `yaml:"rehearsal,required" json:"rehearsal"`   // where a rehearsal changes records
	Names      []string            `yaml:"names,required" json:"names"`           // relative to the zone; "@" is the zone itself
	TTL        strictyaml.Duration `yaml:"ttl,required" json:"ttl"`
	MaxTTL     strictyaml.Duration `yaml:"max_ttl" json:"max_ttl"` // of production's names on the night
}

// Zone is a zone of the provider's.
type Zone struct {
	Zone        string `yaml:"zone,required" json:"zone"`        // lower case, no dot at the end
	ManagedZone string `yaml:"managed_zone" json:"managed_zone"` // provider clouddns: its name there
}

// OVH is an application at OVH's API, with a consumer key that may read both zones and change the rehearsal's alone.
type OVH struct {
	Endpoint          string     `yaml:"endpoint" json:"endpoint"` // ovh-eu, ovh-ca, ovh-us or an address
	ApplicationKey    secret.Ref `yaml:"application_key,required" json:"application_key"`
	ApplicationSecret secret.Ref `yaml:"application_secret,required" json:"application_secret"`
	ConsumerKey       secret.Ref `yaml:"consumer_key,required" json:"consumer_key"`
}

// Check is one request to the new site, sent to its address with the site's public name. {name} in Path, Form's values,
// Location, Contains, Asset and Row's arguments stands for what an earlier check captured; {{ and }} stand for braces.
type Check struct {
	Name     string    `yaml:"name,required" json:"name"`
	Method   string    `yaml:"method" json:"method"`
	Path     string    `yaml:"path,required" json:"path"`
	Form     []Field   `yaml:"form" json:"form"`
	Status   int       `yaml:"status" json:"status"`
	Location string    `yaml:"location" json:"location"` // what a redirect's must begin with
	Contains []string  `yaml:"contains" json:"contains"`
	Asset    string    `yaml:"asset" json:"asset"` // file of the source's volume whose bytes the answer must be
	Row      *Row      `yaml:"row" json:"row"`
	Capture  []Capture `yaml:"capture" json:"capture"`
}

// Field is one of a form's: a text, or a secret.
type Field struct {
	Name  string     `yaml:"name,required" json:"name"`
	Value string     `yaml:"value" json:"value"`
	From  secret.Ref `yaml:"from" json:"from"`
}

// Capture keeps a part of the answer for later checks.
type Capture struct {
	Name    string `yaml:"name,required" json:"name"`
	Header  string `yaml:"header" json:"header"`            // of this header; "": of the body
	Pattern string `yaml:"pattern,required" json:"pattern"` // RE2 with one group
}

// Row asks the new database; the answer must contain every column of the first row.
type Row struct {
	Query string   `yaml:"query,required" json:"query"`
	Args  []string `yaml:"args" json:"args"`
}

// Snapshots is where artifacts are kept.
type Snapshots struct {
	Directory Path   `yaml:"directory" json:"directory"`
	Bucket    string `yaml:"bucket" json:"bucket"` // gs://bucket/prefix, in the directory's place; "": none
}

// InBucket splits Bucket into the bucket's name and what the names in it begin with.
func (s Snapshots) InBucket() (bucket, prefix string) {
	bucket, prefix, _ = strings.Cut(strings.TrimPrefix(s.Bucket, "gs://"), "/")
	return bucket, prefix
}

// Gates are what a run waits at for a person's word.
type Gates struct {
	Go Gate `yaml:"go" json:"go"` // before the names are flipped
}

// Gate is one of them.
type Gate struct {
	Within strictyaml.Duration `yaml:"within" json:"within"` // after it opened: without a word by then the run turns back
}

// Limits are of this machine and of patience; they don't change what a run does.
type Limits struct {
	Hosts       int                 `yaml:"hosts" json:"hosts"`               // asked at once
	Connect     strictyaml.Duration `yaml:"connect" json:"connect"`           // to log in to a host
	ClockOffset strictyaml.Duration `yaml:"clock_offset" json:"clock_offset"` // between any two hosts
}

func defaults() *Config {
	return &Config{
		State:     ".slipway",
		Source:    Source{MariaDB: MariaDB{Port: 3306}},
		Cluster:   Cluster{DiskSize: 50 << 30, ReleaseChannel: "REGULAR"},
		CloudSQL:  CloudSQL{Edition: "ENTERPRISE", Availability: "ZONAL", ServerCAMode: "GOOGLE_MANAGED_CAS_CA", LogDays: 7, Charset: "utf8mb4", Collation: "utf8mb4_0900_ai_ci"},
		Release:   Release{Environment: "production", Name: "shop", Namespace: "shop", Writers: "writers.enabled", Service: "shop-edge", Instance: strictyaml.Pairs{{Key: "database.host", Value: "host"}, {Key: "database.address", Value: "address"}}},
		DNS:       DNS{MaxTTL: strictyaml.Duration(5 * time.Minute)},
		Snapshots: Snapshots{Directory: "snapshots"},
		Gates:     Gates{Go: Gate{Within: strictyaml.Duration(2 * time.Hour)}},
		Limits:    Limits{Hosts: 32, Connect: strictyaml.Duration(10 * time.Second), ClockOffset: strictyaml.Duration(500 * time.Millisecond)},
	}
}

// Example is a slipway.yaml with comments that loads beside inventory.Example.
//
//go:embed example.yaml
var Example string

// missingError is a configuration that isn't there.
type missingError struct{ path string }

func (e missingError) Error() string { return e.path + " does not exist; type: slipway init" }

// Is says that it is fs.ErrNotExist.
func (missingError) Is(target error) bool { return target == fs.ErrNotExist }

// Load reads slipway.yaml and the inventory that it names, and checks each and both together. All problems of both files
// come at once, as strictyaml.Problems; what is wrong with reading them is an error of another type.
func Load(path string) (*Config, *inventory.Inventory, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, missingError{path}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read configuration: %w", err)
	}
	c := parse(path, text)
	var inv *inventory.Inventory
	var others strictyaml.Problems
	if c.Inventory != "" {
		var err error
		inv, err = inventory.Load(string(c.Inventory))
		switch {
		case errors.As(err, &others):
		case errors.Is(err, os.ErrNotExist):
			c.file.Problem("inventory", fmt.Sprintf("%s does not exist", c.Inventory), "type: slipway init")
		case err != nil:
			c.file.Problem("inventory", err.Error(), "")
		default:
			c.against(inv)
		}
	}
	c.readFiles()
	var mine strictyaml.Problems
	errors.As(c.file.Err(), &mine)
	if all := append(mine, others...); len(all) > 0 {
		return nil, nil, all
	}
	return c, inv, nil
}

// Parse reads a text and checks it, without the inventory and without looking at any file. name is the file's path.
func Parse(name string, text []byte) (*Config, error) {
	c := parse(name, text)
	if err := c.file.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

func parse(name string, text []byte) *Config {
	c := defaults()
	c.file = strictyaml.Decode(name, text, c)
	c.fill()
	c.check()
	digests(&c.digests, "", reflect.ValueOf(c).Elem()) // of the paths as written: a resume may come from another directory
	c.resolve(filepath.Dir(name))
	return c
}

// fill gives what depends on other keys its default.
func (c *Config) fill() {
	if c.Cluster.Location == "" {
		c.Cluster.Location = c.Google.Region
	}
	for i := range c.CloudSQL.Users {
		if c.CloudSQL.Users[i].Host == "" {
			c.CloudSQL.Users[i].Host = "%"
		}
	}
	for i := range c.Release.Secrets {
		if c.Release.Secrets[i].Type == "" {
			c.Release.Secrets[i].Type = "Opaque"
		}
	}
	for i := range c.Smoke {
		s := &c.Smoke[i]
		if s.Method == "" {
			s.Method = "GET"
		}
		if s.Status == 0 {
			s.Status = 200
		}
	}
	if o := c.DNS.OVH; o != nil && o.Endpoint == "" {
		o.Endpoint = "ovh-eu"
	}
}

// resolve makes paths and references relative to the file's directory.
func (c *Config) resolve(dir string) {
	walk(reflect.ValueOf(c).Elem(), func(v reflect.Value) bool {
		switch x := v.Addr().Interface().(type) {
		case *Path:
			if *x != "" && !filepath.IsAbs(string(*x)) {
				*x = Path(filepath.Join(dir, string(*x)))
			}
		case *secret.Ref:
			*x = x.In(dir)
			return false
		}
		return true
	})
}

// walk visits every value inside v; visit says whether to go into it.
func walk(v reflect.Value, visit func(reflect.Value) bool) {
	if !visit(v) {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				walk(v.Field(i), visit)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), visit)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			walk(v.Elem(), visit)
		}
	}
}

// Place is where a setting stands, as "slipway.yaml:12:3", for errors that only show when it is used.
func (c *Config) Place(path string) string { return c.file.Place(path) }

// fqdn is a record's name in a zone, without the dot at the end.
func fqdn(name, zone string) string {
	if name == "@" {
		return zone
	}
	return strings.ToLower(name) + "." + zone
}
