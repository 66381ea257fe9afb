package sqladmin

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	api "google.golang.org/api/sqladmin/v1"
)

var (
	instanceName = regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)
	regionName   = regexp.MustCompile(`^[a-z]+-[a-z]+\d+$`)
)

// maxFullName bounds project:name, as Google documents.
const maxFullName = 98

func (a *API) insert(c rest.Call) (rest.Answer, error) {
	if e := a.checkProject(c); e != nil {
		return rest.Answer{}, e
	}
	var in api.DatabaseInstance
	sent, e := rest.Decode(c.Body, &in)
	if e != nil {
		return rest.Answer{}, e
	}
	m, version, e := a.newMessage(&in, sent)
	if e != nil {
		return rest.Answer{}, e
	}
	password := in.RootPassword

	a.mu.Lock()
	defer a.mu.Unlock()
	if a.nameTaken(m.Name) {
		return rest.Answer{}, instanceExists()
	}
	i := &instance{message: m}
	var server Server
	op := a.begin(c, m.Name, "CREATE", i, func(ctx context.Context) error {
		var err error
		server, err = a.o.Engine.Create(ctx, m.Name, config(m), password)
		return err
	}, func(err error) {
		next := *i.message
		if err != nil {
			next.State = "FAILED"
		} else {
			i.server = server
			next.State = "RUNNABLE"
			identify(&next, server.Identity(), version)
		}
		i.message = &next
	})
	a.instances[m.Name] = i
	return rest.OK(op)
}

// newMessage checks an insert and makes the message of the new instance.
func (a *API) newMessage(in *api.DatabaseInstance, sent rest.Object) (*api.DatabaseInstance, Version, *rest.Error) {
	if e := checkFields(sent); e != nil {
		return nil, Version{}, e
	}
	if in.Name == "" {
		return nil, Version{}, &rest.Error{Code: 400, Reason: "required", Message: "Missing parameter: name."}
	}
	if !instanceName.MatchString(in.Name) || len(a.o.Project)+1+len(in.Name) > maxFullName {
		return nil, Version{}, invalid("Invalid instance name (%s)", in.Name)
	}
	if in.Project != "" && in.Project != a.o.Project {
		return nil, Version{}, invalid("Project specified in the request does not match the project in the URL")
	}
	if in.InstanceType != "" && in.InstanceType != "CLOUD_SQL_INSTANCE" {
		return nil, Version{}, rest.NotServed("instanceType %s", in.InstanceType)
	}
	version, e := a.version(in.DatabaseVersion)
	if e != nil {
		return nil, Version{}, e
	}
	region := in.Region
	orElse(&region, "us-central1")
	if !regionName.MatchString(region) {
		return nil, Version{}, invalid("Invalid region (%s)", region)
	}
	settings := &api.Settings{}
	if in.Settings != nil {
		settings = in.Settings
	}
	fillDefaults(settings, sent, version, zoneOf(region))
	edition := settings.Edition
	orElse(&edition, enterprise)
	if e := checkTier(settings.Tier, edition); e != nil {
		return nil, Version{}, e
	}
	if e := validate(settings, version); e != nil {
		return nil, Version{}, e
	}
	derive(settings)
	settings.SettingsVersion = 1
	return &api.DatabaseInstance{
		Kind: "sql#instance", Name: in.Name, Project: a.o.Project, Region: region, Settings: settings,
		State: "PENDING_CREATE", BackendType: "SECOND_GEN", InstanceType: "CLOUD_SQL_INSTANCE",
		ConnectionName: a.o.Project + ":" + region + ":" + in.Name, CreateTime: stamp(a.o.Now()),
		DatabaseVersion: version.Name, GceZone: settings.LocationPreference.Zone,
		SelfLink:                   a.link("instances", in.Name),
		ServiceAccountEmailAddress: fmt.Sprintf("p%s-%s@gcp-sa-cloud-sql.iam.gserviceaccount.com", a.o.ProjectNumber, uuid()[:6]),
		SqlNetworkArchitecture:     "NEW_NETWORK_ARCHITECTURE",
		SatisfiesPzi:               true,
		GeminiConfig:               &api.GeminiInstanceConfig{FlagRecommenderEnabled: true},
	}, version, nil
}

func (a *API) version(name string) (Version, *rest.Error) {
	for _, v := range a.o.Engine.Versions() {
		if v.Name == name {
			return v, nil
		}
	}
	if name == "" {
		return Version{}, rest.NotServed("an instance without databaseVersion (Google's default is a version that the lab cannot run)")
	}
	for _, known := range []string{"MYSQL_5_6", "MYSQL_5_7", "MYSQL_8_0", "MYSQL_8_4", "MYSQL_9_7"} {
		if name == known {
			return Version{}, rest.NotServed("databaseVersion %s: the lab cannot run it", name)
		}
	}
	return Version{}, invalid("Invalid database version (%s)", name)
}

// nameTaken: an instance's name is taken by itself, and for a week after it is
// deleted. a.mu must be held.
func (a *API) nameTaken(name string) bool {
	if _, ok := a.instances[name]; ok {
		return true
	}
	at, ok := a.deleted[name]
	return ok && a.o.Now().Before(at.Add(a.o.Reuse))
}

// zoneOf is the first zone of a region; Google's regions begin with a, but for two.
func zoneOf(region string) string {
	if region == "europe-west1" {
		return region + "-b"
	}
	return region + "-a"
}

func (a *API) get(c rest.Call) (rest.Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	in, e := a.find(c)
	if e != nil {
		return rest.Answer{}, e
	}
	return rest.OK(shown(in.message))
}

// names are the instances' names in order. a.mu must be held.
func (a *API) names() []string { return slices.Sorted(maps.Keys(a.instances)) }

func (a *API) list(c rest.Call) (rest.Answer, error) {
	if e := a.checkProject(c); e != nil {
		return rest.Answer{}, e
	}
	if c.Query.Get("filter") != "" {
		return rest.Answer{}, rest.NotServed("sql.instances.list with a filter")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	names := a.names()
	from, to, next, e := page(c, len(names))
	if e != nil {
		return rest.Answer{}, e
	}
	answer := &api.InstancesListResponse{Kind: "sql#instancesList", NextPageToken: next}
	for _, name := range names[from:to] {
		answer.Items = append(answer.Items, shown(a.instances[name].message))
	}
	return rest.OK(answer)
}

func (a *API) delete(c rest.Call) (rest.Answer, error) {
	for _, name := range []string{"enableFinalBackup", "finalBackupTtlDays", "finalBackupExpiryTime", "finalBackupDescription"} {
		if v := c.Query.Get(name); v != "" && v != "false" {
			return rest.Answer{}, rest.NotServed("sql.instances.delete with %s", name)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	in, e := a.find(c)
	if e != nil {
		return rest.Answer{}, e
	}
	if in.running != nil {
		return rest.Answer{}, busy()
	}
	if in.message.Settings.DeletionProtectionEnabled {
		return rest.Answer{}, invalid("The instance is protected. Please disable the deletion protection and try again. To disable deletion protection, update the instance settings with deletionProtectionEnabled set to false")
	}
	before := in.message
	leaving := *before
	leaving.State = "PENDING_DELETE"
	in.message = &leaving
	name := leaving.Name
	op := a.begin(c, name, "DELETE", in, func(ctx context.Context) error {
		if in.server == nil {
			return nil // it never came up
		}
		return in.server.Delete(ctx)
	}, func(err error) {
		if err != nil {
			in.message = before
			return
		}
		delete(a.instances, name)
		a.deleted[name] = a.o.Now()
	})
	return rest.OK(op)
}

func (a *API) restart(c rest.Call) (rest.Answer, error) {
	return a.onServer(c, "RESTART", func(ctx context.Context, s Server) error { return s.Restart(ctx) })
}

// onServer runs an operation on a server that changes nothing in its settings.
func (a *API) onServer(c rest.Call, kind string, work func(context.Context, Server) error) (rest.Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	in, e := a.idle(c)
	if e != nil {
		return rest.Answer{}, e
	}
	op := a.begin(c, in.message.Name, kind, in, func(ctx context.Context) error { return work(ctx, in.server) }, func(error) {})
	return rest.OK(op)
}

// ForgetDeleted lets names of deleted instances be used again, as after a week.
func (a *API) ForgetDeleted() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.deleted = make(map[string]time.Time)
}
