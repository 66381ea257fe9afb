package google

import (
	"context"
	"slices"

	"google.golang.org/api/cloudresourcemanager/v1"
	"google.golang.org/api/container/v1"
	"google.golang.org/api/sqladmin/v1"
)

// ProjectLooker answers what is asked before anything is created in a project.
type ProjectLooker struct {
	c                 *Client
	project, location string
}

// LookAtProject opens a looker; location is the clusters' zone or region.
func (c *Client) LookAtProject(project, location string) ProjectLooker {
	return ProjectLooker{c, project, location}
}

func (l ProjectLooker) where() string { return "project " + l.project }

// Account is the service account that asks.
func (l ProjectLooker) Account() string { return l.c.email }

// MissingPermissions are those of a list that the account doesn't have on the project, in the list's order.
func (l ProjectLooker) MissingPermissions(ctx context.Context, want []string) ([]string, error) {
	// At most 100 a request: https://cloud.google.com/resource-manager/reference/rest/v1/projects/testIamPermissions.
	var missing []string
	for chunk := range slices.Chunk(want, 100) {
		got, err := read(ctx, l.c, nil, "ask for permissions", func() (*cloudresourcemanager.TestIamPermissionsResponse, error) {
			return l.c.projects.Projects.TestIamPermissions(l.project, &cloudresourcemanager.TestIamPermissionsRequest{Permissions: chunk}).Context(ctx).Do()
		})
		if err != nil {
			return nil, l.c.explain(err, projectsAPI(), "ask for the permissions of "+l.c.email, l.where())
		}
		for _, p := range chunk {
			if !slices.Contains(got.Permissions, p) {
				missing = append(missing, p)
			}
		}
	}
	return missing, nil
}

// ClusterNames are the clusters that are there. That it answers says that the API is enabled.
func (l ProjectLooker) ClusterNames(ctx context.Context) ([]string, error) {
	got, err := read(ctx, l.c, nil, "list clusters", func() (*container.ListClustersResponse, error) {
		return l.c.container.Projects.Locations.Clusters.List("projects/" + l.project + "/locations/" + l.location).Context(ctx).Do()
	})
	if err != nil {
		return nil, l.c.explain(err, containerAPI(), "list clusters", l.where()+", "+l.location)
	}
	var names []string
	for _, cl := range got.Clusters {
		names = append(names, cl.Name)
	}
	return names, nil
}

// KubernetesVersions are those that clusters of the location may be created with, newest first as Google lists them.
func (l ProjectLooker) KubernetesVersions(ctx context.Context) ([]string, error) {
	got, err := read(ctx, l.c, nil, "look at the versions of clusters", func() (*container.ServerConfig, error) {
		return l.c.container.Projects.Locations.GetServerConfig("projects/" + l.project + "/locations/" + l.location).Context(ctx).Do()
	})
	if err != nil {
		return nil, l.c.explain(err, containerAPI(), "look at the versions of clusters", l.where()+", "+l.location)
	}
	return got.ValidMasterVersions, nil
}

// InstanceNames are the Cloud SQL instances that are there. That it answers says that the API is enabled.
func (l ProjectLooker) InstanceNames(ctx context.Context) ([]string, error) {
	var names []string
	for token := ""; ; {
		got, err := read(ctx, l.c, nil, "list instances", func() (*sqladmin.InstancesListResponse, error) {
			return l.c.sql.Instances.List(l.project).PageToken(token).Context(ctx).Do()
		})
		if err != nil {
			return nil, l.c.explain(err, sqlAPI(), "list instances", l.where())
		}
		for _, i := range got.Items {
			names = append(names, i.Name)
		}
		if token = got.NextPageToken; token == "" {
			return names, nil
		}
	}
}

// Flags are the names of the database flags that a version takes.
func (l ProjectLooker) Flags(ctx context.Context, version string) ([]string, error) {
	got, err := read(ctx, l.c, nil, "look at database flags", func() (*sqladmin.FlagsListResponse, error) {
		return l.c.sql.Flags.List().DatabaseVersion(version).Context(ctx).Do()
	})
	if err != nil {
		return nil, l.c.explain(err, sqlAPI(), "look at the database flags of "+version, l.where())
	}
	var names []string
	for _, f := range got.Items {
		names = append(names, f.Name)
	}
	return names, nil
}
