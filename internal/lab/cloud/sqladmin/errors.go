package sqladmin

import (
	"fmt"
	"net/http"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
)

// Errors of the API's own carry error.errors[].reason and no status.

func noInstance() *rest.Error {
	return &rest.Error{Code: http.StatusNotFound, Message: "The Cloud SQL instance does not exist.", Reason: "instanceDoesNotExist"}
}

func instanceExists() *rest.Error {
	return &rest.Error{
		Code: http.StatusConflict, Reason: "instanceAlreadyExists",
		Message: "The Cloud SQL instance already exists. When you delete an instance, you can't reuse the name of the deleted instance until one week from the deletion date.",
	}
}

func busy() *rest.Error {
	return &rest.Error{
		Code: http.StatusConflict, Reason: "operationInProgress",
		Message: "Operation failed because another operation was already in progress. Try your request after the current operation is complete.",
	}
}

func invalidState() *rest.Error {
	return &rest.Error{
		Code: http.StatusConflict, Reason: "invalidState",
		Message: "The instance or operation is not in an appropriate state to handle the request.",
	}
}

func staleData() *rest.Error {
	return &rest.Error{Code: http.StatusPreconditionFailed, Reason: "staleData", Message: "Condition does not match."}
}

func invalid(format string, args ...any) *rest.Error {
	return &rest.Error{Code: http.StatusBadRequest, Reason: "invalid", Message: "Invalid request: " + fmt.Sprintf(format, args...) + "."}
}

func notFound(format string, args ...any) *rest.Error {
	return &rest.Error{Code: http.StatusNotFound, Reason: "notFound", Message: fmt.Sprintf(format, args...)}
}

func forbidden(rest.Principal, rest.Route) *rest.Error {
	return &rest.Error{Code: http.StatusForbidden, Reason: "notAuthorized", Message: "The client is not authorized to make this request."}
}
