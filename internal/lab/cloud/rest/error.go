package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Google's APIs answer one of two error documents, both with error.code and
// error.message. sqladmin, dns and storage answer errors of their own with
// error.errors[] (domain, reason) and no status; AIP-193's has error.status and
// error.details[]. container answers the second with error.errors[] beside it,
// as all of them do to errors of the common front end (authentication, unknown
// fields). What an Error has set says which it becomes.

// Error is an answer that is not 2xx.
type Error struct {
	Code    int    // HTTP status
	Message string // error.message and error.errors[0].message
	Reason  string // error.errors[0].reason, as alreadyExists; empty: no errors[]
	Status  string // canonical status as NOT_FOUND; empty: no status (Style Legacy)

	Location     string // error.errors[0].location
	LocationType string // error.errors[0].locationType

	Details []any       // error.details
	Header  http.Header // more headers, as WWW-Authenticate
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("%d %s%s: %s", e.Code, e.Status, e.Reason, e.Message)
}

// ErrorInfo is google.rpc.ErrorInfo, the machine-readable part of details.
type ErrorInfo struct {
	Type     string            `json:"@type"`
	Reason   string            `json:"reason"`
	Domain   string            `json:"domain"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// Info makes an ErrorInfo.
func Info(reason, domain string, metadata map[string]string) ErrorInfo {
	return ErrorInfo{Type: "type.googleapis.com/google.rpc.ErrorInfo", Reason: reason, Domain: domain, Metadata: metadata}
}

// badRequest is google.rpc.BadRequest.
type badRequest struct {
	Type            string           `json:"@type"`
	FieldViolations []fieldViolation `json:"fieldViolations"`
}

type fieldViolation struct {
	Field       string `json:"field,omitempty"`
	Description string `json:"description"`
}

// Invalid is 400 INVALID_ARGUMENT of the front end: a request that does not fit
// the API's messages.
func Invalid(field, format string, args ...any) *Error {
	message := fmt.Sprintf(format, args...)
	return &Error{
		Code: http.StatusBadRequest, Message: message, Status: "INVALID_ARGUMENT", Reason: "badRequest",
		Details: []any{badRequest{
			Type:            "type.googleapis.com/google.rpc.BadRequest",
			FieldViolations: []fieldViolation{{Field: field, Description: message}},
		}},
	}
}

// NotServed is 501: a method, a field or a value that Google serves and the lab
// does not. It is said and never passed over.
func NotServed(format string, args ...any) *Error {
	return &Error{
		Code: http.StatusNotImplemented, Status: "UNIMPLEMENTED", Reason: "notImplemented",
		Message: "the lab does not serve this: " + fmt.Sprintf(format, args...),
	}
}

// noMethod is the front end's answer to a path or verb that no API method has.
func noMethod() *Error {
	return &Error{Code: http.StatusNotFound, Message: "Method not found.", Status: "NOT_FOUND", Reason: "notFound"}
}

// Internal is 500. The text names what broke in the lab, so that a lab that is
// broken is not taken for a cloud that is.
func Internal(err error) *Error {
	return &Error{Code: http.StatusInternalServerError, Message: "the lab failed: " + err.Error(), Status: "INTERNAL", Reason: "internalError"}
}

type errorItem struct {
	Message      string `json:"message"`
	Domain       string `json:"domain"`
	Reason       string `json:"reason"`
	Location     string `json:"location,omitempty"`
	LocationType string `json:"locationType,omitempty"`
}

type errorBody struct {
	Code    int         `json:"code"`
	Message string      `json:"message"`
	Errors  []errorItem `json:"errors,omitempty"`
	Status  string      `json:"status,omitempty"`
	Details []any       `json:"details,omitempty"`
}

type errorDocument struct {
	Error errorBody `json:"error"`
}

// MarshalJSON writes the document that Google answers.
func (e *Error) MarshalJSON() ([]byte, error) {
	body := errorBody{Code: e.Code, Message: e.Message, Status: e.Status, Details: e.Details}
	if e.Reason != "" {
		body.Errors = []errorItem{{
			Message: e.Message, Domain: "global", Reason: e.Reason,
			Location: e.Location, LocationType: e.LocationType,
		}}
	}
	return json.Marshal(errorDocument{body})
}
