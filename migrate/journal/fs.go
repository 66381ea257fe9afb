package journal

import "io"

// The names in a run's directory.
const (
	Name     = "journal.jsonl"
	LockName = "lock"
)

// FS is a run's directory, as little of it as a journal needs. [Dir] is the real one; the package crashfs has one that
// can be crashed.
type FS interface {
	// Open opens the journal for reading; an error that is fs.ErrNotExist when there is none.
	Open() (io.ReadCloser, error)
	// OpenWrite opens the journal for writing, and creates it.
	OpenWrite() (File, error)
	// SyncDir makes the directory's entries durable.
	SyncDir() error
	// Lock makes the caller the one writer, until Release or the end of its process; *LockedError when there is
	// another.
	Lock(Holder) (Lock, error)
	// Holder says who holds the run now; false when nobody does. Asking disturbs nobody.
	Holder() (Holder, bool, error)
}

// File is a journal that is being written. There is one writer, so positions are explicit.
type File interface {
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

// Lock is the right to write.
type Lock interface {
	// Held is nil while the lock is the caller's, and ErrLockLost (wrapped) when it no longer is.
	Held() error
	Release() error
}
