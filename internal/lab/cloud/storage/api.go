package storage

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	api "google.golang.org/api/storage/v1"
)

// Options is what an API is made of.
type Options struct {
	Project       string // id
	ProjectNumber uint64
	Dir           string // where objects are kept; emptied by New
	Auth          rest.Authenticator
	Log           *slog.Logger
	Now           func() time.Time // nil: time.Now
}

// API is the Cloud Storage API of one project.
type API struct {
	o Options

	mu       sync.Mutex
	buckets  map[string]*bucket
	sessions map[string]*session // resumable uploads by id
	last     int64               // last generation that was given out, in microseconds
}

type bucket struct {
	message *api.Bucket
	objects map[string]*object
}

// object is a live object; it is replaced, never changed.
type object struct {
	message *api.Object
	file    string
}

// New makes the API with no bucket.
func New(o Options) (*API, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := os.RemoveAll(o.Dir); err != nil {
		return nil, fmt.Errorf("empty the storage directory: %w", err)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the storage directory: %w", err)
	}
	return &API{o: o, buckets: make(map[string]*bucket), sessions: make(map[string]*session)}, nil
}

// Handler is the API over HTTP.
func (a *API) Handler() http.Handler {
	const b = "/storage/v1/b"
	const one = b + "/{bucket}"
	const upload = "/upload/storage/v1/b/{bucket}/o"
	conditions := []string{"ifGenerationMatch", "ifGenerationNotMatch", "ifMetagenerationMatch", "ifMetagenerationNotMatch", "generation", "projection", "softDeleted"}
	media := append([]string{"alt=media"}, conditions...)
	uploads := append([]string{"name", "upload_id", "contentEncoding", "predefinedAcl", "kmsKeyName"}, conditions...)
	return rest.Service{
		Name: "storage.googleapis.com", Server: "UploadServer", Auth: a.o.Auth, Log: a.o.Log, Forbidden: forbidden,
		Scopes: []string{"https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/devstorage.full_control", "https://www.googleapis.com/auth/devstorage.read_write"},
		Routes: []rest.Route{
			{ID: "storage.buckets.insert", Method: "POST", Path: b, Permission: "storage.buckets.create", Query: []string{"project", "projection", "enableObjectRetention", "predefinedAcl", "predefinedDefaultObjectAcl"}, Serve: a.insertBucket},
			{ID: "storage.buckets.list", Method: "GET", Path: b, Permission: "storage.buckets.list", Query: []string{"project", "projection", "maxResults", "pageToken", "prefix", "softDeleted"}, Serve: a.listBuckets},
			{ID: "storage.buckets.get", Method: "GET", Path: one, Permission: "storage.buckets.get", Query: conditions, Serve: a.getBucket},
			{ID: "storage.buckets.delete", Method: "DELETE", Path: one, Permission: "storage.buckets.delete", Query: conditions, Serve: a.deleteBucket},
			{ID: "storage.objects.insert", Method: "POST", Path: upload, Permission: "storage.objects.create", Query: uploads, Serve: a.upload},
			{ID: "storage.objects.insert", Method: "PUT", Path: upload, Permission: "storage.objects.create", Query: uploads, Serve: a.resume},
			{ID: "storage.objects.list", Method: "GET", Path: one + "/o", Permission: "storage.objects.list", Query: []string{"prefix", "delimiter", "maxResults", "pageToken", "projection", "startOffset", "endOffset", "includeTrailingDelimiter", "versions", "softDeleted", "matchGlob", "includeFoldersAsPrefixes"}, Serve: a.listObjects},
			{ID: "storage.objects.get", Method: "GET", Path: one + "/o/{object}", Permission: "storage.objects.get", Query: media, Serve: a.getObject},
			{ID: "storage.objects.get", Method: "GET", Path: "/download" + one + "/o/{object}", Permission: "storage.objects.get", Query: media, Serve: a.getObject},
			{ID: "storage.objects.delete", Method: "DELETE", Path: one + "/o/{object}", Permission: "storage.objects.delete", Query: conditions, Serve: a.deleteObject},
		},
		NotServed: []rest.Route{
			{ID: "storage.buckets.patch", Method: "PATCH", Path: one},
			{ID: "storage.buckets.update", Method: "PUT", Path: one},
			{ID: "storage.buckets.getIamPolicy", Method: "GET", Path: one + "/iam"},
			{ID: "storage.buckets.setIamPolicy", Method: "PUT", Path: one + "/iam"},
			{ID: "storage.objects.insert without media", Method: "POST", Path: one + "/o"},
			{ID: "storage.objects.patch", Method: "PATCH", Path: one + "/o/{object}"},
			{ID: "storage.objects.update", Method: "PUT", Path: one + "/o/{object}"},
			{ID: "storage.objects.compose", Method: "POST", Path: one + "/o/{object}/compose"},
			{ID: "storage.objects.copy", Method: "POST", Path: one + "/o/{object}/copyTo/b/{to}/o/{as}"},
			{ID: "storage.objects.rewrite", Method: "POST", Path: one + "/o/{object}/rewriteTo/b/{to}/o/{as}"},
		},
	}.Handler()
}

// generation gives out the next generation: microseconds since 1970, growing.
// a.mu must be held.
func (a *API) generation() int64 {
	a.last = max(a.last+1, a.o.Now().UnixMicro())
	return a.last
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func randomHex(n int) string {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		panic(err) // crypto/rand.Read never fails since Go 1.24
	}
	return hex.EncodeToString(b)
}
