package snapshot

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Blob is one object of a bucket. Each time that an object is made anew it has another generation, which is never 0.
type Blob struct {
	Name       string
	Generation int64
}

// ErrChanged: an object isn't of the generation that it was to be of: somebody else made, replaced or deleted it. Nothing was done to it.
var ErrChanged = errors.New("the object is another by now")

// Blobs are a bucket's objects, as far as a store needs them. An object is there whole or not at all, and what was done is seen by whoever
// asks after it.
type Blobs interface {
	// String is gs://bucket.
	String() string
	// List gives the objects whose names begin with prefix, by name.
	List(ctx context.Context, prefix string) ([]Blob, error)
	// Below gives what follows prefix in the names that begin with it, up to the next slash, each once.
	Below(ctx context.Context, prefix string) ([]string, error)
	// Get reads n bytes from off on, or fewer where the object ends; generation 0: of the object that is there. fs.ErrNotExist.
	Get(ctx context.Context, name string, generation, off, n int64) ([]byte, Blob, error)
	// Put makes an object of what r gives, where now is the generation that was; 0: where there is none. An error of r is one of Put,
	// and then there is no object. ErrChanged.
	Put(ctx context.Context, name string, was int64, r io.Reader) (Blob, error)
	// Delete deletes an object of that generation. That there is none is fine. ErrChanged.
	Delete(ctx context.Context, name string, generation int64) error
}

// InBucket is the store in a bucket, under prefix; "" for none.
//
// A bucket knows no directories and renames nothing, so a part's files have their names from the beginning, and the part is whole when
// its manifest.json is there. Until then the object of that name says who writes the part. Each of its changes holds only against the
// generation that was seen: whoever takes a half-made part over changes it, and the process that had it can't make the part whole any
// more, nor remove what is another's by then. No other object is ever replaced.
//
// A whole part is never written again, nor is any of its objects.
func InBucket(objects Blobs, prefix string) *Store {
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return &Store{&bucket{objects, prefix}}
}

type bucket struct {
	objects Blobs
	prefix  string
}

func (b *bucket) String() string {
	return strings.TrimSuffix(b.objects.String()+"/"+b.prefix, "/")
}

func (b *bucket) dir(id ID, p Part) string { return b.prefix + string(id) + "/" + string(p) + "/" }

func (b *bucket) ids(ctx context.Context) (out []ID, err error) {
	names, err := b.objects.Below(ctx, b.prefix)
	for _, n := range names {
		if ID(n).Check() == nil {
			out = append(out, ID(n))
		}
	}
	slices.Sort(out)
	return out, err
}

func (b *bucket) free() (int64, error) { return math.MaxInt64, nil }

// writing can't be known.
func (b *bucket) writing(ID, Part) (bool, error) { return false, nil }

// claim is what stands in the manifest's place while a part is half made.
type claim struct {
	Writer string `json:"writer"` // of the process that has it: random
	// Void: the part is being removed, and nothing of it is to be kept.
	Void bool `json:"void,omitempty"`
}

// head reads what is in the manifest's place: the generation is 0 when nothing is there, and c is nil when it is a manifest.
func (b *bucket) head(ctx context.Context, id ID, p Part) (raw []byte, generation int64, c *claim, err error) {
	r, err := b.open(ctx, b.dir(id, p)+manifestName, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil, nil
	}
	if err == nil {
		raw, err = io.ReadAll(r)
	}
	if err != nil {
		return nil, 0, nil, err
	}
	var is claim
	if json.Unmarshal(raw, &is) == nil && is.Writer != "" {
		c = &is
	}
	return raw, r.generation, c, nil
}

func (b *bucket) manifest(ctx context.Context, id ID, p Part) ([]byte, error) {
	raw, generation, c, err := b.head(ctx, id, p)
	switch {
	case err != nil:
		return nil, err
	case generation == 0:
		return nil, ErrNotFound
	case c != nil:
		return nil, ErrHalf
	}
	return raw, nil
}

// claimTries is how often a part is claimed while others claim it too.
const claimTries = 5

// claim makes this process the one that has a part, and gives what was in its place. fresh: make it where there is nothing.
func (b *bucket) claim(ctx context.Context, id ID, p Part, fresh, void bool) (d *halfBucket, was *claim, err error) {
	d = &halfBucket{b: b, dir: b.dir(id, p), writer: rand.Text(), have: map[string]int64{}}
	for range claimTries {
		_, generation, c, err := b.head(ctx, id, p)
		switch {
		case err != nil:
			return nil, nil, err
		case generation != 0 && c == nil:
			return nil, nil, ErrExists
		case generation == 0 && !fresh:
			return nil, nil, ErrNotFound
		}
		err = d.head(ctx, generation, void)
		if err == nil {
			return d, c, nil
		}
		if !errors.Is(err, ErrChanged) {
			return nil, nil, err
		}
	}
	return nil, nil, fmt.Errorf("others claim it again and again: %w", ErrBusy)
}

func (b *bucket) begin(ctx context.Context, id ID, p Part) (draft, error) {
	d, was, err := b.claim(ctx, id, p, true, false)
	if err != nil {
		return nil, err
	}
	left, err := d.list(ctx)
	switch {
	case err != nil:
		return nil, err
	case was == nil && len(left) > 0:
		return nil, errors.Join(fmt.Errorf("%s/%s has objects that no snapshot of Slipway began with, such as %s: %w; look what they are, and delete them or name another prefix", b.objects, d.dir, slices.Sorted(maps.Keys(left))[0], ErrForeign),
			b.objects.Delete(ctx, d.dir+manifestName, d.generation))
	case was != nil && was.Void:
		return d, d.delete(ctx, left)
	}
	d.have = left
	return d, nil
}

func (b *bucket) discard(ctx context.Context, id ID, p Part) error {
	d, _, err := b.claim(ctx, id, p, false, true)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.clear(ctx)
}

func (b *bucket) whole(id ID, p Part) shelf { return shelved{b, b.dir(id, p)} }

// shelved are a whole part's objects.
type shelved struct {
	b   *bucket
	dir string
}

func (s shelved) names(ctx context.Context) (out []string, err error) {
	objects, err := s.b.objects.List(ctx, s.dir)
	for _, o := range objects {
		if name := o.Name[len(s.dir):]; name != manifestName {
			out = append(out, name)
		}
	}
	return out, err
}

func (s shelved) open(ctx context.Context, name string) (io.ReadCloser, error) {
	r, err := s.b.open(ctx, s.dir+name, 0)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// readBlock is how many bytes are asked for at once: an exchange is bounded in time, and who reads may be slow.
const readBlock = 4 << 20

// objectReader reads one generation of an object. Its context is of whoever opened it, and ends with its use.
type objectReader struct {
	read       func(off int64) ([]byte, error)
	generation int64
	block      []byte
	off        int64
	end        bool
}

func (b *bucket) open(ctx context.Context, name string, generation int64) (*objectReader, error) {
	first, o, err := b.objects.Get(ctx, name, generation, 0, readBlock)
	if err != nil {
		return nil, err
	}
	return &objectReader{generation: o.Generation, block: first, off: int64(len(first)), end: len(first) < readBlock,
		read: func(off int64) ([]byte, error) {
			next, _, err := b.objects.Get(ctx, name, o.Generation, off, readBlock)
			return next, err
		}}, nil
}

func (r *objectReader) Read(p []byte) (int, error) {
	if len(r.block) == 0 && !r.end {
		next, err := r.read(r.off)
		if err != nil {
			return 0, err
		}
		r.block, r.off, r.end = next, r.off+int64(len(next)), len(next) < readBlock
	}
	if len(r.block) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.block)
	r.block = r.block[n:]
	return n, nil
}

func (r *objectReader) Close() error { return nil }

// halfBucket is a half-made part in a bucket, of which this process has the claim.
type halfBucket struct {
	b          *bucket
	dir        string
	writer     string
	generation int64 // of the claim

	mu     sync.Mutex
	have   map[string]int64 // generations of its files; what else is there came from a process that was overtaken
	looked time.Time        // when the claim was last seen to be this process's
}

// head replaces what is in the manifest's place.
func (d *halfBucket) head(ctx context.Context, was int64, void bool) error {
	body, err := json.Marshal(claim{d.writer, void})
	if err != nil {
		return err
	}
	o, err := d.b.objects.Put(ctx, d.dir+manifestName, was, bytes.NewReader(body))
	if err == nil {
		d.generation, d.looked = o.Generation, time.Now()
	}
	return err
}

// lookAgain is after how long a process looks whether it still has the claim.
const lookAgain = 10 * time.Second

// held is ErrBusy when another process has taken the part over.
func (d *halfBucket) held(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.looked) < lookAgain {
		return nil
	}
	_, o, err := d.b.objects.Get(ctx, d.dir+manifestName, 0, 0, 1)
	if errors.Is(err, fs.ErrNotExist) || err == nil && o.Generation != d.generation {
		return d.overtaken()
	}
	if err == nil {
		d.looked = time.Now()
	}
	return err
}

func (d *halfBucket) overtaken() error {
	return fmt.Errorf("another process of the same run has taken it over, or removed it: %w", ErrBusy)
}

// list gives the generations of all that is there, but for the manifest.
func (d *halfBucket) list(ctx context.Context) (map[string]int64, error) {
	objects, err := d.b.objects.List(ctx, d.dir)
	out := make(map[string]int64, len(objects))
	for _, o := range objects {
		if name := o.Name[len(d.dir):]; name != manifestName {
			out[name] = o.Generation
		}
	}
	return out, err
}

// names are those of the files that were there when the claim was had, or made since.
func (d *halfBucket) names(context.Context) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.have)), nil
}

func (d *halfBucket) open(ctx context.Context, name string) (io.ReadCloser, error) {
	d.mu.Lock()
	generation, ok := d.have[name]
	d.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("%s%s: %w", d.dir, name, fs.ErrNotExist)
	}
	r, err := d.b.open(ctx, d.dir+name, generation)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// upload is an object that is being written.
type upload struct {
	d    *halfBucket
	name string
	pipe *io.PipeWriter
	done chan struct{}
	got  Blob
	err  error
}

func (d *halfBucket) create(ctx context.Context, name string) (outFile, error) {
	if err := d.held(ctx); err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	u := &upload{d: d, name: name, pipe: w, done: make(chan struct{})}
	go func() {
		defer close(u.done)
		u.got, u.err = d.b.objects.Put(ctx, d.dir+name, 0, r)
		if errors.Is(u.err, ErrChanged) {
			u.err = fmt.Errorf("somebody else made %s: %w", name, ErrBusy)
		}
		r.CloseWithError(u.err) // nil: what is still written is an error all the same
	}()
	return u, nil
}

func (u *upload) Write(b []byte) (int, error) { return u.pipe.Write(b) }

// Sync: an object is there for good when it is there.
func (u *upload) Sync() error { return nil }

func (u *upload) Close() error {
	u.pipe.Close()
	<-u.done
	if u.err != nil {
		return u.err
	}
	u.d.mu.Lock()
	defer u.d.mu.Unlock()
	u.d.have[u.name] = u.got.Generation
	return nil
}

var errGivenUp = errors.New("given up")

func (u *upload) giveUp() {
	u.pipe.CloseWithError(errGivenUp)
	<-u.done
}

func (d *halfBucket) put(ctx context.Context, name string, body []byte) error {
	o, err := d.b.objects.Put(ctx, d.dir+name, 0, bytes.NewReader(body))
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.have[name] = o.Generation
	return nil
}

// atOnce is how many objects are deleted side by side.
const atOnce = 8

func (d *halfBucket) remove(ctx context.Context, names ...string) error {
	which := make(map[string]int64, len(names))
	d.mu.Lock()
	for _, name := range names {
		if generation, ok := d.have[name]; ok {
			which[name] = generation
		}
	}
	d.mu.Unlock()
	return d.delete(ctx, which)
}

func (d *halfBucket) delete(ctx context.Context, which map[string]int64) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for name, generation := range which {
		g.Go(func() error {
			if err := d.b.objects.Delete(ctx, d.dir+name, generation); err != nil {
				return err
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			delete(d.have, name)
			return nil
		})
	}
	return g.Wait()
}

// commit looks first whether all is there, in the generations that were written or adopted, and nothing else.
func (d *halfBucket) commit(ctx context.Context, manifest []byte) error {
	there, err := d.list(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	want := maps.Clone(d.have)
	d.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if there[name] != want[name] {
			return fmt.Errorf("%s was deleted or replaced: %w", name, ErrDamaged)
		}
		delete(there, name)
	}
	if err := d.delete(ctx, there); err != nil { // of a process that was overtaken
		return err
	}
	_, err = d.b.objects.Put(ctx, d.dir+manifestName, d.generation, bytes.NewReader(manifest))
	if errors.Is(err, ErrChanged) {
		return d.overtaken()
	}
	return err
}

// leave leaves the claim: the next process of the run takes it over.
func (d *halfBucket) leave() {}

// abortLimit bounds the removal of a half-made part.
const abortLimit = 5 * time.Minute

// abort leaves all of it to the process that has taken it over, if one has.
func (d *halfBucket) abort(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortLimit)
	defer cancel()
	err := d.head(ctx, d.generation, true)
	if errors.Is(err, ErrChanged) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.clear(ctx)
}

// clear removes all, and the claim last. The claim says by then that nothing is to be kept.
func (d *halfBucket) clear(ctx context.Context) error {
	left, err := d.list(ctx)
	if err == nil {
		err = d.delete(ctx, left)
	}
	if err == nil {
		err = d.b.objects.Delete(ctx, d.dir+manifestName, d.generation)
	}
	if errors.Is(err, ErrChanged) {
		return d.overtaken()
	}
	return err
}
