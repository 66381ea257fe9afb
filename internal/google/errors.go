package google

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"
)

var (
	// ErrExists: a thing of that name is there and isn't this run's, or its name is kept by Google. Choose another name, or delete it by hand.
	ErrExists = errors.New("the name is taken")
	// ErrRefused: Google knows who asks and says no. Fix roles, APIs, quota or the request; trying again without that doesn't help.
	ErrRefused = errors.New("refused by Google")
	// ErrBroken: the thing is there, is this run's, and is in a state that it doesn't leave by itself. A person looks; a rollback deletes it.
	ErrBroken = errors.New("in a broken state")
)

// Error is one line on a request that failed: what was done and where, the HTTP status, Google's reason and words, and what to do.
type Error struct {
	Op      string // "create cluster slipway-20261123-010203-7f3a"
	Where   string // "project p, europe-west1-b"
	Status  int    // of HTTP; 0 when no answer came
	Reason  string // Google's word for the kind: accessNotConfigured, operationInProgress, PERMISSION_DENIED
	Message string // Google's sentence
	Advice  string // what to do; may be empty
	err     error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Where != "" {
		b.WriteString(" (" + e.Where + ")")
	}
	b.WriteString(": ")
	if e.Status != 0 {
		fmt.Fprintf(&b, "HTTP %d ", e.Status)
	}
	if e.Reason != "" {
		b.WriteString(e.Reason + ": ")
	}
	b.WriteString(e.Message)
	if e.Advice != "" {
		b.WriteString("; " + e.Advice)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.err }

// Is: a refusal is ErrRefused, so that callers needn't know HTTP.
func (e *Error) Is(target error) bool {
	return target == ErrRefused && e.Status >= 400 && e.Status < 500 && e.Status != http.StatusNotFound && e.Status != http.StatusConflict
}

// reason is Google's word for an error: of error.errors[] (sqladmin, dns), of error.details[] of type ErrorInfo (container, resource
// manager; https://cloud.google.com/apis/design/errors#error_info), or the canonical status.
func reason(api *googleapi.Error) string {
	for _, d := range api.Details {
		if m, ok := d.(map[string]any); ok {
			if r, ok := m["reason"].(string); ok && r != "" {
				return r
			}
		}
	}
	for _, e := range api.Errors {
		if e.Reason != "" {
			return e.Reason
		}
	}
	return ""
}

func apiError(err error) *googleapi.Error {
	var api *googleapi.Error
	if errors.As(err, &api) {
		return api
	}
	return nil
}

func notFound(err error) bool {
	api := apiError(err)
	// sqladmin answers 403 notAuthorized for an instance that isn't there to those who may not list; with the roles that preflight asks
	// for it is a 404 (https://cloud.google.com/sql/docs/mysql/admin-api/rest/v1/instances/get).
	return api != nil && api.Code == http.StatusNotFound
}

// busy: nothing was started, because another operation holds the thing. sqladmin says 409 operationInProgress; container says 400
// FAILED_PRECONDITION with one of two sentences, "Cluster is running incompatible operation operation-…" or "Operation operation-… is
// currently creating cluster …. Please wait and try again once it is done."
func busy(err error) bool {
	api := apiError(err)
	if api == nil {
		return false
	}
	switch api.Code {
	case http.StatusConflict:
		return reason(api) == "operationInProgress" || strings.Contains(api.Message, "another operation was already in progress")
	case http.StatusForbidden: // what sqladmin said before 2019
		return reason(api) == "operationInProgress"
	case http.StatusTooManyRequests: // too fast, not too much: a quota's 429 names RESOURCE_EXHAUSTED or a quota
		return reason(api) == "rateLimitExceeded" || reason(api) == "RATE_LIMIT_EXCEEDED"
	case http.StatusBadRequest, http.StatusPreconditionFailed:
		return strings.Contains(api.Message, "running incompatible operation") ||
			strings.Contains(api.Message, "is currently ") && strings.Contains(api.Message, "try again once it is done")
	}
	return false
}

func taken(err error) bool {
	api := apiError(err)
	return api != nil && api.Code == http.StatusConflict && !busy(err)
}

// tokenTrouble is what the token endpoint said when it refused the key, or "".
func tokenTrouble(err error) string {
	var tok *oauth2.RetrieveError
	if !errors.As(err, &tok) || tok.Response != nil && tok.Response.StatusCode >= 500 {
		return ""
	}
	status := "no answer"
	if tok.Response != nil {
		status = tok.Response.Status
	}
	return fmt.Sprintf("the token endpoint refused the key (%s: %s)", status, oneLine(errors.New(string(tok.Body))))
}

func badCertificate(err error) bool {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	return errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &verify) || errors.Is(err, errAnotherServer)
}

// oneLine keeps an error's text on one line and within 300 bytes.
func oneLine(err error) string {
	s := strings.Join(strings.Fields(err.Error()), " ")
	if len(s) > 300 {
		s = s[:300] + " …"
	}
	return s
}

// explain makes the one clear line. on is the API, op says what was done, where in which project and place.
func (c *Client) explain(err error, on service, op, where string) error {
	if err == nil {
		return nil
	}
	var mine *Error
	if errors.As(err, &mine) {
		return err
	}
	e := &Error{Op: op, Where: where, Message: oneLine(err), err: err}
	if t := tokenTrouble(err); t != "" {
		e.Message = t
		e.Advice = "check that the key of " + c.email + " exists and is enabled, and that this machine's clock is right"
		return e
	}
	if badCertificate(err) {
		e.Advice = "if the endpoint has a certificate of its own authority, name it as ca_file"
		return e
	}
	api := apiError(err)
	if api == nil {
		return e
	}
	e.Status, e.Reason = api.Code, reason(api)
	if e.Message = api.Message; e.Message == "" {
		e.Message = oneLine(errors.New(api.Body))
	}
	e.Message = strings.Join(strings.Fields(e.Message), " ")
	var long *lasting
	if errors.As(err, &long) {
		e.Message = long.prefix() + e.Message
	}
	e.Advice = c.advice(e, on)
	return e
}

// service is one API: how it is enabled, and the role that what Slipway does with it needs. docs/for-real.md explains each role.
type service struct{ api, role string }

func containerAPI() service {
	return service{"container.googleapis.com", "roles/container.admin (and roles/iam.serviceAccountUser on the nodes' service account)"}
}
func sqlAPI() service { return service{"sqladmin.googleapis.com", "roles/cloudsql.admin"} }
func dnsAPI() service {
	return service{"dns.googleapis.com", "roles/dns.admin on the zone (roles/dns.reader to look only)"}
}
func projectsAPI() service {
	return service{"cloudresourcemanager.googleapis.com", "roles/browser"}
}

func (c *Client) advice(e *Error, on service) string {
	m := strings.ToLower(e.Message)
	switch {
	case e.Reason == "SERVICE_DISABLED", e.Reason == "accessNotConfigured", strings.Contains(m, "has not been used in project"):
		return "enable the API: gcloud services enable " + on.api
	case e.Reason == "quotaExceeded", e.Reason == "QUOTA_EXCEEDED", e.Reason == "RESOURCE_EXHAUSTED", strings.Contains(m, "quota"):
		return "raise the quota (console: IAM & Admin, Quotas) or ask for less in slipway.yaml"
	case e.Reason == "instanceAlreadyExists", e.Status == http.StatusConflict && on == sqlAPI():
		return "Cloud SQL keeps a deleted instance's name for a week; start a new run"
	case e.Status == http.StatusUnauthorized:
		return "the key of " + c.email + " is deleted or disabled, or this machine's clock is wrong"
	case e.Status == http.StatusForbidden:
		return "grant " + c.email + " " + on.role
	}
	return ""
}
