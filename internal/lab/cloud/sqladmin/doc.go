// Package sqladmin is the lab's Cloud SQL Admin API v1: instances, operations,
// databases, users and flags, with an Engine behind it that runs the database
// servers. The HTTP layer knows no MySQL; it can be tried with an Engine of a
// test's own.
//
// It must import nothing of the lab but rest.
//
// Answers follow the exchanges recorded against the real API (v1beta4, of which
// v1 differs in the path) as far as they reach; the rest follows the discovery
// document and is listed as unproven in docs/lab.md. Messages are the
// generated types of google.golang.org/api/sqladmin/v1.
package sqladmin
