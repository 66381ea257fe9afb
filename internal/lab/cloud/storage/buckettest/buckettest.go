// Package buckettest serves the lab's Cloud Storage over HTTPS within a test, and reaches it as the product does: through package google,
// with a service account's key. A test can have requests and answers get lost.
//
// It is imported by tests alone.
package buckettest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	"github.com/slipway-dev/slipway/internal/lab/cloud/storage"
	"github.com/slipway-dev/slipway/internal/secret"
)

// Name is the bucket's.
const Name = "artifacts"

type allowed struct{}

func (allowed) Authenticate(r *http.Request) (rest.Principal, *rest.Error) {
	return rest.Principal{Email: "user@example.com", Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"},
		Permissions: []string{"storage.buckets.create", "storage.objects.create", "storage.objects.delete", "storage.objects.get", "storage.objects.list"}}, nil
}

// Cloud is the lab's storage API over HTTPS. before, if not nil, is asked of each request (see Hook): false cuts its connection; after, of each that
// was answered: false keeps the answer back, and cuts it.
type Cloud struct {
	t             testing.TB
	srv           *httptest.Server
	ca            string
	mu            sync.Mutex
	before, after func(*http.Request) bool
}

func (c *Cloud) hooks() (before, after func(*http.Request) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.before, c.after
}

// Hook sets what is asked.
func (c *Cloud) Hook(before, after func(*http.Request) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.before, c.after = before, after
}

func cut(w http.ResponseWriter) {
	if hj, ok := w.(http.Hijacker); ok {
		if conn, _, err := hj.Hijack(); err == nil {
			conn.Close()
		}
	}
}

// New serves it, with one empty bucket, until the test ends.
func New(t testing.TB) *Cloud {
	t.Helper()
	a, err := storage.New(storage.Options{Project: "shop-lab", ProjectNumber: 271828182845, Dir: t.TempDir(), Auth: allowed{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	c := &Cloud{t: t}
	h := a.Handler()
	c.srv = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			fmt.Fprintf(w, `{"access_token":"token","token_type":"Bearer","expires_in":3600}`)
			return
		}
		before, after := c.hooks()
		if before != nil && !before(r) {
			cut(w)
			return
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if r.URL.Query().Get("ifGenerationMatch") == "" && (r.Method == http.MethodDelete || strings.HasPrefix(r.URL.Path, "/upload/")) {
			t.Errorf("%s %s without a condition", r.Method, r.URL)
		}
		if after != nil && !after(r) {
			cut(w)
			return
		}
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		w.Write(rec.Body.Bytes())
	}))
	c.srv.Config.ErrorLog = log.New(io.Discard, "", 0) // of connections that were cut
	c.srv.StartTLS()
	t.Cleanup(c.srv.Close)
	c.ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(c.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.srv.URL+"/storage/v1/b?project=shop-lab", strings.NewReader(`{"name":"`+Name+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.srv.Client().Do(req)
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	res.Body.Close()
	return c
}

var key = sync.OnceValues(func() ([]byte, error) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
})

// Bucket is the bucket, as the product reaches it.
func (c *Cloud) Bucket() google.Bucket { return c.BucketAs("slipway-test") }

// BucketAs is the same under a user agent, by which a hook tells who asks.
func (c *Cloud) BucketAs(agent string) google.Bucket {
	c.t.Helper()
	private, err := key()
	if err != nil {
		c.t.Fatal(err)
	}
	file, err := json.Marshal(map[string]string{"type": "service_account", "client_email": "user@example.com", "private_key": string(private), "token_uri": c.srv.URL + "/token"})
	if err != nil {
		c.t.Fatal(err)
	}
	g, err := google.New(google.Options{Key: secret.New(string(file)), CAFile: c.ca, UserAgent: agent, Endpoints: google.Endpoints{Storage: c.srv.URL + "/"}})
	if err != nil {
		c.t.Fatal(err)
	}
	return g.Bucket(Name)
}
