package storage

import (
	"fmt"
	"net/http"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
)

func legacy(code int, reason, format string, args ...any) *rest.Error {
	return &rest.Error{Code: code, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func noBucket() *rest.Error {
	return legacy(http.StatusNotFound, "notFound", "The specified bucket does not exist.")
}

func noObject(bucket, name string) *rest.Error {
	return legacy(http.StatusNotFound, "notFound", "No such object: %s/%s", bucket, name)
}

func conditionNotMet(parameter string) *rest.Error {
	e := legacy(http.StatusPreconditionFailed, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
	e.LocationType, e.Location = "header", "If-Match"
	if parameter == "ifMetagenerationMatch" || parameter == "ifMetagenerationNotMatch" {
		e.LocationType, e.Location = "parameter", parameter
	}
	return e
}

func invalid(format string, args ...any) *rest.Error {
	return legacy(http.StatusBadRequest, "invalid", format, args...)
}

func required(parameter string) *rest.Error {
	e := legacy(http.StatusBadRequest, "required", "Required parameter: %s", parameter)
	e.LocationType, e.Location = "parameter", parameter
	return e
}

func forbidden(p rest.Principal, r rest.Route) *rest.Error {
	return legacy(http.StatusForbidden, "forbidden", "%s does not have %s access to the Google Cloud project. Permission '%s' denied on resource (or it may not exist).", p.Email, r.Permission, r.Permission)
}
