package oauth

import (
	"fmt"
	"slices"
	"strings"
)

// knownPermissions are the permissions that the lab's APIs and preflight checks
// ask about. One that is not in this list is "not valid for this resource", as
// Google answers to a misspelt one.
var knownPermissions = []string{
	"cloudsql.databases.create", "cloudsql.databases.delete", "cloudsql.databases.get", "cloudsql.databases.list", "cloudsql.databases.update",
	"cloudsql.instances.clone", "cloudsql.instances.connect", "cloudsql.instances.create", "cloudsql.instances.delete", "cloudsql.instances.export",
	"cloudsql.instances.get", "cloudsql.instances.import", "cloudsql.instances.list", "cloudsql.instances.login", "cloudsql.instances.restart",
	"cloudsql.instances.update",
	"cloudsql.users.create", "cloudsql.users.delete", "cloudsql.users.get", "cloudsql.users.list", "cloudsql.users.update",
	"container.clusters.create", "container.clusters.delete", "container.clusters.get", "container.clusters.getCredentials", "container.clusters.list",
	"container.clusters.update", "container.configMaps.create", "container.deployments.create", "container.namespaces.create", "container.namespaces.delete",
	"container.operations.get", "container.operations.list", "container.persistentVolumeClaims.create", "container.persistentVolumeClaims.delete",
	"container.pods.create", "container.pods.exec", "container.secrets.create", "container.secrets.delete", "container.services.create", "container.statefulSets.create",
	"dns.changes.create", "dns.changes.get", "dns.changes.list",
	"dns.managedZones.create", "dns.managedZones.delete", "dns.managedZones.get", "dns.managedZones.list", "dns.managedZones.update",
	"dns.projects.get",
	"dns.resourceRecordSets.create", "dns.resourceRecordSets.delete", "dns.resourceRecordSets.get", "dns.resourceRecordSets.list", "dns.resourceRecordSets.update",
	"resourcemanager.projects.get",
	"serviceusage.services.get", "serviceusage.services.list",
	"storage.buckets.create", "storage.buckets.delete", "storage.buckets.get", "storage.buckets.list", "storage.buckets.update",
	"storage.objects.create", "storage.objects.delete", "storage.objects.get", "storage.objects.list", "storage.objects.update",
}

// roles are Google's predefined roles: each is a list of permissions, where a
// trailing * stands for all that begin so. Whatever a role holds beyond
// knownPermissions nobody in the lab can ask about.
var roles = map[string][]string{
	"roles/browser":                           {"resourcemanager.projects.get"},
	"roles/cloudsql.admin":                    {"cloudsql.*", "resourcemanager.projects.get", "serviceusage.services.get", "serviceusage.services.list"},
	"roles/cloudsql.client":                   {"cloudsql.instances.connect", "cloudsql.instances.get"},
	"roles/cloudsql.viewer":                   {"cloudsql.databases.get", "cloudsql.databases.list", "cloudsql.instances.get", "cloudsql.instances.list", "cloudsql.instances.export", "cloudsql.users.get", "cloudsql.users.list", "resourcemanager.projects.get", "serviceusage.services.get", "serviceusage.services.list"},
	"roles/container.admin":                   {"container.*", "resourcemanager.projects.get"},
	"roles/container.clusterViewer":           {"container.clusters.get", "container.clusters.list", "resourcemanager.projects.get"},
	"roles/dns.admin":                         {"dns.*", "resourcemanager.projects.get"},
	"roles/dns.reader":                        {"dns.changes.get", "dns.changes.list", "dns.managedZones.get", "dns.managedZones.list", "dns.projects.get", "dns.resourceRecordSets.get", "dns.resourceRecordSets.list"},
	"roles/serviceusage.serviceUsageConsumer": {"serviceusage.services.get", "serviceusage.services.list"},
	"roles/storage.admin":                     {"storage.*", "resourcemanager.projects.get"},
	"roles/storage.objectViewer":              {"resourcemanager.projects.get", "storage.objects.get", "storage.objects.list"},
}

// KnownPermission reports whether the lab can say who holds a permission.
func KnownPermission(permission string) bool { return slices.Contains(knownPermissions, permission) }

// permissionsOf is the sorted union of what the roles hold.
func permissionsOf(held []string) ([]string, error) {
	var all []string
	for _, role := range held {
		patterns, ok := roles[role]
		if !ok {
			return nil, fmt.Errorf("role %s: the lab does not know it", role)
		}
		for _, permission := range knownPermissions {
			if slices.ContainsFunc(patterns, func(p string) bool { return matches(p, permission) }) {
				all = append(all, permission)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func matches(pattern, permission string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(permission, prefix)
	}
	return pattern == permission
}
