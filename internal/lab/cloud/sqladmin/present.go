package sqladmin

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	api "google.golang.org/api/sqladmin/v1"
)

// identify puts what is known of a running server into its message.
func identify(m *api.DatabaseInstance, id Identity, v Version) {
	m.DatabaseInstalledVersion, m.MaintenanceVersion = v.Installed, v.Maintenance
	m.UpgradableDatabaseVersions = v.Upgrades
	m.IpAddresses = nil
	if id.PrimaryIP != "" {
		m.IpAddresses = append(m.IpAddresses, &api.IpMapping{IpAddress: id.PrimaryIP, Type: "PRIMARY"})
	}
	if id.PrivateIP != "" {
		m.IpAddresses = append(m.IpAddresses, &api.IpMapping{IpAddress: id.PrivateIP, Type: "PRIVATE"})
	}
	m.DnsName = id.DNSName
	m.ServerCaCert = serverCert(m.Name, id)
}

func serverCert(instance string, id Identity) *api.SslCert {
	return &api.SslCert{
		Kind: "sql#sslCert", Instance: instance, Cert: id.CACert, CommonName: id.CACommonName,
		CertSerialNumber: id.CASerial, Sha1Fingerprint: id.CASHA1,
		CreateTime: stamp(id.CANotBefore), ExpirationTime: stamp(id.CANotAfter),
	}
}

// shown is a message as it is answered: fields that the API writes even when
// they are false or zero are forced, and the etag is that of its content.
func shown(m *api.DatabaseInstance) *api.DatabaseInstance {
	out := *m
	out.Settings = shownSettings(m.Settings)
	if m.GeminiConfig != nil {
		g := *m.GeminiConfig
		g.ForceSendFields = []string{"ActiveQueryEnabled", "Entitled", "IndexAdvisorEnabled"}
		out.GeminiConfig = &g
	}
	out.Etag = ""
	out.Etag = etag(out)
	return &out
}

func shownSettings(s *api.Settings) *api.Settings {
	out := *s
	out.ForceSendFields = []string{"DeletionProtectionEnabled", "StorageAutoResizeLimit"}
	if s.BackupConfiguration != nil {
		b := *s.BackupConfiguration
		b.ForceSendFields = []string{"Enabled"}
		out.BackupConfiguration = &b
	}
	if s.IpConfiguration != nil {
		ip := *s.IpConfiguration
		ip.ForceSendFields = []string{"Ipv4Enabled", "RequireSsl"}
		out.IpConfiguration = &ip
	}
	return &out
}

// etag is a hash of a message's JSON, so that it changes when, and only when,
// what is answered changes.
func etag(message any) string {
	raw, err := json.Marshal(message)
	if err != nil {
		panic(err) // generated types always marshal
	}
	sum := sha256.Sum256(raw)
	return base64.StdEncoding.EncodeToString(sum[:32])
}

func (a *API) connectSettings(c rest.Call) (rest.Answer, error) {
	if c.Query.Get("readTime") != "" {
		return rest.Answer{}, rest.NotServed("sql.connect.get with readTime")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	in, e := a.ready(c)
	if e != nil {
		return rest.Answer{}, e
	}
	m := in.message
	mode := m.Settings.IpConfiguration.ServerCaMode
	orElse(&mode, internalCA)
	return rest.OK(&api.ConnectSettings{
		Kind: "sql#connectSettings", BackendType: m.BackendType, DatabaseVersion: m.DatabaseVersion, Region: m.Region,
		IpAddresses: m.IpAddresses, ServerCaCert: m.ServerCaCert, DnsName: m.DnsName, ServerCaMode: mode,
	})
}
