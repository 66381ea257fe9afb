package storage

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	api "google.golang.org/api/storage/v1"
)

// findObject looks up the object that a call names, in the generation that it
// asks for. a.mu must be held.
func (a *API) findObject(c rest.Call) (*bucket, *object, *rest.Error) {
	b, e := a.find(c)
	if e != nil {
		return nil, nil, e
	}
	name := c.PathValue("object")
	if c.Query.Get("softDeleted") == "true" {
		return nil, nil, rest.NotServed("soft-deleted objects")
	}
	o, ok := b.objects[name]
	if !ok {
		return nil, nil, noObject(b.message.Name, name)
	}
	if g := c.Query.Get("generation"); g != "" && g != strconv.FormatInt(o.message.Generation, 10) {
		return nil, nil, noObject(b.message.Name, name)
	}
	return b, o, checkConditions(c, o.message.Generation, o.message.Metageneration)
}

func (a *API) getObject(c rest.Call) (rest.Answer, error) {
	a.mu.Lock()
	_, o, e := a.findObject(c)
	if e != nil {
		a.mu.Unlock()
		return rest.Answer{}, e
	}
	if c.Query.Get("alt") != "media" {
		a.mu.Unlock()
		return rest.OK(o.message)
	}
	f, err := os.Open(o.file) // opened under the lock: a deletion now does not take it away
	a.mu.Unlock()
	if err != nil {
		return rest.Answer{}, err
	}
	return rest.Answer{Raw: func(w http.ResponseWriter) error {
		defer f.Close()
		m := o.message
		h := w.Header()
		h.Set("Server", "UploadServer")
		h.Set("Content-Type", m.ContentType)
		h.Set("ETag", strconv.Quote(m.Etag))
		h.Set("X-Goog-Generation", strconv.FormatInt(m.Generation, 10))
		h.Set("X-Goog-Metageneration", strconv.FormatInt(m.Metageneration, 10))
		h.Set("X-Goog-Storage-Class", m.StorageClass)
		h.Set("X-Goog-Hash", "crc32c="+m.Crc32c+",md5="+m.Md5Hash)
		h.Set("X-Goog-Stored-Content-Encoding", "identity")
		h.Set("X-Goog-Stored-Content-Length", strconv.FormatUint(m.Size, 10))
		updated, err := time.Parse(time.RFC3339Nano, m.Updated)
		if err != nil {
			return err
		}
		http.ServeContent(w, c.Request, "", updated, f)
		return nil
	}}, nil
}

func (a *API) deleteObject(c rest.Call) (rest.Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, o, e := a.findObject(c)
	if e != nil {
		return rest.Answer{}, e
	}
	if err := os.Remove(o.file); err != nil {
		return rest.Answer{}, err
	}
	delete(b.objects, o.message.Name)
	return rest.Answer{Code: http.StatusNoContent, Header: noCache}, nil
}

func (a *API) listObjects(c rest.Call) (rest.Answer, error) {
	for _, name := range []string{"versions", "softDeleted", "matchGlob", "includeFoldersAsPrefixes", "includeTrailingDelimiter", "startOffset", "endOffset"} {
		if v := c.Query.Get(name); v != "" && v != "false" {
			return rest.Answer{}, rest.NotServed("storage.objects.list with %s", name)
		}
	}
	prefix, delimiter := c.Query.Get("prefix"), c.Query.Get("delimiter")
	a.mu.Lock()
	defer a.mu.Unlock()
	b, e := a.find(c)
	if e != nil {
		return rest.Answer{}, e
	}
	// An entry is an object or a prefix; pages are cut of both in one order.
	type entry struct {
		prefix string
		object *api.Object
	}
	var entries []entry
	for _, name := range slices.Sorted(maps.Keys(b.objects)) {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		if i := strings.Index(rest, delimiter); delimiter != "" && i >= 0 {
			p := prefix + rest[:i+len(delimiter)]
			if len(entries) == 0 || entries[len(entries)-1].prefix != p {
				entries = append(entries, entry{prefix: p})
			}
			continue
		}
		entries = append(entries, entry{object: b.objects[name].message})
	}
	from, to, next, e := page(c, len(entries))
	if e != nil {
		return rest.Answer{}, e
	}
	answer := &api.Objects{Kind: "storage#objects", NextPageToken: next}
	for _, one := range entries[from:to] {
		if one.object == nil {
			answer.Prefixes = append(answer.Prefixes, one.prefix)
			continue
		}
		answer.Items = append(answer.Items, one.object)
	}
	return rest.OK(answer)
}

// put makes a received file the live object. The preconditions are those of the
// call that began the upload. a.mu must be held.
func (a *API) put(c rest.Call, wanted *api.Object, r *received) (*api.Object, *rest.Error) {
	b, e := a.find(c)
	if e != nil {
		return nil, e
	}
	var generation, metageneration int64
	before, ok := b.objects[wanted.Name]
	if ok {
		generation, metageneration = before.message.Generation, before.message.Metageneration
	}
	if e := checkConditions(c, generation, metageneration); e != nil {
		return nil, e
	}
	for _, sum := range []struct{ name, sent, is string }{{"MD5", wanted.Md5Hash, r.md5()}, {"CRC32C", wanted.Crc32c, r.crc32c()}} {
		if sum.sent != "" && sum.sent != sum.is {
			return nil, invalid("Provided %s hash %q doesn't match calculated %s hash %q.", sum.name, sum.sent, sum.name, sum.is)
		}
	}
	g := a.generation()
	number, escaped := strconv.FormatInt(g, 10), url.PathEscape(wanted.Name)
	now := stamp(a.o.Now())
	contentType := wanted.ContentType
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	m := &api.Object{
		Kind: "storage#object", Id: b.message.Name + "/" + wanted.Name + "/" + number, Bucket: b.message.Name, Name: wanted.Name,
		Generation: g, Metageneration: 1, ContentType: contentType, StorageClass: b.message.StorageClass, Size: uint64(r.size),
		Md5Hash: r.md5(), Crc32c: r.crc32c(), Etag: etag(g), Metadata: wanted.Metadata,
		TimeCreated: now, Updated: now, TimeStorageClassUpdated: now, TimeFinalized: now,
		SelfLink:        "https://www.googleapis.com/storage/v1/b/" + b.message.Name + "/o/" + escaped,
		MediaLink:       "https://storage.googleapis.com/download/storage/v1/b/" + b.message.Name + "/o/" + escaped + "?generation=" + number + "&alt=media",
		ForceSendFields: []string{"Size"},
	}
	b.objects[wanted.Name] = &object{message: m, file: r.path}
	if ok {
		if err := os.Remove(before.file); err != nil {
			a.o.Log.Warn("an overwritten object's file stays", "file", before.file, "error", err.Error())
		}
	}
	return m, nil
}

// drain reads what is left of a body, so that the connection can be used again.
func drain(r io.Reader) {
	_, _ = io.Copy(io.Discard, io.LimitReader(r, maxMetadata)) // best effort: the answer is decided
}
