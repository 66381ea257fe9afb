package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/strictyaml"
	"github.com/slipway-dev/slipway/inventory"
)

// Forms of names, with who says so.
var (
	// RFC 1123 label, as Kubernetes wants it of objects (apimachinery, validation.IsDNS1123Label).
	label = form{regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`), "use lower-case letters, digits and dashes, at most 63"}
	// RFC 1123 subdomain, as Kubernetes wants it of Secrets and claims.
	objectName = form{regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`), "use lower-case letters, digits, dashes and dots"}
	// Keys of a Secret (apimachinery, validation.IsConfigMapKey).
	secretKey = form{regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`), "use letters, digits, dashes, dots and underscores"}
	// https://cloud.google.com/resource-manager/docs/creating-managing-projects; a domain-scoped one has a prefix.
	projectID = form{regexp.MustCompile(`^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$`), "a project's ID has 6 to 30 lower-case letters, digits and dashes"}
	bucketURL = form{regexp.MustCompile(`^gs://[a-z0-9][a-z0-9_.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)*/?$`), "write gs://bucket or gs://bucket/prefix"}
	region    = form{regexp.MustCompile(`^[a-z]+-[a-z]+[0-9]{1,2}$`), "write a region such as europe-west9"}
	location  = form{regexp.MustCompile(`^[a-z]+-[a-z]+[0-9]{1,2}(-[a-z])?$`), "write a zone such as europe-west9-a, or a region"}
	sqlName   = form{regexp.MustCompile(`^[0-9A-Za-z_$][0-9A-Za-z_$-]{0,63}$`), "use letters, digits, underscores and dashes, at most 64"}
	sqlUser   = form{regexp.MustCompile(`^[0-9A-Za-z_.-]{1,32}$`), "use letters, digits, underscores, dots and dashes, at most 32"} // MySQL: 32 characters
	flagName  = form{regexp.MustCompile(`^[a-z][a-z0-9_.]*$`), "flags have lower-case names with underscores"}
	version   = form{regexp.MustCompile(`^MYSQL_[0-9]+_[0-9]+(_[0-9]+)?$`), "write a version as Cloud SQL does: MYSQL_8_4, MYSQL_9_7"}
	hostName  = form{regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`), "write a whole name in lower case without a dot at the end, and other letters as xn--"}
	userName  = form{regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`), "write a login name"}
	valuePath = form{regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z][A-Za-z0-9_-]*)*$`), "write the path of a value of the chart, such as database.host"}
	captureID = form{regexp.MustCompile(`^[a-z][a-z0-9_]*$`), "use lower-case letters, digits and underscores"}
	volumeID  = form{regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,254}$`), "use letters, digits, underscores and dashes"}
)

type form struct {
	re     *regexp.Regexp
	remedy string
}

// must notes a value that isn't of a form. An empty one is a missing key, which is noted already, or one that may be left out.
func (c *Config) must(path, value string, f form) {
	if value != "" && !f.re.MatchString(value) {
		c.file.Problem(path, fmt.Sprintf("%q won't do", value), f.remedy)
	}
}

func (c *Config) oneOf(path, value string, allowed ...string) {
	if value != "" && !slices.Contains(allowed, value) {
		c.file.Problem(path, fmt.Sprintf("%q won't do", value), "write one of "+strings.Join(allowed, ", "))
	}
}

func (c *Config) between(path string, value, least, most int) {
	if c.file.Has(path) && (value < least || value > most) {
		c.file.Problem(path, fmt.Sprintf("%d won't do", value), fmt.Sprintf("write a number from %d to %d", least, most))
	}
}

func (c *Config) notEmpty(path string, n int) {
	if c.file.Has(path) && n == 0 {
		c.file.Problem(path, "the list is empty", "")
	}
}

// once gives a function that notes what is there twice.
func (c *Config) once(what string) func(path, value string) {
	seen := map[string]string{}
	return func(path, value string) {
		if first, again := seen[value]; again && value != "" {
			c.file.Problem(path, fmt.Sprintf("%s %s is there already, at %s", what, value, c.file.Place(first)), "")
			return
		}
		seen[value] = path
	}
}

func (c *Config) check() {
	if c.file.Has("version") && c.Version != 1 {
		c.file.Problem("version", fmt.Sprintf("version %d is unknown", c.Version), "write 1")
	}
	c.must("name", c.Name, label)
	c.checkSSH()
	c.checkSource()
	c.checkGoogle()
	c.checkCloudSQL()
	c.checkRelease()
	c.checkVolumes()
	c.checkDNS()
	c.checkSmoke()
	c.checkSteps()
	c.between("limits.hosts", c.Limits.Hosts, 1, 1000)
	for _, l := range []struct {
		path string
		d    strictyaml.Duration
	}{{"limits.connect", c.Limits.Connect}, {"limits.clock_offset", c.Limits.ClockOffset}, {"gates.go.within", c.Gates.Go.Within}} {
		if l.d == 0 && c.file.Has(l.path) {
			c.file.Problem(l.path, "no time at all won't do", "")
		}
	}
}

func (c *Config) checkSSH() {
	c.must("ssh.user", c.SSH.User, userName)
	if c.file.Has("ssh") && len(c.SSH.Keys) == 0 && !c.SSH.Agent {
		c.file.Problem("ssh", "there is no way to log in", "name a file under ssh.keys, or write agent: true")
	}
	for i, j := range c.SSH.Jump {
		at := strictyaml.Index("ssh.jump", i)
		c.between(at+".port", j.Port, 1, 65535)
		c.must(at+".user", j.User, userName)
		c.address(at+".address", j.Address)
	}
}

// address notes what is neither an IP address nor a host name.
func (c *Config) address(path, value string) {
	if _, err := netip.ParseAddr(value); err != nil && !label.re.MatchString(value) {
		c.must(path, value, hostName)
	}
}

func (c *Config) checkSource() {
	c.must("source.site", c.Source.Site, hostName)
	m := c.Source.MariaDB
	c.between("source.mariadb.port", m.Port, 1, 65535)
	c.must("source.mariadb.user", m.User, sqlUser)
	c.notEmpty("source.mariadb.databases", len(m.Databases))
	once := c.once("database")
	for i, d := range m.Databases {
		at := strictyaml.Index("source.mariadb.databases", i)
		c.must(at, d, sqlName)
		once(at, d)
		if slices.Contains([]string{"mysql", "sys", "information_schema", "performance_schema"}, strings.ToLower(d)) {
			c.file.Problem(at, d+" is the server's own and is not moved", "take it out")
		}
	}
	g := c.Source.Gluster
	c.must("source.gluster.volume", g.Volume, volumeID)
	if g.Mount != "" && (!strings.HasPrefix(g.Mount, "/") || strings.Contains(g.Mount+"/", "/../")) {
		c.file.Problem("source.gluster.mount", fmt.Sprintf("%q won't do", g.Mount), "write the whole path of the directory, from /")
	}
}

func (c *Config) checkGoogle() {
	c.must("google.project", c.Google.Project, projectID)
	c.must("google.region", c.Google.Region, region)
	e := c.Google.Endpoints
	c.https("google.endpoints.sqladmin", e.SQLAdmin)
	c.https("google.endpoints.container", e.Container)
	c.https("google.endpoints.dns", e.DNS)
	c.https("google.endpoints.resource_manager", e.ResourceManager)
	c.https("google.endpoints.storage", e.Storage)
	c.must("snapshots.bucket", c.Snapshots.Bucket, bucketURL)

	k := c.Cluster
	c.must("cluster.location", k.Location, location)
	c.between("cluster.nodes", k.Nodes, 1, 1000)
	c.gibibytes("cluster.disk_size", k.DiskSize, 10)
	c.oneOf("cluster.release_channel", k.ReleaseChannel, "RAPID", "REGULAR", "STABLE", "EXTENDED")
	if k.Location != "" && c.Google.Region != "" && !strings.HasPrefix(k.Location, c.Google.Region) {
		c.file.Problem("cluster.location", fmt.Sprintf("%s is not in google.region, %s", k.Location, c.Google.Region), "cluster and database must be near each other")
	}
}

func (c *Config) https(path, value string) {
	if value == "" {
		return
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		c.file.Problem(path, "not an address of an API", "write https://host/, without user, password or query")
	}
}

func (c *Config) gibibytes(path string, s strictyaml.Size, least int64) {
	if c.file.Has(path) && (int64(s)%(1<<30) != 0 || int64(s) < least<<30) {
		c.file.Problem(path, fmt.Sprintf("%s won't do", s), fmt.Sprintf("write whole GiB, at least %dGiB", least))
	}
}

func (c *Config) checkCloudSQL() {
	s := c.CloudSQL
	c.must("cloudsql.version", s.Version, version)
	c.oneOf("cloudsql.edition", s.Edition, "ENTERPRISE", "ENTERPRISE_PLUS")
	c.oneOf("cloudsql.availability", s.Availability, "ZONAL", "REGIONAL")
	c.oneOf("cloudsql.server_ca_mode", s.ServerCAMode, "GOOGLE_MANAGED_INTERNAL_CA", "GOOGLE_MANAGED_CAS_CA")
	c.gibibytes("cloudsql.disk_size", s.DiskSize, 10)
	// Binary logs are kept 1 to 7 days, 35 with Enterprise Plus: https://cloud.google.com/sql/docs/mysql/backup-recovery/pitr.
	most := 7
	if s.Edition == "ENTERPRISE_PLUS" {
		most = 35
	}
	c.between("cloudsql.log_days", s.LogDays, 1, most)
	if c.file.Has("cloudsql") && s.PrivateNetwork == "" && len(s.AuthorizedNetworks) == 0 {
		c.file.Problem("cloudsql", "nobody could reach the instance", "give it private_network, or authorized_networks for its public address")
	}
	for i, n := range s.AuthorizedNetworks {
		if n.Bits() == 0 {
			c.file.Problem(strictyaml.Index("cloudsql.authorized_networks", i), "that is everybody", "name the networks that may reach the database")
		}
	}
	for _, f := range s.Flags {
		c.must("cloudsql.flags."+f.Key, f.Key, flagName)
	}
	c.notEmpty("cloudsql.users", len(s.Users))
	once := c.once("user")
	var names []string
	for i, u := range s.Users {
		at := strictyaml.Index("cloudsql.users", i)
		c.must(at+".name", u.Name, sqlUser)
		if u.Name != "" {
			once(at+".name", u.Name+"@"+u.Host)
		}
		names = append(names, u.Name)
	}
	c.user("cloudsql.load_as", s.LoadAs, names)
}

func (c *Config) user(path, name string, known []string) {
	if name != "" && len(known) > 0 && !slices.Contains(known, name) {
		c.file.Problem(path, fmt.Sprintf("%s is not one of cloudsql.users", name), strictyaml.Suggest(name, known))
	}
}

func (c *Config) checkRelease() {
	r := c.Release
	// Helm's own limit is 53 characters (helm.sh/helm, chartutil.ValidateReleaseName).
	c.must("release.name", r.Name, form{regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?$`), "use lower-case letters, digits and dashes, at most 53"})
	c.must("release.namespace", r.Namespace, label)
	if r.Namespace == "default" || strings.HasPrefix(r.Namespace, "kube-") {
		c.file.Problem("release.namespace", r.Namespace+" is the cluster's own", "give the release a namespace of its own")
	}
	if r.Chart != "" && c.file.Has("release.environment") {
		c.file.Problem("release.environment", "it is of the built-in chart, and release.chart names another", "take it out, and use values")
	}
	c.oneOf("release.environment", r.Environment, "development", "staging", "production")
	c.must("release.service", r.Service, objectName)
	c.must("release.writers", r.Writers, valuePath)
	for _, f := range r.Instance {
		at := strictyaml.Join("release.instance", f.Key)
		c.must(at, f.Key, valuePath)
		c.oneOf(at, f.Value, facts...)
	}
	once := c.once("secret")
	for i, s := range r.Secrets {
		at := strictyaml.Index("release.secrets", i)
		c.must(at+".name", s.Name, objectName)
		once(at+".name", s.Name)
		c.oneOf(at+".type", s.Type, "Opaque", "kubernetes.io/tls", "kubernetes.io/dockerconfigjson", "kubernetes.io/basic-auth")
		c.notEmpty(at+".data", len(s.Data))
		keys := c.once("key")
		var have []string
		for j, d := range s.Data {
			at := strictyaml.Index(at+".data", j)
			c.must(at+".key", d.Key, secretKey)
			keys(at+".key", d.Key)
			have = append(have, d.Key)
			switch n := boolInt(!d.From.IsZero()) + boolInt(d.Instance != "") + boolInt(d.Value != ""); {
			case n > 1:
				c.file.Problem(at, "it has several of from, instance and value", "leave one")
			case n == 0 && !c.file.Has(at+".from") && !c.file.Has(at+".instance") && !c.file.Has(at+".value"):
				c.file.Problem(at, "it has no from, instance or value", "give it one")
			}
			c.oneOf(at+".instance", d.Instance, facts...)
		}
		for _, need := range map[string][]string{"kubernetes.io/tls": {"tls.crt", "tls.key"}, "kubernetes.io/dockerconfigjson": {".dockerconfigjson"}}[s.Type] {
			if !slices.Contains(have, need) {
				c.file.Problem(at+".data", fmt.Sprintf("a secret of type %s needs the key %s", s.Type, need), "")
			}
		}
	}
}

func (c *Config) checkVolumes() {
	once, from := c.once("claim"), 0
	for i, v := range c.Volumes {
		at := strictyaml.Index("volumes", i)
		c.must(at+".claim", v.Claim, objectName)
		once(at+".claim", v.Claim)
		c.must(at+".storage_class", v.StorageClass, objectName)
		c.oneOf(at+".access", v.Access, "ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod")
		c.oneOf(at+".from", v.From, "gluster")
		if c.file.Has(at+".size") && v.Size < 1<<20 {
			c.file.Problem(at+".size", fmt.Sprintf("%s won't do", v.Size), "write at least 1MiB")
		}
		if v.From == "gluster" {
			from++
			if v.Access == "ReadOnlyMany" {
				c.file.Problem(at+".access", "a claim that files are copied into must be writable", "write ReadWriteMany")
			}
		}
	}
	if c.file.Has("volumes") && from != 1 {
		c.file.Problem("volumes", fmt.Sprintf("%d claims are filled from gluster", from), "write from: gluster at exactly one")
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// against checks what names a host.
func (c *Config) against(inv *inventory.Inventory) {
	c.host(inv, "source.mariadb.snapshot_from", c.Source.MariaDB.SnapshotFrom, inventory.DB)
	c.host(inv, "source.gluster.read_from", c.Source.Gluster.ReadFrom, "")
	for i, s := range c.Steps {
		c.host(inv, strictyaml.Index("steps", i)+".host", s.Host, "")
	}
	if len(inv.With(inventory.Files)) == 0 && c.file.Has("source.gluster") {
		c.file.Problem("source.gluster", "no host of the inventory has the role files", "")
	}
}

func (c *Config) host(inv *inventory.Inventory, path, name string, role inventory.Role) {
	if name == "" {
		return
	}
	h, ok := inv.Host(name)
	switch {
	case !ok:
		c.file.Problem(path, fmt.Sprintf("%s is not a host of the inventory", name), strictyaml.Suggest(name, inv.Names()))
	case role != "" && !h.Has(role):
		var with []string
		for _, h := range inv.With(role) {
			with = append(with, h.Name)
		}
		c.file.Problem(path, fmt.Sprintf("%s does not have the role %s", name, role), "these have it: "+strings.Join(with, ", "))
	}
}

func errnoText(err error) string {
	if os.IsNotExist(err) {
		return "it does not exist"
	}
	return err.Error()
}
