package treecopy

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/snapshot"
)

// indexName is the artifact's file with one entry a line, as JSON, a directory before what is in it.
const indexName = "index.zst"

// Reported is an entry that is left out.
type Reported struct {
	Path Bytes  `json:"path"`
	What string `json:"what"`
}

// Detail is the manifest's own part of an artifact with a tree.
type Detail struct {
	Root        string     `json:"root"` // HOST:DIRECTORY
	Files       int64      `json:"files"`
	Names       int64      `json:"names"` // of files: more than there are files where some have several
	Directories int64      `json:"directories"`
	Symlinks    int64      `json:"symlinks"`
	Bytes       int64      `json:"bytes"`      // of contents, each file once
	LeftOut     []Reported `json:"left_out"`   // devices, sockets, FIFOs
	Outside     []Bytes    `json:"outside"`    // files that have further names outside of the tree, which are cut off
	Changed     int64      `json:"changed"`    // files that were read again because they had changed
	Vanished    int64      `json:"vanished"`   // files that were gone before they could be read in a stable state
	Attributed  int64      `json:"attributed"` // entries with extended attributes or ACLs
}

// Index is an artifact's tree.
type Index struct {
	Entries []Entry
	Detail  Detail
	art     *snapshot.Artifact
}

func sortStats(s []Stat) {
	slices.SortFunc(s, func(a, b Stat) int { return pathLess(a.Path, b.Path) })
}

// entries puts the final tree and what was read of it together.
func (t *taking) entries(final tree) ([]Entry, Detail, error) {
	d := Detail{Root: t.src.Name(), LeftOut: append([]Reported{}, final.specials...), Outside: []Bytes{}, Changed: t.progress.Changed, Vanished: t.progress.Vanished}
	stats := make([]Stat, 0, len(final.stats))
	for _, s := range final.stats {
		stats = append(stats, s)
	}
	sortStats(stats)
	names := map[uint64]int{}
	for _, s := range stats {
		if s.Kind == File && s.Names > 1 {
			names[s.Inode]++
		}
	}
	groups := map[uint64]int{}
	out := make([]Entry, 0, len(stats))
	for _, s := range stats {
		e, ok := t.read[s.Path]
		if !ok || s.Kind != e.Kind || s.Kind != Directory && !e.same(&s) {
			return nil, d, fmt.Errorf("%s: it was never read in the state that it was listed in", s.Path)
		}
		e.Inode = s.Inode
		first := true
		switch s.Kind {
		case Directory:
			d.Directories++
		case Symlink:
			d.Symlinks++
		case File:
			d.Names++
			if names[s.Inode] > 1 {
				if first = groups[s.Inode] == 0; first {
					groups[s.Inode] = len(groups) + 1
				}
				e.Group = groups[s.Inode]
			}
			if s.Names > 1 && uint64(names[s.Inode]) != s.Names {
				d.Outside = append(d.Outside, s.Path)
			}
			if first {
				d.Files, d.Bytes = d.Files+1, d.Bytes+e.Size
			}
		}
		if len(e.Attrs) > 0 {
			d.Attributed++
		}
		out = append(out, e)
	}
	return out, d, nil
}

// commit writes the index and makes the artifact whole.
func (t *taking) commit(ctx context.Context, final tree) (*snapshot.Artifact, error) {
	t.tell(func(p *Progress) { p.Doing = "writing the index" })
	entries, detail, err := t.entries(final)
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, e := range entries {
		used[e.Chunk] = true
	}
	for _, f := range t.w.Files() {
		if !used[f.Name] { // all that it has was read again later
			if err := t.w.Drop(ctx, f.Name); err != nil {
				return nil, err
			}
		}
	}
	c, err := t.w.Create(ctx, indexName, "index of the tree")
	if err != nil {
		return nil, err
	}
	b := bufio.NewWriterSize(c, 64<<10)
	enc := json.NewEncoder(b)
	for i := range entries {
		if err := enc.Encode(&entries[i]); err != nil {
			return nil, errors.Join(err, c.Discard(ctx))
		}
	}
	if err := b.Flush(); err != nil {
		return nil, errors.Join(err, c.Discard(ctx))
	}
	if _, err := c.Close(); err != nil {
		return nil, err
	}
	return t.w.Commit(ctx, snapshot.Contents{Tool: t.o.Tool, From: t.o.From, Objects: objects(entries), Detail: detail})
}

// objects counts by directory at the root. A file with several names counts where its first one is.
func objects(entries []Entry) []snapshot.Object {
	var out []snapshot.Object
	at, seen := map[string]int{}, map[int]bool{}
	for _, e := range entries {
		if e.Kind != File || seen[e.Group] {
			continue
		}
		seen[e.Group] = e.Group != 0
		top, _, below := strings.Cut(string(e.Path), "/")
		if !below {
			top = "."
		}
		name := strings.ToValidUTF8(top, "?")
		i, ok := at[name]
		if !ok {
			i = len(out)
			at[name] = i
			out = append(out, snapshot.Object{Kind: "directory", Name: name})
		}
		out[i].Files++
		out[i].Bytes += e.Size
	}
	return out
}

// Open reads an artifact's index, and refuses one that its own files can't bear out.
func Open(ctx context.Context, art *snapshot.Artifact) (*Index, error) {
	x := &Index{art: art}
	if err := art.Detail(&x.Detail); err != nil {
		return nil, err
	}
	f, err := art.File(indexName)
	if err != nil {
		return nil, err
	}
	r, err := art.Read(ctx, f)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	raw := map[string]int64{}
	for _, f := range art.Manifest.Files {
		raw[f.Name] = f.Raw
	}
	bad := func(e *Entry, what string) error {
		return fmt.Errorf("snapshot %s: index, %s: %s: %w", art.Manifest.ID, e.Path, what, snapshot.ErrDamaged)
	}
	dec := json.NewDecoder(bufio.NewReaderSize(r, 256<<10))
	dec.DisallowUnknownFields()
	for {
		var e Entry
		err := dec.Decode(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("snapshot %s: index, line %d: %w", art.Manifest.ID, len(x.Entries)+1, err)
		}
		if n := len(x.Entries); n > 0 && pathLess(x.Entries[n-1].Path, e.Path) >= 0 {
			return nil, bad(&e, "it is out of order")
		}
		if size, ok := raw[e.Chunk]; !ok || e.Offset < 0 || e.Length < block || e.Offset+e.Length > size {
			return nil, bad(&e, "the file that it is said to be in doesn't have it")
		}
		if err := safe(e.Path); err != nil {
			return nil, bad(&e, err.Error())
		}
		x.Entries = append(x.Entries, e)
	}
	if len(x.Entries) == 0 || x.Entries[0].Path != "" || x.Entries[0].Kind != Directory {
		return nil, fmt.Errorf("snapshot %s: index: it has no root: %w", art.Manifest.ID, snapshot.ErrDamaged)
	}
	return x, nil
}

// safe refuses a path that could lead out of the tree.
func safe(p Bytes) error {
	if p == "" {
		return nil
	}
	for part := range strings.SplitSeq(string(p), "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsRune(part, 0) {
			return errors.New("it could lead out of the tree")
		}
	}
	return nil
}

// Summary is what the step that takes an artifact hands on.
func Summary(art *snapshot.Artifact) (snapshot.Files, error) {
	var d Detail
	if err := art.Detail(&d); err != nil {
		return snapshot.Files{}, err
	}
	return snapshot.Files{ID: art.Manifest.ID, Digest: art.Digest, From: art.Manifest.From, Files: d.Files, Bytes: d.Bytes, Stored: art.Stored()}, nil
}
