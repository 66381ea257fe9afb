package sqladmin

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	api "google.golang.org/api/sqladmin/v1"
)

const (
	enterprise     = "ENTERPRISE"
	enterprisePlus = "ENTERPRISE_PLUS"
	internalCA     = "GOOGLE_MANAGED_INTERNAL_CA"
	casCA          = "GOOGLE_MANAGED_CAS_CA"
)

// fillDefaults gives settings the values that the API shows for what the caller
// did not send (sent has what was sent). They are as recorded for MYSQL_8_0 and
// for ENTERPRISE_PLUS; ENTERPRISE on a version from 8.4 on is unproven and taken
// from the first with the fields of the second.
func fillDefaults(s *api.Settings, sent rest.Object, v Version, zone string) {
	has := func(path ...string) bool { return sent.Has(append([]string{"settings"}, path...)...) }
	old := !v.PlusDefault && s.Edition == ""
	if v.PlusDefault && s.Edition == "" {
		s.Edition = enterprisePlus
	}
	plus := s.Edition == enterprisePlus
	s.Kind = "sql#settings"
	if !old {
		orElse(&s.ActivationPolicy, "ALWAYS")
		orElse(&s.AvailabilityType, "ZONAL")
	}
	orElse(&s.ConnectorEnforcement, "NOT_REQUIRED")
	orElse(&s.DataDiskType, "PD_SSD")
	orElse(&s.PricingPlan, "PER_USE")
	orElse(&s.ReplicationType, "SYNCHRONOUS")
	if s.DataDiskSizeGb == 0 {
		s.DataDiskSizeGb = 10
		if plus {
			s.DataDiskSizeGb = 20
		}
	}
	if s.StorageAutoResize == nil {
		s.StorageAutoResize = &plus
	}
	if s.LocationPreference == nil {
		s.LocationPreference = &api.LocationPreference{}
	}
	s.LocationPreference.Kind = "sql#locationPreference"
	orElse(&s.LocationPreference.Zone, zone)

	if s.BackupConfiguration == nil {
		s.BackupConfiguration = &api.BackupConfiguration{}
	}
	b := s.BackupConfiguration
	b.Kind = "sql#backupConfiguration"
	if !has("backupConfiguration", "enabled") {
		b.Enabled = plus
	}
	if !has("backupConfiguration", "binaryLogEnabled") {
		b.BinaryLogEnabled = plus && b.Enabled
	}
	if !old {
		orElse(&b.BackupTier, "STANDARD")
	}
	orElse(&b.StartTime, "12:00")
	retained, days := int64(7), int64(7)
	if plus {
		retained, days = 15, 14
	}
	if b.BackupRetentionSettings == nil {
		b.BackupRetentionSettings = &api.BackupRetentionSettings{RetainedBackups: retained, RetentionUnit: "COUNT"}
	}
	if b.TransactionLogRetentionDays == 0 {
		b.TransactionLogRetentionDays = days
	}

	if s.IpConfiguration == nil {
		s.IpConfiguration = &api.IpConfiguration{}
	}
	if !has("ipConfiguration", "ipv4Enabled") {
		s.IpConfiguration.Ipv4Enabled = true
	}
	orElse(&s.IpConfiguration.SslMode, "ALLOW_UNENCRYPTED_AND_ENCRYPTED")
	for _, n := range s.IpConfiguration.AuthorizedNetworks {
		n.Kind = "sql#aclEntry"
	}
}

func orElse(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// derive sets what follows from other settings.
func derive(s *api.Settings) {
	state := "TRANSACTIONAL_LOG_STORAGE_STATE_UNSPECIFIED"
	if s.BackupConfiguration.BinaryLogEnabled {
		state = "CLOUD_STORAGE"
	}
	s.BackupConfiguration.TransactionalLogStorageState = state
}

var (
	customTier = regexp.MustCompile(`^db-custom-\d+-\d+$`)
	label      = regexp.MustCompile(`^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$`)
	labelKey   = regexp.MustCompile(`^[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}$`)
)

// tierOf checks that a machine type goes with an edition.
func checkTier(tier, edition string) *rest.Error {
	shared := []string{"db-f1-micro", "db-g1-small"}
	plus := strings.HasPrefix(tier, "db-perf-optimized-N-") || strings.HasPrefix(tier, "db-c4a-highmem-")
	plain := customTier.MatchString(tier) || slices.Contains(shared, tier) || strings.HasPrefix(tier, "db-n1-")
	if tier == "" {
		return &rest.Error{Code: 400, Reason: "required", Message: "Missing parameter: tier."}
	}
	if plus && edition != enterprisePlus || plain && edition == enterprisePlus || !plus && !plain {
		return invalid("Invalid Tier (%s) for (%s) Edition", tier, edition)
	}
	return nil
}

// validate refuses settings that the API refuses, or that the lab cannot give.
func validate(s *api.Settings, v Version) *rest.Error {
	if s.Edition != "" && s.Edition != enterprise && s.Edition != enterprisePlus {
		return rest.Invalid("settings.edition", "Invalid value at 'settings.edition', %q", s.Edition)
	}
	if s.DataDiskSizeGb < 10 || s.DataDiskSizeGb > 65536 {
		return invalid("Invalid data disk size (%d)", s.DataDiskSizeGb)
	}
	for _, one := range []struct {
		path, value string
		served      []string
		google      []string
	}{
		{"activationPolicy", s.ActivationPolicy, []string{"", "ALWAYS"}, []string{"NEVER", "ON_DEMAND"}},
		{"availabilityType", s.AvailabilityType, []string{"", "ZONAL", "REGIONAL"}, nil},
		{"connectorEnforcement", s.ConnectorEnforcement, []string{"NOT_REQUIRED"}, []string{"REQUIRED"}},
		{"dataDiskType", s.DataDiskType, []string{"PD_SSD", "PD_HDD"}, []string{"HYPERDISK_BALANCED"}},
		{"ipConfiguration.sslMode", s.IpConfiguration.SslMode, []string{"ALLOW_UNENCRYPTED_AND_ENCRYPTED", "ENCRYPTED_ONLY"}, []string{"TRUSTED_CLIENT_CERTIFICATE_REQUIRED"}},
		{"ipConfiguration.serverCaMode", s.IpConfiguration.ServerCaMode, []string{"", internalCA, casCA}, []string{"CUSTOMER_MANAGED_CAS_CA"}},
	} {
		switch {
		case slices.Contains(one.served, one.value):
		case slices.Contains(one.google, one.value):
			return rest.NotServed("settings.%s %s", one.path, one.value)
		default:
			return rest.Invalid("settings."+one.path, "Invalid value at 'settings.%s', %q", one.path, one.value)
		}
	}
	if s.IpConfiguration.RequireSsl {
		return rest.NotServed("settings.ipConfiguration.requireSsl (client certificates); sslMode ENCRYPTED_ONLY is served")
	}
	b := s.BackupConfiguration
	if b.BinaryLogEnabled && !b.Enabled {
		return invalid("Binary log can only be enabled when backup is enabled")
	}
	if s.AvailabilityType == "REGIONAL" && !(b.Enabled && b.BinaryLogEnabled) {
		return invalid("Backups and binary logs must be enabled for a regional instance")
	}
	if e := validateNetwork(s.IpConfiguration); e != nil {
		return e
	}
	for k, value := range s.UserLabels {
		if !labelKey.MatchString(k) || !label.MatchString(value) {
			return invalid("Invalid user label")
		}
	}
	return validateFlags(s.DatabaseFlags, v)
}

var networkName = regexp.MustCompile(`^(https://www\.googleapis\.com/compute/[a-z0-9]+/)?projects/[^/]+/global/networks/[^/]+$`)

func validateNetwork(ip *api.IpConfiguration) *rest.Error {
	if !ip.Ipv4Enabled && ip.PrivateNetwork == "" {
		return invalid("At least one of Public IP or Private IP or PSC connectivity must be enabled")
	}
	if ip.PrivateNetwork != "" && !networkName.MatchString(ip.PrivateNetwork) {
		return invalid("Invalid network (%s)", ip.PrivateNetwork)
	}
	for _, n := range ip.AuthorizedNetworks {
		if _, err := parseNetwork(n.Value); err != nil {
			return invalid("Invalid authorized network (%s)", n.Value)
		}
	}
	return nil
}

// parseNetwork reads an authorized network: IPv4 CIDR, or one address.
func parseNetwork(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		text += "/32"
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, err
	}
	if !p.Addr().Is4() || p != p.Masked() {
		return p, fmt.Errorf("%s is no IPv4 network", text)
	}
	return p, nil
}

// config is what the server is to follow.
func config(m *api.DatabaseInstance) Config {
	s := m.Settings
	c := Config{
		Project: m.Project, Region: m.Region, Version: m.DatabaseVersion, DiskGB: s.DataDiskSizeGb,
		BinLog: s.BackupConfiguration.BinaryLogEnabled, OnlyTLS: s.IpConfiguration.SslMode == "ENCRYPTED_ONLY",
		Public: s.IpConfiguration.Ipv4Enabled, Private: s.IpConfiguration.PrivateNetwork != "",
		CAMode: s.IpConfiguration.ServerCaMode,
	}
	orElse(&c.CAMode, internalCA)
	for _, n := range s.IpConfiguration.AuthorizedNetworks {
		p, err := parseNetwork(n.Value)
		if err == nil { // validateNetwork has seen them all
			c.Networks = append(c.Networks, p.String())
		}
	}
	for _, f := range s.DatabaseFlags {
		c.Flags = append(c.Flags, Flag{Name: f.Name, Value: f.Value})
	}
	return c
}
