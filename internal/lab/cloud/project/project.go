// Package project is what the lab answers of two small Google APIs: which
// permissions a caller holds on the project (Resource Manager v1) and which APIs
// are enabled in it (Service Usage v1).
//
// It must import nothing of the lab but rest. The answer about a service is held
// against a recorded exchange; the rest follows the APIs' reference and is
// unproven (docs/lab.md).
package project

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
)

// Options is what an API is made of.
type Options struct {
	Project       string // id
	ProjectNumber string
	Enabled       []string                     // services, as sqladmin.googleapis.com
	Known         func(permission string) bool // permissions that can be asked about
	Auth          rest.Authenticator
	Log           *slog.Logger
}

// API answers for one project.
type API struct{ o Options }

// New makes the API.
func New(o Options) *API { return &API{o: o} }

const cloudPlatform = "https://www.googleapis.com/auth/cloud-platform"

// ResourceManager is cloudresourcemanager.googleapis.com.
func (a *API) ResourceManager() http.Handler {
	return rest.Service{
		Name: "cloudresourcemanager.googleapis.com", Server: "ESF", Auth: a.o.Auth, Log: a.o.Log, Forbidden: denied,
		Scopes: []string{cloudPlatform, cloudPlatform + ".read-only"},
		Routes: []rest.Route{
			{ID: "cloudresourcemanager.projects.get", Method: "GET", Path: "/v1/projects/{project}", Permission: "resourcemanager.projects.get", Serve: a.get},
			// The verb is part of the last segment: projects/{project}:testIamPermissions.
			{ID: "cloudresourcemanager.projects.testIamPermissions", Method: "POST", Path: "/v1/projects/{project}", Serve: a.testPermissions},
		},
		NotServed: []rest.Route{
			{ID: "cloudresourcemanager.projects.list", Method: "GET", Path: "/v1/projects"},
		},
	}.Handler()
}

// ServiceUsage is serviceusage.googleapis.com.
func (a *API) ServiceUsage() http.Handler {
	return rest.Service{
		Name: "serviceusage.googleapis.com", Server: "ESF", Auth: a.o.Auth, Log: a.o.Log, Forbidden: denied,
		Scopes: []string{cloudPlatform, cloudPlatform + ".read-only"},
		Routes: []rest.Route{
			{ID: "serviceusage.services.get", Method: "GET", Path: "/v1/projects/{project}/services/{service}", Permission: "serviceusage.services.get", Serve: a.service},
		},
		NotServed: []rest.Route{
			{ID: "serviceusage.services.list", Method: "GET", Path: "/v1/projects/{project}/services"},
			{ID: "serviceusage.services.enable and disable", Method: "POST", Path: "/v1/projects/{project}/services/{service}"},
		},
	}.Handler()
}

func denied(_ rest.Principal, r rest.Route) *rest.Error {
	return &rest.Error{
		Code: http.StatusForbidden, Status: "PERMISSION_DENIED", Reason: "forbidden",
		Message: "Permission '" + r.Permission + "' denied on the project (or it may not exist).",
	}
}

func (a *API) known(name string) bool { return name == a.o.Project || name == a.o.ProjectNumber }

type projectMessage struct {
	ProjectNumber  string `json:"projectNumber"`
	ProjectID      string `json:"projectId"`
	LifecycleState string `json:"lifecycleState"`
	Name           string `json:"name"`
}

func (a *API) get(c rest.Call) (rest.Answer, error) {
	if !a.known(c.PathValue("project")) {
		return rest.Answer{}, denied(c.Principal, rest.Route{Permission: "resourcemanager.projects.get"})
	}
	return rest.OK(projectMessage{ProjectNumber: a.o.ProjectNumber, ProjectID: a.o.Project, LifecycleState: "ACTIVE", Name: a.o.Project})
}

type permissions struct {
	Permissions []string `json:"permissions,omitempty"`
}

func (a *API) testPermissions(c rest.Call) (rest.Answer, error) {
	name, verb, _ := strings.Cut(c.PathValue("project"), ":")
	if verb != "testIamPermissions" {
		return rest.Answer{}, rest.NotServed("cloudresourcemanager.projects.%s", verb)
	}
	if !a.known(name) {
		return rest.Answer{}, denied(c.Principal, rest.Route{Permission: "resourcemanager.projects.get"})
	}
	var asked permissions
	if _, e := rest.Decode(c.Body, &asked); e != nil {
		return rest.Answer{}, e
	}
	if n := len(asked.Permissions); n == 0 || n > 100 {
		return rest.Answer{}, rest.Invalid("permissions", "Between 1 and 100 permissions can be tested at once.")
	}
	var held permissions
	for _, p := range asked.Permissions {
		if !a.o.Known(p) {
			return rest.Answer{}, rest.Invalid("permissions", "Permission %s is not valid for this resource.", p)
		}
		if c.Principal.Can(p) {
			held.Permissions = append(held.Permissions, p)
		}
	}
	return rest.OK(held)
}

type serviceMessage struct {
	Name  string `json:"name"`
	State string `json:"state"`
}

func (a *API) service(c rest.Call) (rest.Answer, error) {
	if !a.known(c.PathValue("project")) {
		return rest.Answer{}, denied(c.Principal, rest.Route{Permission: "serviceusage.services.get"})
	}
	state := "DISABLED"
	if slices.Contains(a.o.Enabled, c.PathValue("service")) {
		state = "ENABLED"
	}
	return rest.OK(serviceMessage{Name: "projects/" + a.o.ProjectNumber + "/services/" + c.PathValue("service"), State: state})
}
