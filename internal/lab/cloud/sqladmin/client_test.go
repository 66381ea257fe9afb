package sqladmin_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/recordingtest"
	"github.com/slipway-dev/slipway/internal/lab/cloud/sqladmin"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
	api "google.golang.org/api/sqladmin/v1"
)

// client is the real client library over an API of this test.
func client(t *testing.T, a *sqladmin.API, token string) *api.Service {
	t.Helper()
	s, err := api.NewService(context.Background(), option.WithEndpoint("https://sqladmin.google.lab/"),
		option.WithHTTPClient(&http.Client{Transport: recordingtest.Transport{Handler: a.Handler(), Token: token}}))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// refused asserts Google's error: HTTP status and reason.
func refused(t *testing.T, what string, err error, code int, reason string) {
	t.Helper()
	var e *googleapi.Error
	if !errors.As(err, &e) {
		t.Errorf("%s: %v, want %d %s", what, err, code, reason)
		return
	}
	got := ""
	if len(e.Errors) > 0 {
		got = e.Errors[0].Reason
	}
	if e.Code != code || got != reason {
		t.Errorf("%s: %d %s (%s), want %d %s", what, e.Code, got, e.Message, code, reason)
	}
}

func wait(t *testing.T, c *api.Service, op *api.Operation, err error) *api.Operation {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for op.Status != "DONE" {
		time.Sleep(100 * time.Millisecond)
		if op, err = c.Operations.Get(project, op.Name).Do(); err != nil {
			t.Fatal(err)
		}
	}
	return op
}

func wanted(name string) *api.DatabaseInstance {
	return &api.DatabaseInstance{
		Name: name, Region: "europe-west1", DatabaseVersion: "MYSQL_8_4", RootPassword: "secret",
		Settings: &api.Settings{
			Tier: "db-custom-2-7680", Edition: "ENTERPRISE", UserLabels: map[string]string{"slipway-run": "20261123-010203-7f3a"},
			BackupConfiguration: &api.BackupConfiguration{Enabled: true, BinaryLogEnabled: true},
			IpConfiguration:     &api.IpConfiguration{SslMode: "ENCRYPTED_ONLY", PrivateNetwork: "projects/shop-lab/global/networks/default", ForceSendFields: []string{"Ipv4Enabled"}},
		},
	}
}

// bubble runs f with an API and a client in a bubble where time is fake.
func bubble(t *testing.T, f func(t *testing.T, e *engine, a *sqladmin.API, c *api.Service)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		a := newAPI(e)
		defer closeAPI(t, a)
		f(t, e, a, client(t, a, everything))
	})
}

func TestOneOperationAtATime(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine, a *sqladmin.API, c *api.Service) {
		op, err := c.Instances.Insert(project, wanted("shop")).Do()
		if err != nil {
			t.Fatal(err)
		}
		if op.Status != "PENDING" || op.StartTime != "" {
			t.Errorf("a new operation is %s, started %q", op.Status, op.StartTime)
		}
		in, err := c.Instances.Get(project, "shop").Do()
		if err != nil || in.State != "PENDING_CREATE" || len(in.IpAddresses) != 0 {
			t.Errorf("while it is made: %+v %v", in, err)
		}
		_, err = c.Users.Insert(project, "shop", &api.User{Name: "app", Password: "x"}).Do()
		refused(t, "a user while the instance is made", err, 409, "operationInProgress")
		_, err = c.Instances.Delete(project, "shop").Do()
		refused(t, "a deletion while the instance is made", err, 409, "operationInProgress")
		_, err = c.Instances.Insert(project, wanted("shop")).Do()
		refused(t, "the same name again", err, 409, "instanceAlreadyExists")
		list, err := c.Operations.List(project).Instance("shop").Do()
		if err != nil || len(list.Items) != 1 || list.Items[0].Name != op.Name || list.Items[0].Status == "DONE" {
			t.Errorf("operations are %+v %v", list, err)
		}
		wait(t, c, op, nil)
		first, err := c.Users.Insert(project, "shop", &api.User{Name: "app", Password: "x"}).Do()
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Databases.Insert(project, "shop", &api.Database{Name: "shop"}).Do()
		refused(t, "a database while a user is made", err, 409, "operationInProgress")
		if users, err := c.Users.List(project, "shop").Do(); err != nil || len(users.Items) != 1 {
			t.Errorf("reading goes through: %+v %v", users, err)
		}
		wait(t, c, first, nil)
		op, err = c.Instances.Delete(project, "shop").Do()
		wait(t, c, op, err)
		_, err = c.Instances.Get(project, "shop").Do()
		refused(t, "an instance that was deleted", err, 404, "instanceDoesNotExist")
		_, err = c.Instances.Insert(project, wanted("shop")).Do()
		refused(t, "the name of a deleted instance", err, 409, "instanceAlreadyExists")
		time.Sleep(7*24*time.Hour + time.Minute)
		op, err = c.Instances.Insert(project, wanted("shop")).Do()
		wait(t, c, op, err)
	})
}

func TestUsersAndDatabases(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine, a *sqladmin.API, c *api.Service) {
		op, err := c.Instances.Insert(project, wanted("shop")).Do()
		wait(t, c, op, err)
		op, err = c.Databases.Insert(project, "shop", &api.Database{Name: "shop", Charset: "utf8mb4", Collation: "utf8mb4_0900_ai_ci"}).Do()
		if done := wait(t, c, op, err); done.OperationType != "CREATE_DATABASE" {
			t.Errorf("operation is %s", done.OperationType)
		}
		d, err := c.Databases.Get(project, "shop", "shop").Do()
		if err != nil || d.Charset != "utf8mb4" || d.Instance != "shop" || d.Kind != "sql#database" || d.Etag == "" {
			t.Errorf("database is %+v %v", d, err)
		}
		_, err = c.Databases.Insert(project, "shop", &api.Database{Name: "shop"}).Do()
		refused(t, "a database that is there", err, 409, "databaseAlreadyExists")
		_, err = c.Databases.Delete(project, "shop", "none").Do()
		refused(t, "a database that is not there", err, 404, "notFound")
		op, err = c.Users.Insert(project, "shop", &api.User{Name: "app", Password: "one"}).Do()
		wait(t, c, op, err)
		op, err = c.Users.Insert(project, "shop", &api.User{Name: "app", Host: "%", Password: "two"}).Do()
		wait(t, c, op, err)
		if got := e.servers[0].users[sqladmin.User{Name: "app", Host: "%"}]; got != "two" {
			t.Errorf("password is %q", got)
		}
		op, err = c.Users.Update(project, "shop", &api.User{Password: "three"}).Name("app").Host("%").Do()
		if done := wait(t, c, op, err); done.OperationType != "UPDATE_USER" {
			t.Errorf("operation is %s", done.OperationType)
		}
		if got := e.servers[0].users[sqladmin.User{Name: "app", Host: "%"}]; got != "three" {
			t.Errorf("password is %q", got)
		}
		_, err = c.Users.Update(project, "shop", &api.User{Password: "x"}).Name("none").Do()
		refused(t, "a user that is not there", err, 404, "notFound")
		_, err = c.Users.Insert(project, "shop", &api.User{Name: "cloudsqladmin", Password: "x"}).Do()
		refused(t, "a reserved name", err, 400, "invalid")
		_, err = c.Users.Insert(project, "shop", &api.User{Name: "iam", Type: "CLOUD_IAM_USER"}).Do()
		refused(t, "an IAM user", err, 501, "notImplemented")
		op, err = c.Users.Delete(project, "shop").Name("app").Host("%").Do()
		wait(t, c, op, err)
		list, err := c.Users.List(project, "shop").Do()
		if err != nil || len(list.Items) != 1 || list.Items[0].Name != "root" || list.Items[0].Password != "" {
			t.Errorf("users are %+v %v", list, err)
		}
	})
}

func TestPatchReplacesFlags(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine, a *sqladmin.API, c *api.Service) {
		w := wanted("shop")
		w.Settings.DatabaseFlags = []*api.DatabaseFlags{{Name: "local_infile", Value: "on"}, {Name: "max_allowed_packet", Value: "67108864"}}
		op, err := c.Instances.Insert(project, w).Do()
		wait(t, c, op, err)
		before, err := c.Instances.Get(project, "shop").Do()
		if err != nil {
			t.Fatal(err)
		}
		op, err = c.Instances.Patch(project, "shop", &api.DatabaseInstance{Settings: &api.Settings{DatabaseFlags: []*api.DatabaseFlags{{Name: "binlog_row_image", Value: "full"}}}}).Do()
		wait(t, c, op, err)
		after, err := c.Instances.Get(project, "shop").Do()
		if err != nil {
			t.Fatal(err)
		}
		if f := after.Settings.DatabaseFlags; len(f) != 1 || f[0].Name != "binlog_row_image" {
			t.Errorf("flags are %+v", f)
		}
		if after.Settings.UserLabels["slipway-run"] == "" || after.Settings.IpConfiguration.SslMode != "ENCRYPTED_ONLY" {
			t.Errorf("a patch lost what it did not send: %+v", after.Settings)
		}
		if before.Etag == after.Etag || after.Settings.SettingsVersion != before.Settings.SettingsVersion+1 {
			t.Errorf("etag and settingsVersion: %s %d, before %s %d", after.Etag, after.Settings.SettingsVersion, before.Etag, before.Settings.SettingsVersion)
		}
		if got := e.servers[0].config; !got.BinLog || !got.OnlyTLS || !got.Private || got.Public || len(got.Flags) != 1 {
			t.Errorf("the server follows %+v", got)
		}
		// What was read can be sent back; an old settingsVersion is refused.
		_, err = c.Instances.Patch(project, "shop", &api.DatabaseInstance{Settings: &api.Settings{SettingsVersion: before.Settings.SettingsVersion, Tier: "db-custom-4-15360"}}).Do()
		refused(t, "an old settingsVersion", err, 412, "staleData")
		after.Settings.UserLabels["slipway-fence"] = "2"
		op, err = c.Instances.Update(project, "shop", after).Do()
		wait(t, c, op, err)
		for _, bad := range []struct {
			name, value string
			reason      string
		}{
			{"nonsense", "1", "invalidFlagName"}, {"local_infile", "yes", "invalidFlagValue"}, {"max_allowed_packet", "1", "invalidFlagValue"},
			{"max_allowed_packet", "many", "invalidFlagValue"}, {"binlog_row_image", "some", "invalidFlagValue"},
		} {
			_, err = c.Instances.Patch(project, "shop", &api.DatabaseInstance{Settings: &api.Settings{DatabaseFlags: []*api.DatabaseFlags{{Name: bad.name, Value: bad.value}}}}).Do()
			refused(t, "flag "+bad.name+"="+bad.value, err, 400, bad.reason)
		}
	})
}

func TestInsertRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*api.DatabaseInstance)
		code   int
		reason string
	}{
		{"no tier", func(m *api.DatabaseInstance) { m.Settings.Tier = "" }, 400, "required"},
		{"no name", func(m *api.DatabaseInstance) { m.Name = "" }, 400, "required"},
		{"a bad name", func(m *api.DatabaseInstance) { m.Name = "Shop" }, 400, "invalid"},
		{"a version that is none", func(m *api.DatabaseInstance) { m.DatabaseVersion = "MYSQL_99" }, 400, "invalid"},
		{"a version that the lab has not", func(m *api.DatabaseInstance) { m.DatabaseVersion = "MYSQL_9_7" }, 501, "notImplemented"},
		{"a tier of the other edition", func(m *api.DatabaseInstance) { m.Settings.Tier = "db-perf-optimized-N-2" }, 400, "invalid"},
		{"binary log without backups", func(m *api.DatabaseInstance) {
			m.Settings.BackupConfiguration = &api.BackupConfiguration{BinaryLogEnabled: true, ForceSendFields: []string{"Enabled"}}
		}, 400, "invalid"},
		{"no way to reach it", func(m *api.DatabaseInstance) { m.Settings.IpConfiguration.PrivateNetwork = "" }, 400, "invalid"},
		{"a bad network", func(m *api.DatabaseInstance) {
			m.Settings.IpConfiguration.AuthorizedNetworks = []*api.AclEntry{{Value: "10.0.0.1/8"}}
		}, 400, "invalid"},
		{"an sslMode that is none", func(m *api.DatabaseInstance) { m.Settings.IpConfiguration.SslMode = "SOME" }, 400, "badRequest"},
		{"client certificates", func(m *api.DatabaseInstance) {
			m.Settings.IpConfiguration.SslMode = "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"
		}, 501, "notImplemented"},
		{"a replica", func(m *api.DatabaseInstance) { m.MasterInstanceName = "x" }, 501, "notImplemented"},
		{"a field that the lab has not", func(m *api.DatabaseInstance) {
			m.Settings.InsightsConfig = &api.InsightsConfig{QueryInsightsEnabled: true}
		}, 501, "notImplemented"},
		{"a small disk", func(m *api.DatabaseInstance) { m.Settings.DataDiskSizeGb = 5 }, 400, "invalid"},
		{"a bad label", func(m *api.DatabaseInstance) { m.Settings.UserLabels = map[string]string{"Slipway Run": "x"} }, 400, "invalid"},
		{"another project", func(m *api.DatabaseInstance) { m.Project = "other" }, 400, "invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, e *engine, a *sqladmin.API, c *api.Service) {
				m := wanted("shop")
				tt.change(m)
				_, err := c.Instances.Insert(project, m).Do()
				refused(t, tt.name, err, tt.code, tt.reason)
				if list, err := c.Instances.List(project).Do(); err != nil || len(list.Items) != 0 {
					t.Errorf("instances are %+v %v", list, err)
				}
			})
		})
	}
}

func TestFailedCreate(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine, a *sqladmin.API, c *api.Service) {
		e.fail = errors.New("no room")
		op, err := c.Instances.Insert(project, wanted("shop")).Do()
		done := wait(t, c, op, err)
		if done.Error == nil || len(done.Error.Errors) != 1 || !strings.Contains(done.Error.Errors[0].Message, "no room") {
			t.Errorf("operation's error is %+v", done.Error)
		}
		in, err := c.Instances.Get(project, "shop").Do()
		if err != nil || in.State != "FAILED" {
			t.Errorf("instance is %+v %v", in, err)
		}
		_, err = c.Users.List(project, "shop").Do()
		refused(t, "users of an instance that failed", err, 409, "invalidState")
		op, err = c.Instances.Delete(project, "shop").Do()
		wait(t, c, op, err)
	})
}

func TestDeletionProtection(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine, a *sqladmin.API, c *api.Service) {
		m := wanted("shop")
		m.Settings.DeletionProtectionEnabled = true
		op, err := c.Instances.Insert(project, m).Do()
		wait(t, c, op, err)
		_, err = c.Instances.Delete(project, "shop").Do()
		refused(t, "a protected instance", err, 400, "invalid")
		if e.alive() != 1 {
			t.Error("it was deleted")
		}
	})
}

func TestPermissions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(newEngine())
		defer closeAPI(t, a)
		_, err := client(t, a, nothing).Instances.Insert(project, wanted("shop")).Do()
		refused(t, "without a role", err, 403, "notAuthorized")
		_, err = client(t, a, everything).Instances.List("other").Do()
		refused(t, "another project", err, 403, "notAuthorized")
		_, err = client(t, a, "wrong").Instances.List(project).Do()
		if e := new(googleapi.Error); !errors.As(err, &e) || e.Code != 401 {
			t.Errorf("a wrong token: %v", err)
		}
	})
}

// TestNothingIsAnsweredThatWasNotTold: unknown paths, verbs, fields and
// parameters, and methods that the lab has not.
func TestNothingIsAnsweredThatWasNotTold(t *testing.T) {
	a := newAPI(newEngine())
	defer closeAPI(t, a)
	for _, tt := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"GET", "/v1/projects/shop-lab/unknown", "", 404, "Method not found."},
		{"GET", "/sql/v1beta4/projects/shop-lab/instances", "", 404, "Method not found."},
		{"PATCH", "/v1/projects/shop-lab/instances", "{}", 404, "Method not found."},
		{"GET", "/v1/projects/shop-lab/instances?bogus=1", "", 400, "Cannot bind query parameter"},
		{"GET", "/v1/projects/shop-lab/instances?fields=items", "", 501, "partial responses"},
		{"GET", "/v1/projects/shop-lab/instances?filter=state:RUNNABLE", "", 501, "filter"},
		{"GET", "/v1/projects/shop-lab/instances?alt=media", "", 501, "alt=media"},
		{"POST", "/v1/projects/shop-lab/instances", `{"name":"x","bogus":1}`, 400, `Unknown name \"bogus\": Cannot find field.`},
		{"POST", "/v1/projects/shop-lab/instances", `{"name":"x","settings":{"tiers":"x"}}`, 400, `Unknown name \"tiers\" at 'settings'`},
		{"POST", "/v1/projects/shop-lab/instances", `{"Name":"x"}`, 400, `Unknown name \"Name\"`},
		{"POST", "/v1/projects/shop-lab/instances", `{"name":7}`, 400, `Invalid value at 'name'`},
		{"POST", "/v1/projects/shop-lab/instances", `{"settings":{"dataDiskSizeGb":"many"}}`, 400, `settings.dataDiskSizeGb`},
		{"POST", "/v1/projects/shop-lab/instances", `{"name":"x"} {}`, 400, `Expected end of string`},
		{"POST", "/v1/projects/shop-lab/instances", `{`, 400, `Invalid JSON payload`},
		{"POST", "/v1/projects/shop-lab/instances/x/import", `{}`, 501, "sql.instances.import"},
		{"POST", "/v1/projects/shop-lab/instances/x/clone", `{}`, 501, "sql.instances.clone"},
		{"POST", "/v1/projects/shop-lab/instances/x:generateEphemeralCert", `{}`, 501, "generateEphemeralCert"},
		{"GET", "/v1/projects/shop-lab/operations/none", "", 404, "operationDoesNotExist"},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(tt.method, "https://lab"+tt.path, strings.NewReader(tt.body))
		r.Header.Set("Authorization", "Bearer "+everything)
		a.Handler().ServeHTTP(w, r)
		if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.want) || !strings.Contains(w.Body.String(), `"error"`) {
			t.Errorf("%s %s %s: %d %s, want %d with %q", tt.method, tt.path, tt.body, w.Code, w.Body, tt.code, tt.want)
		}
	}
}

func TestFlagsAndTiers(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine, a *sqladmin.API, c *api.Service) {
		list, err := c.Flags.List().DatabaseVersion("MYSQL_8_4").Do()
		if err != nil || len(list.Items) != 3 || list.Kind != "sql#flagsList" {
			t.Errorf("flags are %+v %v", list, err)
		}
		_, err = c.Flags.List().DatabaseVersion("MYSQL_99").Do()
		refused(t, "flags of a version that is none", err, 400, "invalid")
		tiers, err := c.Tiers.List(project).Do()
		if err != nil || len(tiers.Items) == 0 || tiers.Items[0].RAM == 0 {
			t.Errorf("tiers are %+v %v", tiers, err)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		a := newAPI(e)
		c := client(t, a, everything)
		op, err := c.Instances.Insert(project, wanted("one")).Do()
		wait(t, c, op, err)
		if _, err := c.Instances.Insert(project, wanted("two")).Do(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		closeAPI(t, a)
		if e.alive() != 0 {
			t.Errorf("%d servers are left", e.alive())
		}
	})
}
