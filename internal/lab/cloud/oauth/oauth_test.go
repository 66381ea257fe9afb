package oauth_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/oauth"
	"github.com/slipway-dev/slipway/internal/lab/cloud/recordingtest"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

const (
	tokenURI = "https://oauth2.google.lab/token"
	scope    = "https://www.googleapis.com/auth/cloud-platform"
)

// clock is a time that tests move.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

func newServer(t *testing.T) (*oauth.Server, *clock, []byte) {
	t.Helper()
	c := &clock{}
	s := oauth.New(oauth.Config{Project: "shop-lab", TokenURI: tokenURI, Now: c.now, Log: slog.New(slog.DiscardHandler)})
	key, err := s.CreateAccount("slipway", "roles/container.admin", "roles/browser")
	if err != nil {
		t.Fatal(err)
	}
	return s, c, key
}

// get asks for a token as the product does, with the real library.
func get(t *testing.T, s *oauth.Server, key []byte) (*oauth2.Token, error) {
	t.Helper()
	config, err := google.JWTConfigFromJSON(key, scope)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: recordingtest.Transport{Handler: s.Handler()}})
	return config.TokenSource(ctx).Token()
}

func authenticate(s *oauth.Server, header string) (string, int, http.Header) {
	r := httptest.NewRequest("GET", "https://sqladmin.google.lab/", nil)
	if header != "" {
		r.Header.Set("Authorization", header)
	}
	p, e := s.Authenticate(r)
	if e != nil {
		return "", e.Code, e.Header
	}
	return p.Email, 200, nil
}

func TestTokenWithTheRealClient(t *testing.T) {
	s, clock, key := newServer(t)
	token, err := get(t, s, key)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(token.Expiry); left < 50*time.Minute || left > time.Hour || token.TokenType != "Bearer" {
		t.Errorf("token expires in %s", left)
	}
	if email, code, _ := authenticate(s, "Bearer "+token.AccessToken); code != 200 || email != "slipway@shop-lab.iam.gserviceaccount.com" {
		t.Errorf("the token is of %q, %d", email, code)
	}
	for name, header := range map[string]string{
		"no header": "", "another kind": "Basic eDp5", "no token": "Bearer ", "a token that is none": "Bearer ya29.c.none", "a token with more": "Bearer " + token.AccessToken + "x",
	} {
		if _, code, h := authenticate(s, header); code != 401 || !strings.HasPrefix(h.Get("Www-Authenticate"), "Bearer") {
			t.Errorf("%s: %d %v, want 401", name, code, h)
		}
	}
	clock.forward(time.Hour + time.Second)
	if _, code, _ := authenticate(s, "Bearer "+token.AccessToken); code != 401 {
		t.Errorf("an expired token: %d, want 401", code)
	}
}

func TestKeyFile(t *testing.T) {
	_, _, key := newServer(t)
	var k map[string]string
	if err := json.Unmarshal(key, &k); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"type": "service_account", "project_id": "shop-lab", "client_email": "slipway@shop-lab.iam.gserviceaccount.com", "token_uri": tokenURI, "universe_domain": "googleapis.com",
	} {
		if k[name] != want {
			t.Errorf("%s is %q, want %q", name, k[name], want)
		}
	}
	if len(k["client_id"]) != 21 || len(k["private_key_id"]) != 40 {
		t.Errorf("client_id %q, private_key_id %q", k["client_id"], k["private_key_id"])
	}
}

// assertion signs claims with a key file's key; change may alter anything.
type assertion struct {
	header, claims map[string]any
	key            *rsa.PrivateKey
}

func newAssertion(t *testing.T, file []byte) *assertion {
	t.Helper()
	var k map[string]string
	if err := json.Unmarshal(file, &k); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(k["private_key"]))
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	return &assertion{
		header: map[string]any{"alg": "RS256", "typ": "JWT", "kid": k["private_key_id"]},
		claims: map[string]any{"iss": k["client_email"], "scope": scope, "aud": tokenURI, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()},
		key:    parsed.(*rsa.PrivateKey),
	}
}

func (a *assertion) sign(t *testing.T) string {
	t.Helper()
	part := func(m map[string]any) string {
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	text := part(a.header) + "." + part(a.claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, a.key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func post(s *oauth.Server, form url.Values) (int, string) {
	r := httptest.NewRequest("POST", tokenURI, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	var answer struct {
		Error string `json:"error"`
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		return w.Code, err.Error()
	}
	if answer.Token != "" {
		return w.Code, "a token"
	}
	return w.Code, answer.Error
}

// TestGrantIsChecked: everything that must be right is wrong once.
func TestGrantIsChecked(t *testing.T) {
	s, _, file := newServer(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, tt := range []struct {
		name   string
		change func(*assertion)
		code   int
		want   string
	}{
		{"as it should be", func(*assertion) {}, 200, "a token"},
		{"another's signature", func(a *assertion) { a.key = other }, 400, "invalid_grant"},
		{"another key id", func(a *assertion) { a.header["kid"] = "x" }, 400, "invalid_grant"},
		{"no algorithm", func(a *assertion) { a.header["alg"] = "none" }, 400, "invalid_grant"},
		{"another audience", func(a *assertion) { a.claims["aud"] = "https://oauth2.googleapis.com/token" }, 400, "invalid_grant"},
		{"expired", func(a *assertion) {
			a.claims["iat"], a.claims["exp"] = now.Add(-2*time.Hour).Unix(), now.Add(-time.Hour).Unix()
		}, 400, "invalid_grant"},
		{"too long", func(a *assertion) { a.claims["exp"] = now.Add(2 * time.Hour).Unix() }, 400, "invalid_grant"},
		{"from the future", func(a *assertion) {
			a.claims["iat"], a.claims["exp"] = now.Add(time.Hour).Unix(), now.Add(2*time.Hour).Unix()
		}, 400, "invalid_grant"},
		{"an unknown account", func(a *assertion) { a.claims["iss"] = "x@shop-lab.iam.gserviceaccount.com" }, 400, "invalid_grant"},
		{"on behalf of a person", func(a *assertion) { a.claims["sub"] = "person@example.com" }, 401, "unauthorized_client"},
		{"no scope", func(a *assertion) { a.claims["scope"] = "" }, 400, "invalid_scope"},
		{"a scope that is none", func(a *assertion) { a.claims["scope"] = scope + " https://example.com/x" }, 400, "invalid_scope"},
	} {
		a := newAssertion(t, file)
		tt.change(a)
		code, got := post(s, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {a.sign(t)}})
		if code != tt.code || got != tt.want {
			t.Errorf("%s: %d %s, want %d %s", tt.name, code, got, tt.code, tt.want)
		}
	}
	if code, got := post(s, url.Values{"grant_type": {"refresh_token"}}); code != 400 || got != "unsupported_grant_type" {
		t.Errorf("another grant: %d %s", code, got)
	}
	if code, got := post(s, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {"a.b"}}); code != 400 || got != "invalid_grant" {
		t.Errorf("no JWT: %d %s", code, got)
	}
}

func TestRoles(t *testing.T) {
	s, _, key := newServer(t)
	token, err := get(t, s, key)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "https://x/", nil)
	r.Header.Set("Authorization", "Bearer "+token.AccessToken)
	p, e := s.Authenticate(r)
	if e != nil {
		t.Fatal(e)
	}
	if !p.Can("container.clusters.create") || !p.Can("resourcemanager.projects.get") || p.Can("cloudsql.instances.create") || p.Can("container.clusters") {
		t.Errorf("permissions are %v", p.Permissions)
	}
	if err := s.SetRoles("slipway", "roles/cloudsql.viewer"); err != nil {
		t.Fatal(err)
	}
	if p, e = s.Authenticate(r); e != nil || p.Can("container.clusters.create") || !p.Can("cloudsql.instances.get") || p.Can("cloudsql.instances.create") {
		t.Errorf("after a change of roles: %v %v", p.Permissions, e)
	}
	if _, err := s.CreateAccount("x", "roles/owner"); err == nil {
		t.Error("a role that the lab does not know is taken")
	}
	if _, err := s.CreateAccount("slipway", "roles/browser"); err == nil {
		t.Error("an account is made twice")
	}
}

func TestTokenReview(t *testing.T) {
	s, clock, key := newServer(t)
	token, err := get(t, s, key)
	if err != nil {
		t.Fatal(err)
	}
	review := func(value string) (int, struct {
		Authenticated bool
		User          struct {
			Username string
			Groups   []string
		}
	}) {
		body := `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"` + value + `","audiences":["https://kubernetes.default.svc"]}}`
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest("POST", "https://10.77.0.2/tokenreview", strings.NewReader(body)))
		var answer struct {
			Status struct {
				Authenticated bool
				User          struct {
					Username string
					Groups   []string
				}
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		return w.Code, answer.Status
	}
	if code, got := review(token.AccessToken); code != 200 || !got.Authenticated || got.User.Username != "slipway@shop-lab.iam.gserviceaccount.com" || !slices.Contains(got.User.Groups, "iam:roles/container.admin") {
		t.Errorf("%d %+v", code, got)
	}
	if _, got := review("none"); got.Authenticated {
		t.Error("an unknown token is good")
	}
	clock.forward(2 * time.Hour)
	if _, got := review(token.AccessToken); got.Authenticated {
		t.Error("an expired token is good")
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("POST", "https://10.77.0.2/tokenreview", bytes.NewReader([]byte(`{}`))))
	if w.Code != 400 {
		t.Errorf("no TokenReview: %d", w.Code)
	}
}
