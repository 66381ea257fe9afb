// Package journal is the durable log of one run: framing, fsync, replay, hash chain and the one-writer lock.
//
// A journal is one file, journal.jsonl, in the run's directory: one line of JSON for each [Record], appended and
// never changed. docs/JOURNAL_FORMAT.md is the format's specification. What the package promises:
//
//   - [Journal.Append] returns after fsync: a record that was returned survives the loss of the machine.
//   - What [Open] replayed is durable too, whatever the process before it left unsynced.
//   - A write or fsync that failed is never retried: what reached the disk is unknown. The journal is dead
//     ([ErrDead]) and the run must end; the next Open finds out what is there.
//   - A tail that was torn by a crash ([ErrTorn]) and damage ([ErrCorrupt]) are different things. A torn tail was
//     never acknowledged, so nothing was built on it: Open cuts it. Damage is never repaired here.
//   - At most one process writes: [LockedError] says who.
//   - Neither reading nor writing holds more than one record in memory.
//
// The package knows no step, no runbook and no meaning of a record's data. It imports the standard library and
// golang.org/x/sys alone, and nothing of this module.
package journal
