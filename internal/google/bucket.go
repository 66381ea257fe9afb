package google

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/api/googleapi"
	"google.golang.org/api/storage/v1"

	"github.com/slipway-dev/slipway/internal/snapshot"
)

// Bucket is one bucket of Cloud Storage, with the objects that snapshots are made of. https://cloud.google.com/storage/docs/json_api/v1
type Bucket struct {
	c    *Client
	name string
}

var _ snapshot.Blobs = Bucket{}

// Bucket dials nothing.
func (c *Client) Bucket(name string) Bucket { return Bucket{c, name} }

// String is gs://name.
func (b Bucket) String() string { return "gs://" + b.name }

func storageAPI() service {
	return service{"storage.googleapis.com", "roles/storage.objectUser on the bucket"}
}

func (b Bucket) explain(err error, op, name string) error {
	return b.c.explain(err, storageAPI(), op, b.String()+"/"+name)
}

// List gives the objects whose names begin with prefix, by name.
func (b Bucket) List(ctx context.Context, prefix string) ([]snapshot.Blob, error) {
	objects, _, err := b.list(ctx, prefix, "")
	return objects, err
}

// Below gives what follows prefix in the names that begin with it, up to the next slash, each once.
func (b Bucket) Below(ctx context.Context, prefix string) (out []string, err error) {
	_, prefixes, err := b.list(ctx, prefix, "/")
	for _, p := range prefixes {
		out = append(out, strings.TrimSuffix(strings.TrimPrefix(p, prefix), "/"))
	}
	return out, err
}

func (b Bucket) list(ctx context.Context, prefix, delimiter string) (objects []snapshot.Blob, prefixes []string, err error) {
	for token := ""; ; {
		got, err := read(ctx, b.c, nil, "list", func() (*storage.Objects, error) {
			return b.c.storage.Objects.List(b.name).Prefix(prefix).Delimiter(delimiter).PageToken(token).Context(ctx).Do()
		})
		if err != nil {
			return nil, nil, b.explain(err, "list objects", prefix)
		}
		for _, o := range got.Items {
			objects = append(objects, object(o))
		}
		prefixes = append(prefixes, got.Prefixes...)
		if token = got.NextPageToken; token == "" {
			return objects, prefixes, nil
		}
	}
}

func object(o *storage.Object) snapshot.Blob {
	return snapshot.Blob{Name: o.Name, Generation: o.Generation}
}

// Get reads n bytes from off on, or fewer where the object ends. fs.ErrNotExist when there is none, or none of that generation.
func (b Bucket) Get(ctx context.Context, name string, generation, off, n int64) ([]byte, snapshot.Blob, error) {
	o := snapshot.Blob{Name: name}
	var wrong error // an answer that no other try mends
	body, err := read(ctx, b.c, nil, "read", func() ([]byte, error) {
		call := b.c.storage.Objects.Get(b.name, name).Context(ctx)
		if generation != 0 {
			call = call.Generation(generation)
		}
		call.Header().Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
		res, err := call.Download()
		if err != nil {
			return nil, err
		}
		defer res.Body.Close()
		o.Generation, wrong = strconv.ParseInt(res.Header.Get("X-Goog-Generation"), 10, 64)
		all, err := io.ReadAll(io.LimitReader(res.Body, n+1))
		if res.StatusCode != http.StatusPartialContent && (off > 0 || int64(len(all)) > n) { // an empty object has no part
			wrong = fmt.Errorf("asked for a part, and got all of it (HTTP %d)", res.StatusCode)
		}
		return all, err
	})
	if err == nil {
		err = wrong
	}
	if api := apiError(err); api != nil && api.Code == http.StatusRequestedRangeNotSatisfiable {
		return nil, o, nil // it ends before
	}
	if notFound(err) {
		return nil, o, fmt.Errorf("%s/%s: %w", b, name, fs.ErrNotExist)
	}
	if err != nil {
		return nil, o, b.explain(err, "read object", name)
	}
	return body, o, nil
}

// uploadChunk is how many bytes of an upload are sent in a request, and kept until they have arrived. A shorter object takes one request.
const uploadChunk = 4 << 20

// measure counts what is read through it.
type measure struct {
	from io.Reader
	size int64
	crc  uint32
	err  error // of from: no other attempt mends it
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (m *measure) Read(p []byte) (int, error) {
	n, err := m.from.Read(p)
	m.size, m.crc = m.size+int64(n), crc32.Update(m.crc, castagnoli, p[:n])
	if err != nil && err != io.EOF {
		m.err = err
	}
	return n, err
}

func (m *measure) is(o *storage.Object) bool {
	return o.Size == uint64(m.size) && o.Crc32c == base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, m.crc))
}

// Put makes an object of what r gives until it ends, where now is the generation that was; 0: where there is none. Until all of it has
// arrived there is nothing of it. snapshot.ErrChanged when another is there, or none.
func (b Bucket) Put(ctx context.Context, name string, was int64, r io.Reader) (snapshot.Blob, error) {
	const op = "write object"
	m := &measure{from: r}
	var trouble time.Time // since when requests fail in a passing way
	again := func(err error) bool {
		if trouble.IsZero() {
			trouble = time.Now()
		}
		return ctx.Err() == nil && m.err == nil && passing(err) && time.Since(trouble) < b.c.pace.trouble
	}
	o, err := b.c.storage.Objects.Insert(b.name, &storage.Object{Name: name}).IfGenerationMatch(was).
		Media(m, googleapi.ChunkSize(uploadChunk), googleapi.ContentType("application/octet-stream")).WithRetry(nil, again).Context(ctx).Do()
	if api := apiError(err); api != nil && api.Code == http.StatusPreconditionFailed {
		// It may be ours: of a request whose answer was lost.
		o, err = read(ctx, b.c, nil, "look", func() (*storage.Object, error) {
			return b.c.storage.Objects.Get(b.name, name).Context(ctx).Do()
		})
		if notFound(err) || err == nil && (!m.is(o) || o.Generation == was) {
			return snapshot.Blob{}, fmt.Errorf("%s/%s: %w", b, name, snapshot.ErrChanged)
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			return snapshot.Blob{}, context.Cause(ctx)
		}
		if m.err != nil {
			return snapshot.Blob{}, m.err
		}
		return snapshot.Blob{}, b.explain(err, op, name)
	}
	if !m.is(o) {
		err := fmt.Errorf("%s (%s/%s): %d bytes were sent and %d are there, or others", op, b, name, m.size, o.Size)
		return snapshot.Blob{}, errors.Join(err, b.Delete(ctx, name, o.Generation))
	}
	return object(o), nil
}

// Delete deletes an object of that generation. That there is none is fine; snapshot.ErrChanged when it is another.
func (b Bucket) Delete(ctx context.Context, name string, generation int64) error {
	_, err := read(ctx, b.c, nil, "delete", func() (struct{}, error) {
		return struct{}{}, b.c.storage.Objects.Delete(b.name, name).IfGenerationMatch(generation).Context(ctx).Do()
	})
	api := apiError(err)
	switch {
	case notFound(err):
		return nil
	case api != nil && api.Code == http.StatusPreconditionFailed:
		return fmt.Errorf("%s/%s: %w", b, name, snapshot.ErrChanged)
	case err != nil:
		return b.explain(err, "delete object", name)
	}
	return nil
}
