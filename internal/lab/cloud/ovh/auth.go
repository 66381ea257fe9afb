package ovh

import (
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Rule allows a method on the paths that a pattern matches, in which * stands
// for anything, slashes too: as in OVH's access rules.
type Rule struct {
	Method string `json:"method"`
	Path   string `json:"path"`
}

// Credentials are an application's key and secret and one consumer key of it.
type Credentials struct {
	ApplicationKey    string `json:"application_key"`
	ApplicationSecret string `json:"application_secret"`
	ConsumerKey       string `json:"consumer_key"`

	rules   []Rule
	created time.Time
	id      int64
}

// Grant makes credentials that may do what the rules allow and nothing else.
func (a *API) Grant(rules ...Rule) (Credentials, error) {
	var random [40]byte
	if _, err := rand.Read(random[:]); err != nil {
		return Credentials{}, fmt.Errorf("random bytes: %w", err)
	}
	h := hex.EncodeToString(random[:])
	a.mu.Lock()
	defer a.mu.Unlock()
	c := &Credentials{
		ApplicationKey: h[:16], ApplicationSecret: h[16:48], ConsumerKey: h[48:80],
		rules: rules, created: a.o.Now(), id: int64(len(a.keys) + 1),
	}
	a.keys[c.ConsumerKey] = c
	return *c, nil
}

// window is how far a request's timestamp may be from the server's clock.
const window = 5 * time.Minute

const maxBody = 1 << 20

func clientError(code int, class, errorCode, message string) *apiError {
	return &apiError{code: code, Class: class, ErrorCode: errorCode, Message: message}
}

// authenticate checks the signature and the access rules:
// "$1$" + SHA1(secret + "+" + consumer key + "+" + method + "+" + URL + "+" + body + "+" + timestamp).
func (a *API) authenticate(w http.ResponseWriter, r *http.Request) (call, *apiError) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return call{}, clientError(http.StatusBadRequest, "Client::BadRequest", "", "The body could not be read: "+err.Error())
	}
	application, consumer := r.Header.Get("X-Ovh-Application"), r.Header.Get("X-Ovh-Consumer")
	if application == "" {
		return call{}, clientError(http.StatusForbidden, "Client::Forbidden", "INVALID_KEY", "This application key is invalid")
	}
	if consumer == "" {
		return call{}, clientError(http.StatusForbidden, "Client::Forbidden", "MISSING_CREDENTIAL", "You must login first")
	}
	a.mu.Lock()
	key, ok := a.keys[consumer]
	a.mu.Unlock()
	switch {
	case ok && key.ApplicationKey != application || !ok && !a.knownApplication(application):
		return call{}, clientError(http.StatusForbidden, "Client::Forbidden", "INVALID_KEY", "This application key is invalid")
	case !ok:
		return call{}, clientError(http.StatusForbidden, "Client::Forbidden", "INVALID_CREDENTIAL", "This credential is not valid")
	}
	stamp := r.Header.Get("X-Ovh-Timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || a.o.Now().Sub(time.Unix(seconds, 0)).Abs() > window {
		return call{}, clientError(http.StatusBadRequest, "Client::BadRequest", "QUERY_TIME_OUT", "Query out of time")
	}
	where := "https://" + r.Host + r.URL.RequestURI()
	sum := sha1.Sum([]byte(strings.Join([]string{key.ApplicationSecret, consumer, r.Method, where, string(body), stamp}, "+")))
	want := "$1$" + hex.EncodeToString(sum[:])
	if subtle.ConstantTimeCompare([]byte(want), []byte(r.Header.Get("X-Ovh-Signature"))) != 1 {
		return call{}, clientError(http.StatusBadRequest, "Client::BadRequest", "INVALID_SIGNATURE", "Invalid signature")
	}
	if path := strings.TrimPrefix(r.URL.Path, "/1.0"); !key.allows(r.Method, path) {
		return call{}, clientError(http.StatusForbidden, "Client::Forbidden", "NOT_GRANTED_CALL", "This call has not been granted")
	}
	return call{Request: r, body: body, key: key}, nil
}

func (a *API) knownApplication(key string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.keys {
		if c.ApplicationKey == key {
			return true
		}
	}
	return false
}

func (c *Credentials) allows(method, path string) bool {
	if strings.HasPrefix(path, "/auth/") {
		return true // a credential may always ask about itself
	}
	for _, r := range c.rules {
		if r.Method == method && wildcard(r.Path, path) {
			return true
		}
	}
	return false
}

// wildcard matches a pattern in which * stands for any characters.
func wildcard(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return strings.HasSuffix(text, parts[len(parts)-1])
}

type credentialInfo struct {
	ApplicationID int64     `json:"applicationId"`
	CredentialID  int64     `json:"credentialId"`
	Creation      time.Time `json:"creation"`
	Status        string    `json:"status"`
	OVHSupport    bool      `json:"ovhSupport"`
	Rules         []Rule    `json:"rules"`
}

func (a *API) currentCredential(c call) (int, any, *apiError) {
	return http.StatusOK, credentialInfo{ApplicationID: c.key.id, CredentialID: c.key.id, Creation: c.key.created, Status: "validated", Rules: c.key.rules}, nil
}

// query refuses parameters that a method does not have.
func query(r *http.Request, known ...string) (url.Values, *apiError) {
	values := r.URL.Query()
	left := len(values)
	for _, name := range known {
		if values.Has(name) {
			left--
		}
	}
	if left > 0 {
		return nil, clientError(http.StatusBadRequest, "Client::BadRequest", "", "Received a parameter that this call does not have")
	}
	return values, nil
}
