package cloudsql

import (
	"context"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/stamp"
	"github.com/slipway-dev/slipway/migrate"
)

// AdminLook looks at Cloud SQL instances through the Admin API, and at their accounts by logging in.
type AdminLook interface {
	Instance(ctx context.Context, name string) (google.InstanceState, bool, error)
	Databases(ctx context.Context, instance string) ([]google.Database, error)
	Users(ctx context.Context, instance string) ([]google.User, error)
	// Login logs in from here over TLS and out again; google.ErrLogin when the server refuses the account or its password.
	Login(ctx context.Context, inst google.Instance, user string, password secret.String) error
}

// AdminMake makes instances with this run's stamp, and databases and accounts in them; it deletes nothing else.
type AdminMake interface {
	CreateInstance(ctx context.Context, spec google.InstanceSpec, tell google.Tell) (google.Instance, error)
	DeleteInstance(ctx context.Context, name string, tell google.Tell) error
	CreateDatabase(ctx context.Context, instance string, db google.Database, tell google.Tell) error
	DeleteDatabase(ctx context.Context, instance, name string, tell google.Tell) error
	// PutUser makes an account, or sets its password.
	PutUser(ctx context.Context, instance string, u google.User, password secret.String, tell google.Tell) error
	DeleteUser(ctx context.Context, instance string, u google.User, tell google.Tell) error
}

type onlyAdmin struct{ AdminLook }

// OnlyAdmin closes a looker that can do more.
func OnlyAdmin(l AdminLook) AdminLook { return onlyAdmin{l} }

// ofAnother is nil for what this run made.
func ofAnother(labels map[string]string, s migrate.Stamp) error {
	return stamp.Stamp{Run: s.Run, Step: string(s.Step), Fence: s.Fence}.Check(labels)
}
