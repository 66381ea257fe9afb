package storage

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	api "google.golang.org/api/storage/v1"
)

const maxMetadata = 64 << 10

var objectFields = []string{"name", "bucket", "contentType", "metadata", "md5Hash", "crc32c", "kind"}

// received is media that arrives: a file and the sums over it.
type received struct {
	path string
	file *os.File
	size int64
	sum  hash.Hash
	crc  hash.Hash32
}

func (a *API) receive() (*received, error) {
	path := filepath.Join(a.o.Dir, randomHex(16))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make an object's file: %w", err)
	}
	return &received{path: path, file: f, sum: md5.New(), crc: crc32.New(crc32.MakeTable(crc32.Castagnoli))}, nil
}

// read appends all of r.
func (r *received) read(from io.Reader) error {
	n, err := io.Copy(io.MultiWriter(r.file, r.sum, r.crc), from)
	r.size += n
	if err != nil {
		return fmt.Errorf("receive an object: %w", err)
	}
	return nil
}

func (r *received) discard() {
	r.file.Close()
	os.Remove(r.path)
}

func (r *received) md5() string { return base64.StdEncoding.EncodeToString(r.sum.Sum(nil)) }

func (r *received) crc32c() string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, r.crc.Sum32()))
}

func etag(generation int64) string {
	return base64.StdEncoding.EncodeToString(binary.AppendVarint([]byte{8}, generation))
}

// session is a resumable upload under way.
type session struct {
	mu     sync.Mutex // one chunk at a time
	call   rest.Call  // that began it: its preconditions count
	wanted *api.Object
	media  *received
}

func (a *API) upload(c rest.Call) (rest.Answer, error) {
	if c.Query.Has("upload_id") {
		return a.resume(c) // Google's own clients send chunks with POST, others with PUT
	}
	a.mu.Lock()
	_, e := a.find(c)
	a.mu.Unlock()
	if e != nil {
		drain(c.Body)
		return rest.Answer{}, e
	}
	for _, name := range []string{"predefinedAcl", "kmsKeyName", "contentEncoding", "generation"} {
		if c.Query.Has(name) {
			return rest.Answer{}, rest.NotServed("storage.objects.insert with %s", name)
		}
	}
	switch kind := c.Query.Get("uploadType"); kind {
	case "media":
		return a.store(c, &api.Object{Name: c.Query.Get("name"), ContentType: c.Header.Get("Content-Type")}, c.Body)
	case "multipart":
		return a.uploadMultipart(c)
	case "resumable":
		return a.beginResumable(c)
	default:
		return rest.Answer{}, invalid("Invalid uploadType: '%s'", kind)
	}
}

// store receives media in one go.
func (a *API) store(c rest.Call, wanted *api.Object, media io.Reader) (rest.Answer, error) {
	if wanted.Name == "" {
		return rest.Answer{}, required("name")
	}
	r, err := a.receive()
	if err != nil {
		return rest.Answer{}, err
	}
	if err := errors.Join(r.read(media), r.file.Close()); err != nil {
		r.discard()
		return rest.Answer{}, err
	}
	return a.finish(c, wanted, r)
}

func (a *API) finish(c rest.Call, wanted *api.Object, r *received) (rest.Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	m, e := a.put(c, wanted, r)
	if e != nil {
		r.discard()
		return rest.Answer{}, e
	}
	return rest.Answer{Body: m, Header: noCache}, nil
}

func (a *API) uploadMultipart(c rest.Call) (rest.Answer, error) {
	_, parameters, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if err != nil {
		return rest.Answer{}, invalid("Invalid multipart request")
	}
	parts := multipart.NewReader(c.Body, parameters["boundary"])
	first, err := parts.NextPart()
	if err != nil {
		return rest.Answer{}, invalid("Invalid multipart request")
	}
	wanted, e := metadata(c, first)
	if e != nil {
		return rest.Answer{}, e
	}
	second, err := parts.NextPart()
	if err != nil {
		return rest.Answer{}, invalid("Invalid multipart request")
	}
	if wanted.ContentType == "" {
		wanted.ContentType = second.Header.Get("Content-Type")
	}
	return a.store(c, wanted, second)
}

// metadata reads an object's description as an upload sends it.
func metadata(c rest.Call, r io.Reader) (*api.Object, *rest.Error) {
	var wanted api.Object
	sent, e := rest.Decode(io.LimitReader(r, maxMetadata), &wanted)
	if e != nil {
		return nil, e
	}
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		if !slices.Contains(objectFields, name) {
			return nil, rest.NotServed("the field %s of an object", name)
		}
	}
	if name := c.Query.Get("name"); name != "" {
		wanted.Name = name
	}
	return &wanted, nil
}

func (a *API) beginResumable(c rest.Call) (rest.Answer, error) {
	wanted, e := metadata(c, c.Body)
	if e != nil {
		return rest.Answer{}, e
	}
	if wanted.Name == "" {
		return rest.Answer{}, required("name")
	}
	if wanted.ContentType == "" {
		wanted.ContentType = c.Header.Get("X-Upload-Content-Type")
	}
	r, err := a.receive()
	if err != nil {
		return rest.Answer{}, err
	}
	id := randomHex(32)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions[id] = &session{call: c, wanted: wanted, media: r}
	where := *c.URL
	where.Scheme, where.Host = "https", c.Host
	query := where.Query()
	query.Set("upload_id", id)
	where.RawQuery = query.Encode()
	return rest.Answer{Header: http.Header{"Location": {where.String()}, "X-Guploader-Uploadid": {id}}}, nil
}

// resume takes the next chunk of a resumable upload, or says how far it is.
func (a *API) resume(c rest.Call) (rest.Answer, error) {
	id := c.Query.Get("upload_id")
	a.mu.Lock()
	s, ok := a.sessions[id]
	a.mu.Unlock()
	if !ok {
		return rest.Answer{}, legacy(http.StatusNotFound, "notFound", "No such upload session.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from, total, asks, e := contentRange(c.Header.Get("Content-Range"))
	if e != nil {
		return rest.Answer{}, e
	}
	if !asks {
		if from >= 0 && from != s.media.size {
			return s.incomplete(c), nil // a chunk that does not fit: say what is here
		}
		if err := s.media.read(c.Body); err != nil {
			return rest.Answer{}, err
		}
	}
	if total < 0 || s.media.size < total {
		return s.incomplete(c), nil
	}
	a.mu.Lock()
	delete(a.sessions, id)
	a.mu.Unlock()
	if err := s.media.file.Close(); err != nil {
		s.media.discard()
		return rest.Answer{}, err
	}
	return a.finish(s.call, s.wanted, s.media)
}

// incomplete is 308 with what has arrived; to a client that asks for it (as
// Google's own do, since proxies take 308 for a redirect), 200 that says 308.
func (s *session) incomplete(c rest.Call) rest.Answer {
	h, code := http.Header{}, http.StatusPermanentRedirect
	if c.Header.Get("X-Guploader-No-308") == "yes" {
		code = http.StatusOK
		h.Set("X-Http-Status-Code-Override", "308")
	}
	if s.media.size > 0 {
		h.Set("Range", "bytes=0-"+strconv.FormatInt(s.media.size-1, 10))
	}
	return rest.Answer{Code: code, Header: h}
}

// contentRange reads "bytes 0-99/200", "bytes 0-99/*" and "bytes */200" (asks how
// far the upload is, or says that it ends empty). No header is one whole chunk;
// total is then what arrives.
func contentRange(text string) (from, total int64, asks bool, e *rest.Error) {
	if text == "" {
		return -1, 0, false, nil
	}
	span, size, ok := strings.Cut(strings.TrimPrefix(text, "bytes "), "/")
	bad := invalid("Failed to parse Content-Range header: %s", text)
	if !ok || !strings.HasPrefix(text, "bytes ") {
		return 0, 0, false, bad
	}
	total = -1
	if size != "*" {
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil || n < 0 {
			return 0, 0, false, bad
		}
		total = n
	}
	if span == "*" {
		return -1, total, true, nil
	}
	first, _, ok := strings.Cut(span, "-")
	n, err := strconv.ParseInt(first, 10, 64)
	if !ok || err != nil || n < 0 {
		return 0, 0, false, bad
	}
	return n, total, false, nil
}
