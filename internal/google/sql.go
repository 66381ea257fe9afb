package google

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/api/sqladmin/v1"
)

// InstanceSpec is what is asked of Cloud SQL. Zero fields are Cloud SQL's own defaults.
type InstanceSpec struct {
	Name               string
	Version            string // "MYSQL_9_7"
	Region             string
	Tier               string // "db-custom-4-15360"
	Edition            string // ENTERPRISE or ENTERPRISE_PLUS
	Availability       string // ZONAL or REGIONAL
	DiskGB             int64
	AutoResize         bool   // let Google grow the disk
	PrivateNetwork     string // "projects/P/global/networks/N"; "" for no private address
	PublicAddress      bool
	AuthorizedNetworks []string // CIDRs that may reach the public address
	ServerCAMode       string   // GOOGLE_MANAGED_CAS_CA puts names into the certificate; "" for Google's default
	Flags              []Flag
	LogDays            int64 // of binary log kept, for the way back; 0 for Google's default
	Protected          bool  // deletion protection; never for a throwaway
}

// Flag is a database flag. A list is used whole: Google's API knows no single ones.
type Flag struct{ Name, Value string }

// Instance is a Cloud SQL instance as later steps need it: all of it may be journaled.
type Instance struct {
	Project    string
	Region     string
	Name       string
	Version    string // "MYSQL_9_7"; the installed patch level where Google tells it
	Connection string // "project:region:name"
	Private    string // address in the VPC; "" for none
	Public     string // address on the internet; "" for none
	DNSName    string // the name in the server's certificate, without the dot that the API ends it with; "" where it has none
	CA         string // PEM that the server's certificate is signed by
}

// InstanceState is an instance as it is seen now.
type InstanceState struct {
	Instance
	Status string // RUNNABLE, PENDING_CREATE, MAINTENANCE, FAILED, SUSPENDED, PENDING_DELETE
	Labels map[string]string
}

// Running: it serves connections.
func (s InstanceState) Running() bool { return s.Status == "RUNNABLE" }

// Database is a schema of an instance.
type Database struct{ Name, Charset, Collation string }

// User is an account of an instance; its password can't be read.
type User struct{ Name, Host string }

func (u User) String() string { return "'" + u.Name + "'@'" + u.Host + "'" }

// SQLLooker looks at the Cloud SQL instances of one project.
type SQLLooker struct {
	c       *Client
	project string
}

// LookAtSQL opens a looker.
func (c *Client) LookAtSQL(project string) SQLLooker { return SQLLooker{c, project} }

func (l SQLLooker) where() string { return "project " + l.project }

// Instance says what is there under a name; false when nothing is.
func (l SQLLooker) Instance(ctx context.Context, name string) (InstanceState, bool, error) {
	got, err := read(ctx, l.c, nil, "look at instance "+name, func() (*sqladmin.DatabaseInstance, error) {
		return l.c.sql.Instances.Get(l.project, name).Context(ctx).Do()
	})
	if notFound(err) {
		return InstanceState{}, false, nil
	}
	if err != nil {
		return InstanceState{}, false, l.c.explain(err, sqlAPI(), "look at instance "+name, l.where())
	}
	s := InstanceState{Status: got.State, Instance: Instance{Project: l.project, Region: got.Region, Name: got.Name,
		Version: got.DatabaseInstalledVersion, Connection: got.ConnectionName, DNSName: strings.TrimSuffix(got.DnsName, ".")}}
	if s.Version == "" {
		s.Version = got.DatabaseVersion
	}
	for _, a := range got.IpAddresses {
		switch a.Type {
		case "PRIVATE":
			s.Private = a.IpAddress
		case "PRIMARY":
			s.Public = a.IpAddress
		}
	}
	if got.ServerCaCert != nil {
		s.CA = got.ServerCaCert.Cert
	}
	if got.Settings != nil {
		s.Labels = got.Settings.UserLabels
	}
	return s, true, nil
}

// Databases are the schemas of an instance, the server's own among them.
func (l SQLLooker) Databases(ctx context.Context, instance string) ([]Database, error) {
	got, err := read(ctx, l.c, nil, "look at the databases of "+instance, func() (*sqladmin.DatabasesListResponse, error) {
		return l.c.sql.Databases.List(l.project, instance).Context(ctx).Do()
	})
	if err != nil {
		return nil, l.c.explain(err, sqlAPI(), "look at the databases of instance "+instance, l.where())
	}
	dbs := make([]Database, 0, len(got.Items))
	for _, d := range got.Items {
		dbs = append(dbs, Database{d.Name, d.Charset, d.Collation})
	}
	return dbs, nil
}

// Users are the accounts of an instance.
func (l SQLLooker) Users(ctx context.Context, instance string) ([]User, error) {
	got, err := read(ctx, l.c, nil, "look at the users of "+instance, func() (*sqladmin.UsersListResponse, error) {
		return l.c.sql.Users.List(l.project, instance).Context(ctx).Do()
	})
	if err != nil {
		return nil, l.c.explain(err, sqlAPI(), "look at the users of instance "+instance, l.where())
	}
	users := make([]User, 0, len(got.Items))
	for _, u := range got.Items {
		users = append(users, User{u.Name, u.Host})
	}
	return users, nil
}

// sqlOperation finds an operation that runs on an instance now.
func (l SQLLooker) sqlOperation(ctx context.Context, instance string) (operation, bool, error) {
	got, err := read(ctx, l.c, nil, "look for operations on instance "+instance, func() (*sqladmin.OperationsListResponse, error) {
		return l.c.sql.Operations.List(l.project).Instance(instance).Context(ctx).Do()
	})
	if err != nil {
		return operation{}, false, l.c.explain(err, sqlAPI(), "look for operations on instance "+instance, l.where())
	}
	for _, op := range got.Items {
		if o := sqlOperationOf(op); !o.done && o.target == instance {
			return o, true, nil
		}
	}
	return operation{}, false, nil
}

func sqlOperationOf(op *sqladmin.Operation) operation {
	o := operation{name: op.Name, kind: op.OperationType, target: op.TargetId, status: op.Status, done: op.Status == "DONE"}
	if o.done && op.Error != nil {
		for _, e := range op.Error.Errors {
			if o.failed != "" {
				o.failed += "; "
			}
			o.failed += e.Code + " " + e.Message
		}
		if o.failed == "" {
			o.failed = "no reason given"
		}
	}
	return o
}

func (l SQLLooker) getOperation(ctx context.Context) func(string) (operation, error) {
	return func(name string) (operation, error) {
		got, err := l.c.sql.Operations.Get(l.project, name).Context(ctx).Do()
		if err != nil {
			return operation{}, err
		}
		return sqlOperationOf(got), nil
	}
}

// Address is where the server is reached: in the VPC when it has an address there.
func (i Instance) Address() string {
	if i.Private != "" {
		return i.Private
	}
	return i.Public
}

// Fact is a property of an instance that goes into the cluster's secrets and the release's values.
type Fact string

// The facts, for wiring: Host is the name in the certificate where there is one, and otherwise the address.
const (
	Host    Fact = "host"
	Address Fact = "address"
	Port    Fact = "port"
	CA      Fact = "ca"
)

// Placeholder stands for a fact in a plan, before there is an instance: it is of the fact's form, and is nobody's (RFC 2606, RFC 5737).
func (f Fact) Placeholder() string {
	switch f {
	case Host:
		return "to-be-known.invalid"
	case Address:
		return "192.0.2.1"
	case Port:
		return "3306"
	}
	return "to-be-known"
}

// Fact gives one; an unknown one, or one that the instance doesn't have, is an error.
func (i Instance) Fact(f Fact) (string, error) {
	v := ""
	switch f {
	case Host:
		if v = i.DNSName; v == "" {
			v = i.Address()
		}
	case Address:
		v = i.Address()
	case Port:
		v = "3306" // Cloud SQL for MySQL has no other
	case CA:
		v = i.CA
	default:
		return "", fmt.Errorf("instance %s: %q is not a fact", i.Name, f)
	}
	if v == "" {
		return "", fmt.Errorf("instance %s has no %s", i.Name, f)
	}
	return v, nil
}
