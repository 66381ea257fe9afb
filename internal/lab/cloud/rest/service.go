package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Principal is who a request comes from.
type Principal struct {
	Email       string
	Scopes      []string
	Permissions []string // as cloudsql.instances.create; sorted
}

// Can reports whether the principal holds a permission.
func (p Principal) Can(permission string) bool {
	_, ok := slices.BinarySearch(p.Permissions, permission)
	return ok
}

// Authenticator names the principal behind a request's Authorization header, or
// says with 401 that there is none.
type Authenticator interface {
	Authenticate(r *http.Request) (Principal, *Error)
}

// Call is one request to a method of an API, with everything checked that is
// the same for all methods.
type Call struct {
	*http.Request
	Principal Principal
	Query     url.Values
}

// Answer is what a method answers.
type Answer struct {
	Code   int         // HTTP status; 0: 200
	Body   any         // marshalled as JSON; nil: no body
	Header http.Header // more headers
	Raw    func(w http.ResponseWriter) error
	// Raw, when set, writes the whole answer (media); Code, Body and Header are not used.
}

// OK answers 200 with a JSON body.
func OK(body any) (Answer, error) { return Answer{Body: body}, nil }

// Route is one method of an API.
type Route struct {
	ID         string   // as in the discovery document: sql.instances.insert
	Method     string   // HTTP verb
	Path       string   // http.ServeMux pattern, as /v1/projects/{project}/instances
	Permission string   // permission on the project that it takes; empty: any principal
	Query      []string // query parameters besides Google's common ones
	Serve      func(Call) (Answer, error)
}

// Service is one API.
type Service struct {
	Name      string   // as sqladmin.googleapis.com
	Scopes    []string // any one of them is enough, as in the discovery document
	Server    string   // Server header: ESF, or UploadServer for storage
	Routes    []Route
	NotServed []Route // methods that Google has and the lab has not: 501 (ID, Method, Path)
	Forbidden func(p Principal, r Route) *Error
	Auth      Authenticator
	Log       *slog.Logger
}

// commonQuery are the parameters that every Google API takes. What would change
// the answer's form (alt, fields) is looked at in checkQuery.
var commonQuery = []string{"alt", "prettyPrint", "key", "quotaUser", "userProject", "uploadType", "$.xgafv"}

// Handler is the API over HTTP.
func (s Service) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.Routes {
		mux.HandleFunc(r.Method+" "+r.Path, func(w http.ResponseWriter, req *http.Request) { s.serve(w, req, r) })
	}
	for _, r := range s.NotServed {
		r.Serve = func(Call) (Answer, error) { return Answer{}, NotServed("%s", r.ID) }
		mux.HandleFunc(r.Method+" "+r.Path, func(w http.ResponseWriter, req *http.Request) { s.serve(w, req, r) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if _, pattern := mux.Handler(req); pattern == "" {
			s.fail(w, req, noMethod())
			return
		}
		mux.ServeHTTP(w, req)
	})
}

func (s Service) serve(w http.ResponseWriter, req *http.Request, r Route) {
	answer, err := s.answer(req, r)
	if err != nil {
		s.fail(w, req, err)
		return
	}
	if answer.Raw != nil {
		if err := answer.Raw(w); err != nil {
			s.Log.Warn("answer cut short", "method", r.ID, "error", err.Error())
		}
		return
	}
	s.write(w, req, answer)
}

func (s Service) answer(req *http.Request, r Route) (Answer, error) {
	principal, e := s.Auth.Authenticate(req)
	if e != nil {
		return Answer{}, e
	}
	if !slices.ContainsFunc(s.Scopes, func(scope string) bool { return slices.Contains(principal.Scopes, scope) }) {
		return Answer{}, s.insufficientScope(r)
	}
	query, e := checkQuery(req, r)
	if e != nil {
		return Answer{}, e
	}
	if r.Permission != "" && !principal.Can(r.Permission) {
		return Answer{}, s.Forbidden(principal, r)
	}
	return r.Serve(Call{Request: req, Principal: principal, Query: query})
}

// insufficientScope is the front end's 403 for a token whose scopes do not reach.
func (s Service) insufficientScope(r Route) *Error {
	return &Error{
		Code: http.StatusForbidden, Message: "Request had insufficient authentication scopes.",
		Status: "PERMISSION_DENIED", Reason: "insufficientPermissions",
		Header:  http.Header{"Www-Authenticate": {`Bearer realm="https://accounts.google.com/", error="insufficient_scope", scope="` + strings.Join(s.Scopes, " ") + `"`}},
		Details: []any{Info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", "googleapis.com", map[string]string{"service": s.Name, "method": r.ID})},
	}
}

func checkQuery(req *http.Request, r Route) (url.Values, *Error) {
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return nil, Invalid("", "Invalid query: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case name == "fields":
			return nil, NotServed("the query parameter fields (partial responses)")
		case name == "alt" && query.Get(name) != "json" && !slices.Contains(r.Query, "alt="+query.Get(name)):
			return nil, NotServed("alt=%s", query.Get(name))
		case !slices.Contains(commonQuery, name) && !slices.Contains(r.Query, name):
			return nil, Invalid("", "Invalid JSON payload received. Unknown name %q: Cannot bind query parameter. Field '%s' could not be found in request message.", name, name)
		}
	}
	return query, nil
}

func (s Service) fail(w http.ResponseWriter, req *http.Request, err error) {
	var e *Error
	if !errors.As(err, &e) {
		e = Internal(err)
	}
	if e.Code >= 500 {
		s.Log.Warn("answered an error", "api", s.Name, "method", req.Method, "path", req.URL.Path, "error", err.Error())
	}
	s.write(w, req, Answer{Code: e.Code, Body: e, Header: e.Header})
}

func (s Service) write(w http.ResponseWriter, req *http.Request, a Answer) {
	code := a.Code
	if code == 0 {
		code = http.StatusOK
	}
	var body []byte
	if a.Body != nil {
		var err error
		if body, err = json.MarshalIndent(a.Body, "", "  "); err != nil {
			s.Log.Error("answer has no JSON", "path", req.URL.Path, "error", err.Error())
			http.Error(w, fmt.Sprintf(`{"error":{"code":500,"message":%q}}`, err.Error()), http.StatusInternalServerError)
			return
		}
		body = append(body, '\n')
	}
	s.header(w.Header(), code)
	for name, values := range a.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(code)
	if _, err := w.Write(body); err != nil {
		s.Log.Debug("client went away", "path", req.URL.Path, "error", err.Error())
	}
}

// header sets the headers that the recorded answers carry.
func (s Service) header(h http.Header, code int) {
	h.Set("Server", s.Server)
	h.Add("Vary", "Origin")
	h.Add("Vary", "X-Origin")
	if s.Server == "UploadServer" {
		if code == http.StatusNoContent {
			h.Set("Content-Type", "application/json")
		} else {
			h.Set("Content-Type", "application/json; charset=UTF-8")
		}
		return
	}
	h.Set("Content-Type", "application/json; charset=UTF-8")
	h.Add("Vary", "Referer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "SAMEORIGIN")
	h.Set("X-Xss-Protection", "0")
}
