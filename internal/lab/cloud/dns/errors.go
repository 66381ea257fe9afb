package dns

import (
	"fmt"
	"net/http"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
)

func legacy(code int, reason, format string, args ...any) *rest.Error {
	return &rest.Error{Code: code, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) *rest.Error {
	return legacy(http.StatusNotFound, "notFound", format, args...)
}

func exists(what, name string) *rest.Error {
	return legacy(http.StatusConflict, "alreadyExists", "The resource '%s' named '%s' already exists", what, name)
}

func invalid(field, value string) *rest.Error {
	return legacy(http.StatusBadRequest, "invalid", "Invalid value for '%s': '%s'", field, value)
}

func required(field string) *rest.Error {
	return legacy(http.StatusBadRequest, "required", "The '%s' parameter is required but was missing.", field)
}

func forbidden(rest.Principal, rest.Route) *rest.Error {
	return legacy(http.StatusForbidden, "forbidden", "Forbidden")
}
