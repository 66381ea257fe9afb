package oauth

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
)

// Config is what a Server is made of.
type Config struct {
	Project  string           // project id: the domain of the service accounts
	TokenURI string           // URL of the token endpoint; the audience of assertions
	Lifetime time.Duration    // of an access token; 0: one hour, as Google's
	Now      func() time.Time // nil: time.Now
	Log      *slog.Logger
}

// Server holds service accounts and the access tokens that were given out. All
// of it lives in memory: a lab that starts again has new keys.
type Server struct {
	project  string
	tokenURI string
	lifetime time.Duration
	now      func() time.Time
	log      *slog.Logger

	mu       sync.Mutex
	accounts map[string]*account
	tokens   map[string]token
}

type token struct {
	email   string
	scopes  []string
	expires time.Time
}

// New makes a Server without any account.
func New(c Config) *Server {
	s := &Server{
		project: c.Project, tokenURI: c.TokenURI, lifetime: c.Lifetime, now: c.Now, log: c.Log,
		accounts: make(map[string]*account), tokens: make(map[string]token),
	}
	if s.lifetime == 0 {
		s.lifetime = time.Hour
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// knownScopes are the scopes that one of the lab's APIs takes.
var knownScopes = []string{
	"https://www.googleapis.com/auth/cloud-platform",
	"https://www.googleapis.com/auth/cloud-platform.read-only",
	"https://www.googleapis.com/auth/sqlservice.admin",
	"https://www.googleapis.com/auth/ndev.clouddns.readonly",
	"https://www.googleapis.com/auth/ndev.clouddns.readwrite",
	"https://www.googleapis.com/auth/devstorage.full_control",
	"https://www.googleapis.com/auth/devstorage.read_only",
	"https://www.googleapis.com/auth/devstorage.read_write",
	"https://www.googleapis.com/auth/userinfo.email",
}

// grantError is RFC 6749's error document, in which the token endpoint answers.
type grantError struct {
	Code        int    `json:"-"` // HTTP status
	Name        string `json:"error"`
	Description string `json:"error_description"`
}

func invalidGrant(description string) *grantError {
	return &grantError{Code: http.StatusBadRequest, Name: "invalid_grant", Description: description}
}

type grant struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
	TokenType   string `json:"token_type"`
}

const bearerGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// Handler serves POST /token, and POST /tokenreview for the clusters' API servers.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", s.serveToken)
	mux.HandleFunc("POST /tokenreview", s.serveReview)
	return mux
}

func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		s.write(w, http.StatusBadRequest, &grantError{Name: "invalid_request", Description: "Bad Request"})
		return
	}
	if kind := r.PostForm.Get("grant_type"); kind != bearerGrant {
		s.write(w, http.StatusBadRequest, &grantError{Name: "unsupported_grant_type", Description: "Invalid grant_type: " + kind})
		return
	}
	g, e := s.grant(r.PostForm.Get("assertion"))
	if e != nil {
		s.log.Info("token refused", "error", e.Name, "description", e.Description)
		s.write(w, e.Code, e)
		return
	}
	s.write(w, http.StatusOK, g)
}

func (s *Server) grant(text string) (grant, *grantError) {
	a, e := parseAssertion(text)
	if e != nil {
		return grant{}, e
	}
	scopes := strings.Fields(a.claims.Scope)
	s.mu.Lock()
	defer s.mu.Unlock()
	signer, ok := s.accounts[a.claims.Issuer]
	if !ok {
		return grant{}, invalidGrant("Invalid grant: account not found")
	}
	now := s.now()
	if e := a.verify(signer, s.tokenURI, now); e != nil {
		return grant{}, e
	}
	if !validScopes(scopes) {
		return grant{}, &grantError{Code: http.StatusBadRequest, Name: "invalid_scope", Description: "Invalid OAuth scope or ID token audience provided."}
	}
	random := make([]byte, 96)
	if _, err := rand.Read(random); err != nil {
		return grant{}, &grantError{Code: http.StatusInternalServerError, Name: "internal_failure", Description: err.Error()}
	}
	value := "ya29.c." + base64.RawURLEncoding.EncodeToString(random)
	for t, old := range s.tokens {
		if now.After(old.expires) {
			delete(s.tokens, t)
		}
	}
	s.tokens[value] = token{email: signer.email, scopes: scopes, expires: now.Add(s.lifetime)}
	return grant{AccessToken: value, ExpiresIn: int64(s.lifetime / time.Second), TokenType: "Bearer"}, nil
}

func validScopes(scopes []string) bool {
	for _, scope := range scopes {
		known := false
		for _, k := range knownScopes {
			known = known || k == scope
		}
		if !known {
			return false
		}
	}
	return len(scopes) > 0
}

// Authenticate implements rest.Authenticator.
func (s *Server) Authenticate(r *http.Request) (rest.Principal, *rest.Error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return rest.Principal{}, unauthenticated("Request is missing required authentication credential. ", "CREDENTIALS_MISSING")
	}
	kind, value, _ := strings.Cut(header, " ")
	if !strings.EqualFold(kind, "Bearer") {
		return rest.Principal{}, unauthenticated("Request had invalid authentication credentials. ", "ACCESS_TOKEN_TYPE_UNSUPPORTED")
	}
	p, _, ok := s.lookup(strings.TrimSpace(value))
	if !ok {
		return rest.Principal{}, unauthenticated("Request had invalid authentication credentials. ", "ACCESS_TOKEN_EXPIRED")
	}
	return p, nil
}

// lookup finds who a token that is not expired was given to, and its roles.
func (s *Server) lookup(value string) (rest.Principal, []string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tokens[value]
	if !ok || !s.now().Before(t.expires) {
		return rest.Principal{}, nil, false
	}
	a, ok := s.accounts[t.email]
	if !ok {
		return rest.Principal{}, nil, false
	}
	return rest.Principal{Email: a.email, Scopes: t.scopes, Permissions: a.permissions}, a.roles, true
}

func unauthenticated(what, reason string) *rest.Error {
	return &rest.Error{
		Code:         http.StatusUnauthorized,
		Message:      what + "Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
		Status:       "UNAUTHENTICATED",
		Reason:       "authError",
		Location:     "Authorization",
		LocationType: "header",
		Header:       http.Header{"Www-Authenticate": {`Bearer realm="https://accounts.google.com/", error="invalid_token"`}},
		Details:      []any{rest.Info(reason, "googleapis.com", nil)},
	}
}

func (s *Server) write(w http.ResponseWriter, code int, body any) {
	raw, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		s.log.Error("token answer has no JSON", "error", err.Error())
		http.Error(w, fmt.Sprintf(`{"error":"internal_failure","error_description":%q}`, err.Error()), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "private")
	w.WriteHeader(code)
	if _, err := w.Write(raw); err != nil {
		s.log.Debug("client went away", "error", err.Error())
	}
}
