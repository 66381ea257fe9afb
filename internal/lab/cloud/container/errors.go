package container

import (
	"fmt"
	"net/http"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
)

func canonical(code int, status, reason, format string, args ...any) *rest.Error {
	return &rest.Error{Code: code, Status: status, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func notFound(name string) *rest.Error {
	return canonical(http.StatusNotFound, "NOT_FOUND", "notFound", "Not found: %s.", name)
}

func exists(name string) *rest.Error {
	return canonical(http.StatusConflict, "ALREADY_EXISTS", "alreadyExists", "Already exists: %s.", name)
}

func incompatible(op string) *rest.Error {
	e := canonical(http.StatusBadRequest, "FAILED_PRECONDITION", "failedPrecondition", "Cluster is running incompatible operation %s.", op)
	e.Details = []any{rest.Info("CLUSTER_ALREADY_HAS_OPERATION", "container.googleapis.com", nil)}
	return e
}

func badRequest(format string, args ...any) *rest.Error {
	return canonical(http.StatusBadRequest, "INVALID_ARGUMENT", "badRequest", format, args...)
}

func denied(permission, project string) *rest.Error {
	return canonical(http.StatusForbidden, "PERMISSION_DENIED", "forbidden", "Required %q permission(s) for %q.", permission, "projects/"+project)
}

func forbidden(_ rest.Principal, r rest.Route) *rest.Error {
	return canonical(http.StatusForbidden, "PERMISSION_DENIED", "forbidden", "Required %q permission(s).", r.Permission)
}

// noVersions: a lab can be brought up without clusters.
func noVersions() *rest.Error { return rest.NotServed("clusters: this lab was brought up without") }
