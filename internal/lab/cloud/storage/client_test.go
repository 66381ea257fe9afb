package storage_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/cloud/recordingtest"
	"github.com/slipway-dev/slipway/internal/lab/cloud/storage"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
	api "google.golang.org/api/storage/v1"
)

func client(t *testing.T, a *storage.API) *api.Service {
	t.Helper()
	c, err := api.NewService(context.Background(), option.WithEndpoint("https://storage.google.lab/storage/v1/"),
		option.WithHTTPClient(&http.Client{Transport: recordingtest.Transport{Handler: a.Handler(), Token: everything}}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Buckets.Insert(project, &api.Bucket{Name: "artifacts", Location: "europe-west1"}).Do(); err != nil {
		t.Fatal(err)
	}
	return c
}

func refused(t *testing.T, what string, err error, code int, reason string) {
	t.Helper()
	var e *googleapi.Error
	if !errors.As(err, &e) || len(e.Errors) == 0 || e.Code != code || e.Errors[0].Reason != reason {
		t.Errorf("%s: %v, want %d %s", what, err, code, reason)
	}
}

func download(t *testing.T, c *api.Service, name, span string) []byte {
	t.Helper()
	call := c.Objects.Get("artifacts", name)
	if span != "" {
		call.Header().Set("Range", span)
	}
	r, err := call.Download()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestUploads: in one request, in two parts, and resumable in chunks; what comes
// back is what went in.
func TestUploads(t *testing.T) {
	a, dir := newAPI(t)
	c := client(t, a)
	random := make([]byte, 3<<20+17)
	for i := range random {
		random[i] = byte(rand.IntN(256))
	}
	sum := md5.Sum(random)
	for name, options := range map[string][]googleapi.MediaOption{
		"a/whole": {googleapi.ChunkSize(0)}, "a/chunks": {googleapi.ChunkSize(256 << 10)}, "a/b/one": nil,
	} {
		o, err := c.Objects.Insert("artifacts", &api.Object{Name: name, ContentType: "application/x-test", Metadata: map[string]string{"k": "v"}}).
			Media(bytes.NewReader(random), options...).Do()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if o.Size != uint64(len(random)) || o.Md5Hash != base64.StdEncoding.EncodeToString(sum[:]) || o.Generation == 0 || o.ContentType != "application/x-test" || o.Metadata["k"] != "v" {
			t.Errorf("%s: %+v", name, o)
		}
		if !bytes.Equal(download(t, c, name, ""), random) {
			t.Errorf("%s: another content comes back", name)
		}
		if !bytes.Equal(download(t, c, name, "bytes=100-199"), random[100:200]) {
			t.Errorf("%s: another range comes back", name)
		}
	}
	list, err := c.Objects.List("artifacts").Prefix("a/").Delimiter("/").Do()
	if err != nil || len(list.Items) != 2 || len(list.Prefixes) != 1 || list.Prefixes[0] != "a/b/" {
		t.Errorf("list is %+v %v", list, err)
	}
	err = c.Buckets.Delete("artifacts").Do()
	refused(t, "a bucket that is not empty", err, 409, "conflict")
	for _, name := range []string{"a/whole", "a/chunks", "a/b/one"} {
		if err := c.Objects.Delete("artifacts", name).Do(); err != nil {
			t.Error(err)
		}
	}
	if err := c.Buckets.Delete("artifacts").Do(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left on disk: %v %v", left, err)
	}
}

func TestPreconditions(t *testing.T) {
	a, dir := newAPI(t)
	c := client(t, a)
	put := func(text string) *api.ObjectsInsertCall {
		return c.Objects.Insert("artifacts", &api.Object{Name: "lock"}).Media(bytes.NewReader([]byte(text)))
	}
	first, err := put("one").IfGenerationMatch(0).Do()
	if err != nil {
		t.Fatal(err)
	}
	_, err = put("two").IfGenerationMatch(0).Do()
	refused(t, "made when it is there", err, 412, "conditionNotMet")
	_, err = put("two").IfGenerationMatch(first.Generation + 1).Do()
	refused(t, "another generation", err, 412, "conditionNotMet")
	second, err := put("two").IfGenerationMatch(first.Generation).Do()
	if err != nil || second.Generation <= first.Generation {
		t.Fatalf("%+v %v", second, err)
	}
	err = c.Objects.Delete("artifacts", "lock").IfGenerationMatch(first.Generation).Do()
	refused(t, "a deletion of an old generation", err, 412, "conditionNotMet")
	_, err = c.Objects.Get("artifacts", "lock").Generation(first.Generation).Do()
	refused(t, "an old generation", err, 404, "notFound")
	if got := download(t, c, "lock", ""); string(got) != "two" {
		t.Errorf("content is %q", got)
	}
	_, err = c.Objects.Insert("artifacts", &api.Object{Name: "sum", Md5Hash: "AAAAAAAAAAAAAAAAAAAAAA=="}).Media(bytes.NewReader([]byte("x"))).Do()
	refused(t, "a wrong sum", err, 400, "invalid")
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("on disk: %v %v, want the one object", left, err)
	}
}

func TestRefuses(t *testing.T) {
	a, _ := newAPI(t)
	c := client(t, a)
	_, err := c.Buckets.Insert(project, &api.Bucket{Name: "artifacts"}).Do()
	refused(t, "a bucket that is there", err, 409, "conflict")
	_, err = c.Buckets.Insert(project, &api.Bucket{Name: "A"}).Do()
	refused(t, "a bad name", err, 400, "invalid")
	_, err = c.Buckets.Insert("other", &api.Bucket{Name: "abc"}).Do()
	refused(t, "another project", err, 403, "forbidden")
	_, err = c.Buckets.Get("none").Do()
	refused(t, "a bucket that is not there", err, 404, "notFound")
	_, err = c.Objects.Get("artifacts", "none").Do()
	refused(t, "an object that is not there", err, 404, "notFound")
	_, err = c.Buckets.Insert(project, &api.Bucket{Name: "abc", Versioning: &api.BucketVersioning{Enabled: true}}).Do()
	refused(t, "versioning", err, 501, "notImplemented")
	_, err = c.Buckets.Patch("artifacts", &api.Bucket{}).Do()
	refused(t, "a patch", err, 501, "notImplemented")
}
