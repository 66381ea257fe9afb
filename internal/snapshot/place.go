package snapshot

import (
	"context"
	"io"
)

// place is where a store keeps its parts: a directory or a bucket. It knows names and bytes; what is in them is the store's.
type place interface {
	// String is the directory, absolute, or gs://bucket/prefix.
	String() string
	// ids are the snapshots that there are, or may be, sorted.
	ids(ctx context.Context) ([]ID, error)
	// manifest is a whole part's. ErrNotFound, ErrHalf; ErrDamaged when the part is there without it.
	manifest(ctx context.Context, id ID, p Part) ([]byte, error)
	// whole has the files of a whole part.
	whole(id ID, p Part) shelf
	// writing says whether a process is at a half-made part now, as far as that can be known.
	writing(id ID, p Part) (bool, error)
	// begin takes a part for this process, new or with what earlier attempts left. ErrExists, ErrBusy.
	begin(ctx context.Context, id ID, p Part) (draft, error)
	// discard removes a half-made part; that there is none, or a whole one, is fine. ErrBusy.
	discard(ctx context.Context, id ID, p Part) error
	// free is how many bytes can still be written.
	free() (int64, error)
}

// shelf has a part's files, without the manifest.
type shelf interface {
	names(ctx context.Context) ([]string, error)
	// open gives an error that is fs.ErrNotExist when there is no such file.
	open(ctx context.Context, name string) (io.ReadCloser, error)
}

// draft is a half-made part that this process has.
type draft interface {
	shelf
	// create begins a file that isn't there. It is there for good when Sync and Close give no error.
	create(ctx context.Context, name string) (outFile, error)
	// put makes a small file, for good.
	put(ctx context.Context, name string, body []byte) error
	// remove removes files; those that aren't there are fine.
	remove(ctx context.Context, names ...string) error
	// commit makes the part whole, or not at all. ErrBusy when another process has taken it over.
	commit(ctx context.Context, manifest []byte) error
	// leave ends this process's hold and leaves the part half made.
	leave()
	// abort removes all of it, and ends the hold. It does so when ctx has ended, too.
	abort(ctx context.Context) error
}

type outFile interface {
	Write([]byte) (int, error)
	Sync() error
	Close() error
	// giveUp ends it in the place of Close: what was written needn't be kept.
	giveUp()
}
