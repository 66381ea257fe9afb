// Package google speaks with the Google APIs that a migration needs (container v1, sqladmin v1, dns v1, resource manager v1, storage v1). Each API is
// handed out as a looker, which has no method that changes anything, or as a maker, which is bound to a run's stamp and changes or
// deletes nothing that doesn't carry it. Methods that start an operation return when the operation has ended, and find an operation or
// a thing that an earlier attempt has begun. The package imports no engine, no step and no Kubernetes client.
package google

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"
	"google.golang.org/api/cloudresourcemanager/v1"
	"google.golang.org/api/container/v1"
	"google.golang.org/api/dns/v1"
	"google.golang.org/api/option"
	"google.golang.org/api/sqladmin/v1"
	"google.golang.org/api/storage/v1"

	"github.com/slipway-dev/slipway/internal/secret"
)

// scope is what a service account's token may be used for; what it may really do is decided by its roles.
const scope = "https://www.googleapis.com/auth/cloud-platform"

// requestTimeout bounds one HTTP exchange, the body included. Operations take longer, but they are polled.
const requestTimeout = time.Minute

// Tell takes progress: what is waited for, and how far it is (total 0: not known).
type Tell func(what string, done, total int64)

// Endpoints are the APIs' addresses, "https://host/" each; an empty one is Google's own.
type Endpoints struct {
	SQLAdmin        string
	Container       string
	DNS             string
	ResourceManager string
	Storage         string
}

// Options say who speaks to Google, and where Google is.
type Options struct {
	Key       secret.String // a service account's key file, JSON, as "gcloud iam service-accounts keys create" writes it
	CAFile    string        // PEM; certificates trusted besides the system's; "" for none
	Endpoints Endpoints
	UserAgent string
}

// Client holds the connections. It is safe for concurrent use.
type Client struct {
	email  string
	http   *http.Client
	tokens oauth2.TokenSource
	agent  string

	sql       *sqladmin.Service
	container *container.Service
	dns       *dns.Service
	projects  *cloudresourcemanager.Service
	storage   *storage.Service

	pace pace
}

// keyFile is the part of a service account's key that is used. Its layout is described at
// https://cloud.google.com/iam/docs/keys-create-delete#creating.
type keyFile struct {
	Type         string `json:"type"`
	ClientEmail  string `json:"client_email"`
	PrivateKey   string `json:"private_key"`
	PrivateKeyID string `json:"private_key_id"`
	TokenURI     string `json:"token_uri"`
}

func parseKey(raw secret.String) (keyFile, error) {
	var k keyFile
	if err := json.Unmarshal([]byte(raw.Reveal()), &k); err != nil {
		// The decoder's own message may quote the key.
		return k, errors.New("google key: not a JSON file; make one with: gcloud iam service-accounts keys create FILE --iam-account ACCOUNT")
	}
	switch {
	case k.Type != "service_account":
		return k, fmt.Errorf("google key: type is %q, not \"service_account\"; make one with: gcloud iam service-accounts keys create FILE --iam-account ACCOUNT", k.Type)
	case k.ClientEmail == "" || k.PrivateKey == "":
		return k, errors.New("google key: client_email or private_key is missing")
	}
	u, err := url.Parse(k.TokenURI)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return k, fmt.Errorf("google key of %s: token_uri %q is not an https address", k.ClientEmail, k.TokenURI)
	}
	return k, nil
}

// New reads the key and the CA file, and dials nothing.
func New(o Options) (*Client, error) {
	k, err := parseKey(o.Key)
	if err != nil {
		return nil, err
	}
	roots, err := Roots(o.CAFile)
	if err != nil {
		return nil, err
	}
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	base.ResponseHeaderTimeout = requestTimeout

	conf := jwt.Config{Email: k.ClientEmail, PrivateKey: []byte(k.PrivateKey), PrivateKeyID: k.PrivateKeyID,
		Scopes: []string{scope}, TokenURL: k.TokenURI}
	// The token source keeps this context for its HTTP client alone; each exchange is bounded by the client's timeout.
	way := &witness{base: base}
	tctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: way, Timeout: requestTimeout})
	c := &Client{email: k.ClientEmail, agent: o.UserAgent, pace: googlePace}
	c.tokens = keyTokens{conf.TokenSource(tctx), way}
	c.http = &http.Client{Transport: &oauth2.Transport{Source: c.tokens, Base: base}, Timeout: requestTimeout}

	ctx := context.Background() // the constructors only keep the HTTP client
	if c.sql, err = sqladmin.NewService(ctx, c.options(o.Endpoints.SQLAdmin)...); err != nil {
		return nil, fmt.Errorf("google sqladmin client: %w", err)
	}
	if c.container, err = container.NewService(ctx, c.options(o.Endpoints.Container)...); err != nil {
		return nil, fmt.Errorf("google container client: %w", err)
	}
	if c.dns, err = dns.NewService(ctx, c.options(o.Endpoints.DNS)...); err != nil {
		return nil, fmt.Errorf("google dns client: %w", err)
	}
	if c.projects, err = cloudresourcemanager.NewService(ctx, c.options(o.Endpoints.ResourceManager)...); err != nil {
		return nil, fmt.Errorf("google resource manager client: %w", err)
	}
	if c.storage, err = storage.NewService(ctx, c.options(storageBase(o.Endpoints.Storage))...); err != nil {
		return nil, fmt.Errorf("google storage client: %w", err)
	}
	c.sql.UserAgent, c.container.UserAgent, c.dns.UserAgent, c.projects.UserAgent, c.storage.UserAgent = o.UserAgent, o.UserAgent, o.UserAgent, o.UserAgent, o.UserAgent
	return c, nil
}

// storageBase is the address that the client of Cloud Storage wants: its methods are below storage/v1 of the API's.
func storageBase(endpoint string) string {
	if endpoint == "" {
		return ""
	}
	return strings.TrimSuffix(endpoint, "/") + "/storage/v1/"
}

func (c *Client) options(endpoint string) []option.ClientOption {
	opts := []option.ClientOption{option.WithHTTPClient(c.http)}
	if endpoint != "" {
		opts = append(opts, option.WithEndpoint(endpoint))
	}
	return opts
}

// witness keeps the last error of the way to the token endpoint, which the token source gives as text alone: whether a certificate was
// wrong or a server was in trouble decides what is done next.
type witness struct {
	base http.RoundTripper
	mu   sync.Mutex
	err  error
}

func (w *witness) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := w.base.RoundTrip(r)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
	return res, err
}

type keyTokens struct {
	from oauth2.TokenSource
	way  *witness
}

func (k keyTokens) Token() (*oauth2.Token, error) {
	tok, err := k.from.Token()
	if err == nil {
		return tok, nil
	}
	k.way.mu.Lock()
	defer k.way.mu.Unlock()
	if k.way.err != nil {
		return nil, fmt.Errorf("ask for a token: %w", k.way.err)
	}
	return nil, err
}

// Account is the service account's e-mail address, which roles are granted to.
func (c *Client) Account() string { return c.email }

// Tokens are the account's access tokens. A GKE cluster's API server takes the same.
func (c *Client) Tokens() oauth2.TokenSource { return c.tokens }

// Roots are the system's certificates and those of a PEM file; "" for the system's alone.
func Roots(file string) (*x509.CertPool, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's certificates: %w", err)
	}
	if file == "" {
		return roots, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file %s: holds no PEM certificate", file)
	}
	return roots, nil
}
