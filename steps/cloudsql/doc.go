// Package cloudsql stands up the target's database (instance, database, accounts) and fills and verifies it. It must not import another
// step package; the Admin API's own types stay in internal/google.
package cloudsql
