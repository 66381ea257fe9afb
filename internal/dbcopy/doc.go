// Package dbcopy copies the rows of a MariaDB to a MySQL and proves that they arrived.
//
// A [Source] takes one consistent snapshot into an artifact of internal/snapshot: definitions, rows in chunks, and for
// each chunk a checksum that the source's own server computed over the same rows in the same snapshot. A [Target] is
// loaded from the artifact chunk by chunk, each exactly once, and is verified against those checksums, which its own
// server computes anew from what it has.
//
// Values travel in one form, the canonical value (see [Kind]): bytes that both servers print alike for the same value
// and from which either can store that very value again. What is read, stored, hashed and compared is canonical.
//
// The package speaks SQL and nothing else. It imports no step, no engine, no SSH, no cloud: connections come through a
// dial function. It is told what to report to through plain functions.
package dbcopy
