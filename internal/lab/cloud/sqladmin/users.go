package sqladmin

import (
	"context"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	api "google.golang.org/api/sqladmin/v1"
)

// maxUser is the longest user name that MySQL takes, in characters.
const maxUser = 32

func (a *API) insertUser(c rest.Call) (rest.Answer, error) {
	var body api.User
	sent, e := rest.Decode(c.Body, &body)
	if e != nil {
		return rest.Answer{}, e
	}
	if e := checkUser(sent, body); e != nil {
		return rest.Answer{}, e
	}
	if body.Name == "" {
		return rest.Answer{}, &rest.Error{Code: 400, Reason: "required", Message: "Missing parameter: name."}
	}
	u := User{Name: body.Name, Host: body.Host}
	orElse(&u.Host, "%")
	if e := reserved(u); e != nil {
		return rest.Answer{}, e
	}
	// A user that is there gets the password anew (Google: "the command
	// overwrites the user").
	return a.onServer(c, "CREATE_USER", func(ctx context.Context, s Server) error { return s.SetUser(ctx, u, body.Password) })
}

func checkUser(sent rest.Object, body api.User) *rest.Error {
	for _, name := range []string{"databaseRoles", "dualPasswordType", "iamEmail", "passwordPolicy", "serverRoles", "sqlserverUserDetails"} {
		if sent.Has(name) {
			return rest.NotServed("the field %s of a Cloud SQL user", name)
		}
	}
	if body.Type != "" && body.Type != "BUILT_IN" {
		return rest.NotServed("users of type %s", body.Type)
	}
	if len([]rune(body.Name)) > maxUser {
		return invalid("Invalid user name (%s)", body.Name)
	}
	return nil
}

// reserved refuses the accounts that are Cloud SQL's own.
func reserved(u User) *rest.Error {
	if strings.HasPrefix(u.Name, "cloudsql") || strings.HasPrefix(u.Name, "mysql.") {
		return invalid("User name %s is reserved", u.Name)
	}
	return nil
}

func (a *API) updateUser(c rest.Call) (rest.Answer, error) {
	if c.Query.Has("databaseRoles") || c.Query.Has("revokeExistingRoles") {
		return rest.Answer{}, rest.NotServed("sql.users.update of roles")
	}
	var body api.User
	sent, e := rest.Decode(c.Body, &body)
	if e != nil {
		return rest.Answer{}, e
	}
	if e := checkUser(sent, body); e != nil {
		return rest.Answer{}, e
	}
	u, err := a.user(c, c.Query.Get("name"), c.Query.Get("host"))
	if err != nil {
		return rest.Answer{}, err
	}
	if body.Password == "" {
		return rest.Answer{}, invalid("Missing parameter: password")
	}
	return a.onServer(c, "UPDATE_USER", func(ctx context.Context, s Server) error { return s.SetUser(ctx, u, body.Password) })
}

func (a *API) deleteUser(c rest.Call) (rest.Answer, error) {
	u, err := a.user(c, c.Query.Get("name"), c.Query.Get("host"))
	if err != nil {
		return rest.Answer{}, err
	}
	return a.onServer(c, "DELETE_USER", func(ctx context.Context, s Server) error { return s.DropUser(ctx, u) })
}

func (a *API) users(c rest.Call) ([]User, error) {
	server, e := a.serverOf(c)
	if e != nil {
		return nil, e
	}
	list, err := server.Users(c.Context())
	return list, readError(err)
}

// user finds one user; 404 when it is not there. An empty host is %.
func (a *API) user(c rest.Call, name, host string) (User, error) {
	if name == "" {
		return User{}, &rest.Error{Code: 400, Reason: "required", Message: "Missing parameter: name."}
	}
	orElse(&host, "%")
	list, err := a.users(c)
	if err != nil {
		return User{}, err
	}
	for _, u := range list {
		if u.Name == name && u.Host == host {
			return u, nil
		}
	}
	return User{}, notFound("Not found: user '%s'@'%s'", name, host)
}

func (a *API) userMessage(c rest.Call, u User) *api.User {
	m := &api.User{Kind: "sql#user", Name: u.Name, Host: u.Host, Instance: c.PathValue("instance"), Project: a.o.Project}
	m.Etag = etag(m)
	return m
}

func (a *API) listUsers(c rest.Call) (rest.Answer, error) {
	list, err := a.users(c)
	if err != nil {
		return rest.Answer{}, err
	}
	answer := &api.UsersListResponse{Kind: "sql#usersList"}
	for _, u := range list {
		answer.Items = append(answer.Items, a.userMessage(c, u))
	}
	return rest.OK(answer)
}

func (a *API) getUser(c rest.Call) (rest.Answer, error) {
	u, err := a.user(c, c.PathValue("name"), c.Query.Get("host"))
	if err != nil {
		return rest.Answer{}, err
	}
	return rest.OK(a.userMessage(c, u))
}
