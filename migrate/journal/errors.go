package journal

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrCorrupt: the journal is damaged where no crash can have damaged it. Stop: restore the file from a copy.
	ErrCorrupt = errors.New("journal is damaged")
	// ErrTorn: the last record was not written whole, by a crash in mid-write. Go on: Open cuts it, nobody was told
	// that it had been written.
	ErrTorn = errors.New("journal has a torn tail")
	// ErrDead: a write or an fsync failed, and this process writes no more. Fix the disk, then resume the run.
	ErrDead = errors.New("journal no longer writes")
	// ErrLocked: another process holds the run. Wait for it or stop it; see [LockedError] for who it is.
	ErrLocked = errors.New("run is held by another process")
	// ErrLockLost: the lock file was taken away under a running process. Stop: another writer may have begun.
	ErrLockLost = errors.New("the lock on the run was lost")
	// ErrTooLong: a record is longer than MaxLine. Fix the step: an Out is for facts, not for data.
	ErrTooLong = errors.New("record is too long")
)

// Damage says where a journal stops being one. It unwraps to ErrTorn or ErrCorrupt.
type Damage struct {
	Record uint64 // the first bad record, counted from 1
	Start  int64  // the byte at which that record begins, from 0
	Byte   int64  // the first byte that is known to be bad; Start where the whole record fails its checksum
	What   string
	Kind   error // ErrTorn or ErrCorrupt
}

func (d *Damage) Error() string {
	if d.Byte != d.Start {
		return fmt.Sprintf("%v: record %d at byte %d: byte %d: %s", d.Kind, d.Record, d.Start, d.Byte, d.What)
	}
	return fmt.Sprintf("%v: record %d at byte %d: %s", d.Kind, d.Record, d.Start, d.What)
}

func (d *Damage) Unwrap() error { return d.Kind }

// Holder is who holds a run: written into its lock file, for the second process to read.
type Holder struct {
	Who   string    `json:"who"`
	Host  string    `json:"host"`
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
}

func (h Holder) String() string {
	if h == (Holder{}) {
		return "an unknown process"
	}
	return fmt.Sprintf("%s (process %d on %s, since %s)", h.Who, h.PID, h.Host, h.Since.UTC().Format(time.RFC3339))
}

// LockedError is ErrLocked with who holds the run.
type LockedError struct{ Holder Holder }

func (e *LockedError) Error() string { return fmt.Sprintf("%v: %s", ErrLocked, e.Holder) }

func (e *LockedError) Unwrap() error { return ErrLocked }
