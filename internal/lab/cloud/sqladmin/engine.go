package sqladmin

import (
	"context"
	"errors"
	"time"

	api "google.golang.org/api/sqladmin/v1"
)

// Engine runs database servers.
type Engine interface {
	// Versions are the database versions that it can run, oldest first.
	Versions() []Version
	// Create makes the server of a new instance and returns when it answers on
	// its address. On an error nothing of it is left.
	Create(ctx context.Context, name string, c Config, rootPassword string) (Server, error)
}

// Version is a database version that an Engine runs.
type Version struct {
	Name        string                          // as MYSQL_9_7
	Installed   string                          // as MYSQL_9_7_4
	Maintenance string                          // as MYSQL_9_7_4.R20261004.01_07
	Upgrades    []*api.AvailableDatabaseVersion // what it can be upgraded to; nil for the newest
	PlusDefault bool                            // edition ENTERPRISE_PLUS unless another is asked for (8.4 and later)
	Flags       []*api.Flag                     // what flags.list says of it, in the order of names
}

// Config is what of an instance's settings the server is to follow.
type Config struct {
	Project  string
	Region   string
	Version  string // Version.Name
	DiskGB   int64  // size of the data disk in GB, as dataDiskSizeGb
	Flags    []Flag // the whole list; what is not in it has its default
	BinLog   bool
	OnlyTLS  bool     // refuse connections without TLS
	Public   bool     // has a PRIMARY address, open to Networks alone
	Private  bool     // has a PRIVATE address, open to the whole network
	Networks []string // authorized networks, as 10.0.0.0/8
	CAMode   string   // GOOGLE_MANAGED_INTERNAL_CA or GOOGLE_MANAGED_CAS_CA
}

// Flag is one database flag as it was set.
type Flag struct{ Name, Value string }

// Server is one running database server. Identity, Databases and Users may be
// called at any time; of the others one at a time.
type Server interface {
	// Identity says how it is reached and known.
	Identity() Identity
	// Apply brings it to follow c, with a restart where that takes one.
	Apply(ctx context.Context, c Config) error
	Restart(ctx context.Context) error
	Databases(ctx context.Context) ([]Database, error)
	CreateDatabase(ctx context.Context, d Database) error // ErrExists
	AlterDatabase(ctx context.Context, d Database) error  // ErrNotFound
	DropDatabase(ctx context.Context, name string) error  // ErrNotFound
	Users(ctx context.Context) ([]User, error)
	SetUser(ctx context.Context, u User, password string) error // made if it is not there
	DropUser(ctx context.Context, u User) error                 // ErrNotFound
	// Delete ends it and leaves nothing of it.
	Delete(ctx context.Context) error
}

// Identity is how a server is reached and known.
type Identity struct {
	PrimaryIP, PrivateIP string // empty: has none
	CACert               string // PEM
	CACommonName         string
	CASerial             string
	CANotBefore          time.Time
	CANotAfter           time.Time
	CASHA1               string // hex
	DNSName              string // with GOOGLE_MANAGED_CAS_CA
}

// Database is a schema with its defaults.
type Database struct{ Name, Charset, Collation string }

// User is an account as it shows in users.list.
type User struct{ Name, Host string }

// Errors of a Server that have an answer of their own.
var (
	// ErrExists: what is to be made is there.
	ErrExists = errors.New("it exists")
	// ErrNotFound: what is named is not there.
	ErrNotFound = errors.New("it does not exist")
	// ErrInvalid wraps what the server finds wrong with the request itself.
	ErrInvalid = errors.New("invalid")
)
