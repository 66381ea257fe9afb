package sqladmin

import (
	"maps"
	"slices"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
)

// fields says what the lab does with the fields of an instance that a caller
// may send. A field that is in none of the lists is 501: it would have an effect
// at Google that the lab cannot give.
type fields struct {
	taken   []string // acted upon, or kept and shown where nothing is behind it at Google either
	ignored []string // output only: Google ignores them in a request, so that a GET's answer can be sent back
}

var instanceFields = fields{
	taken: []string{"databaseVersion", "instanceType", "kind", "name", "project", "region", "rootPassword", "settings"},
	ignored: []string{
		"backendType", "connectionName", "createTime", "currentDiskSize", "databaseInstalledVersion", "dnsName", "dnsNames", "etag",
		"gceZone", "geminiConfig", "ipAddresses", "maintenanceVersion", "maxDiskSize", "satisfiesPzi", "selfLink", "serverCaCert",
		"serviceAccountEmailAddress", "sqlNetworkArchitecture", "state", "upgradableDatabaseVersions",
	},
}

var settingsFields = fields{
	taken: []string{
		"activationPolicy", "availabilityType", "backupConfiguration", "connectorEnforcement", "dataDiskSizeGb", "dataDiskType",
		"databaseFlags", "deletionProtectionEnabled", "edition", "ipConfiguration", "kind", "locationPreference", "pricingPlan",
		"replicationType", "settingsVersion", "storageAutoResize", "storageAutoResizeLimit", "tier", "userLabels",
	},
}

var ipFields = fields{
	taken: []string{"authorizedNetworks", "ipv4Enabled", "privateNetwork", "requireSsl", "serverCaMode", "sslMode"},
}

var backupFields = fields{
	taken: []string{
		"backupRetentionSettings", "backupTier", "binaryLogEnabled", "enabled", "kind", "location", "startTime", "transactionLogRetentionDays",
	},
	ignored: []string{"transactionalLogStorageState"},
}

// checkFields refuses what the lab does not serve and drops what is output only.
func checkFields(o rest.Object) *rest.Error {
	if e := instanceFields.check(o, ""); e != nil {
		return e
	}
	settings, _ := o["settings"].(map[string]any)
	if e := settingsFields.check(settings, "settings."); e != nil {
		return e
	}
	ip, _ := settings["ipConfiguration"].(map[string]any)
	if e := ipFields.check(ip, "settings.ipConfiguration."); e != nil {
		return e
	}
	backup, _ := settings["backupConfiguration"].(map[string]any)
	return backupFields.check(backup, "settings.backupConfiguration.")
}

func (f fields) check(o map[string]any, path string) *rest.Error {
	for _, name := range slices.Sorted(maps.Keys(o)) {
		switch {
		case slices.Contains(f.ignored, name):
			delete(o, name)
		case !slices.Contains(f.taken, name) && o[name] != nil:
			return rest.NotServed("the field %s%s of a Cloud SQL instance", path, name)
		}
	}
	return nil
}
