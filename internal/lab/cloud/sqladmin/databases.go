package sqladmin

import (
	"context"
	"errors"
	"regexp"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	api "google.golang.org/api/sqladmin/v1"
)

// databaseName is what the lab takes; Google takes more. A name outside is refused.
var databaseName = regexp.MustCompile(`^[A-Za-z0-9_$-]{1,64}$`)

func (a *API) insertDatabase(c rest.Call) (rest.Answer, error) {
	var body api.Database
	if _, e := rest.Decode(c.Body, &body); e != nil {
		return rest.Answer{}, e
	}
	if !databaseName.MatchString(body.Name) {
		return rest.Answer{}, invalid("Invalid database name (%s)", body.Name)
	}
	d := Database{Name: body.Name, Charset: body.Charset, Collation: body.Collation}
	if there, err := a.database(c, d.Name); err == nil && there != nil {
		return rest.Answer{}, &rest.Error{Code: 409, Reason: "databaseAlreadyExists", Message: "The database already exists."}
	}
	return a.onServer(c, "CREATE_DATABASE", func(ctx context.Context, s Server) error { return s.CreateDatabase(ctx, d) })
}

func (a *API) patchDatabase(c rest.Call) (rest.Answer, error) {
	var body api.Database
	if _, e := rest.Decode(c.Body, &body); e != nil {
		return rest.Answer{}, e
	}
	now, e := a.database(c, c.PathValue("database"))
	if e != nil {
		return rest.Answer{}, e
	}
	if body.Name != "" && body.Name != now.Name {
		return rest.Answer{}, invalid("The name of a database cannot be changed")
	}
	d := *now
	if body.Charset != "" {
		d.Charset, d.Collation = body.Charset, ""
	}
	if body.Collation != "" {
		d.Collation = body.Collation
	}
	return a.onServer(c, "UPDATE_DATABASE", func(ctx context.Context, s Server) error { return s.AlterDatabase(ctx, d) })
}

func (a *API) deleteDatabase(c rest.Call) (rest.Answer, error) {
	d, e := a.database(c, c.PathValue("database"))
	if e != nil {
		return rest.Answer{}, e
	}
	switch d.Name {
	case "mysql", "information_schema", "performance_schema", "sys":
		return rest.Answer{}, invalid("System database %s cannot be deleted", d.Name)
	}
	return a.onServer(c, "DELETE_DATABASE", func(ctx context.Context, s Server) error { return s.DropDatabase(ctx, d.Name) })
}

// databases asks the server. It takes no part in the one operation at a time:
// reads go through at any time, as at Google.
func (a *API) databases(c rest.Call) ([]Database, error) {
	server, e := a.serverOf(c)
	if e != nil {
		return nil, e
	}
	list, err := server.Databases(c.Context())
	return list, readError(err)
}

func (a *API) serverOf(c rest.Call) (Server, *rest.Error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	in, e := a.ready(c)
	if e != nil {
		return nil, e
	}
	return in.server, nil
}

// readError tells apart a server that is down for a moment (restart, disk full)
// from a lab that is broken.
func readError(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &rest.Error{Code: 503, Reason: "serverException", Status: "UNAVAILABLE", Message: "The service is currently unavailable: " + err.Error()}
}

// database finds one database; 404 when it is not there.
func (a *API) database(c rest.Call, name string) (*Database, error) {
	list, err := a.databases(c)
	if err != nil {
		return nil, err
	}
	for _, d := range list {
		if d.Name == name {
			return &d, nil
		}
	}
	return nil, notFound("Not found: database \"%s\"", name)
}

func (a *API) databaseMessage(c rest.Call, d Database) *api.Database {
	instance := c.PathValue("instance")
	m := &api.Database{
		Kind: "sql#database", Name: d.Name, Charset: d.Charset, Collation: d.Collation, Instance: instance, Project: a.o.Project,
		SelfLink: a.link("instances", instance, "databases", d.Name),
	}
	m.Etag = etag(m)
	return m
}

func (a *API) listDatabases(c rest.Call) (rest.Answer, error) {
	list, err := a.databases(c)
	if err != nil {
		return rest.Answer{}, err
	}
	answer := &api.DatabasesListResponse{Kind: "sql#databasesList"}
	for _, d := range list {
		answer.Items = append(answer.Items, a.databaseMessage(c, d))
	}
	return rest.OK(answer)
}

func (a *API) getDatabase(c rest.Call) (rest.Answer, error) {
	d, err := a.database(c, c.PathValue("database"))
	if err != nil {
		return rest.Answer{}, err
	}
	return rest.OK(a.databaseMessage(c, *d))
}
