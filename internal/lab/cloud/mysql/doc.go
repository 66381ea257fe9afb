// Package mysql is the Engine behind the lab's Cloud SQL Admin API: each
// instance is a real MySQL 9.7 server in a machine with addresses of its own,
// its data directory on an ext4 file system of the size that was asked for, its
// certificate from a CA of its own, and accounts that hold what Cloud SQL gives
// and no more.
//
// It must not import the product. It needs root and loop devices; outside Linux
// it compiles and refuses.
package mysql
