//go:build recordings

package google

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/stamp"
)

const (
	instancePath  = "/v1/projects/p/instances/mysql-x"
	instancesPath = "/v1/projects/p/instances"
	sqlOpsPath    = "/v1/projects/p/operations"
	noInstance    = `{"error":{"code":404,"message":"The Cloud SQL instance does not exist.","errors":[{"message":"The Cloud SQL instance does not exist.","domain":"global","reason":"instanceDoesNotExist"}]}}`
	sqlPending    = `{"kind":"sql#operation","name":"operation-1","operationType":"CREATE","status":"PENDING","targetId":"mysql-x","targetProject":"p"}`
)

func noSQL() call { return call{want: "GET " + instancePath, status: 404, answer: noInstance} }
func noSQLOps() call {
	return call{want: "GET " + sqlOpsPath, query: "instance=mysql-x", answer: `{"kind":"sql#operationsList"}`}
}
func sqlDone() call {
	return call{want: "GET " + sqlOpsPath + "/operation-1", answer: strings.Replace(sqlPending, "PENDING", "DONE", 1)}
}

func recordedInstance(t *testing.T, all []exchange, state string) call {
	return find(t, all, "GET", "/instances/mysql-x", 0).call().with(t, state, "state").with(t, mark.Labels(), "settings", "userLabels")
}

func sqlSpec() InstanceSpec {
	return InstanceSpec{Name: "mysql-x", Version: "MYSQL_9_7", Region: "us-central1", Tier: "db-custom-2-7680", Edition: "ENTERPRISE", PublicAddress: true,
		AuthorizedNetworks: []string{"203.0.113.7/32"}, Flags: []Flag{{"log_bin_trust_function_creators", "on"}}}
}

func TestCreateInstanceAsRecorded(t *testing.T) {
	all := recording(t, "sql-instance-mysql84.http.log")
	insert := find(t, all, "POST", "/instances", 0).call()
	insert.body = `"sslMode":"ENCRYPTED_ONLY"`
	_, c := newScript(t,
		noSQL(), insert, find(t, all, "GET", "/operations/operation-1", 0).call(),
		recordedInstance(t, all, "RUNNABLE"), noSQLOps(), recordedInstance(t, all, "RUNNABLE").with(t, "abc.us-central1.sql.goog.", "dnsName"))
	var p told
	got, err := c.MakeSQL("p", mark).CreateInstance(context.Background(), sqlSpec(), p.tell)
	if err != nil {
		t.Fatal(err)
	}
	if got.Version != "MYSQL_8_4_7" || got.Public != "10.10.10.10" || got.Connection != "p:us-central1:mysql-x" || got.Address() != "10.10.10.10" {
		t.Errorf("instance %+v", got)
	}
	if !p.has("waiting for operation CREATE on mysql-x: PENDING, 0 s") {
		t.Errorf("progress %q", p.lines)
	}
	if got.DNSName != "abc.us-central1.sql.goog" {
		t.Errorf("DNS name %q: the API's ends in a dot, and no certificate's does", got.DNSName)
	}
	for f, want := range map[Fact]string{Host: "abc.us-central1.sql.goog", Address: "10.10.10.10", Port: "3306"} {
		if v, err := got.Fact(f); err != nil || v != want {
			t.Errorf("fact %s: %q, %v", f, v, err)
		}
	}
	if _, err := got.Fact("colour"); err == nil {
		t.Error("an unknown fact has a value")
	}
	if _, err := (Instance{Name: "i"}).Fact(CA); err == nil {
		t.Error("a fact that isn't there has a value")
	}
}

func TestInstanceRequest(t *testing.T) {
	_, c := newScript(t)
	r := c.MakeSQL("p", mark).request(sqlSpec())
	s := r.Settings
	if len(r.RootPassword) < 20 {
		t.Error("root would have no good password")
	}
	if r2 := c.MakeSQL("p", mark).request(sqlSpec()); r2.RootPassword == r.RootPassword {
		t.Error("root's password is always the same")
	}
	if !s.BackupConfiguration.BinaryLogEnabled || !s.BackupConfiguration.Enabled {
		t.Error("no binary log: there would be no way back")
	}
	if s.DeletionProtectionEnabled || !slices.Contains(s.ForceSendFields, "DeletionProtectionEnabled") {
		t.Error("a throwaway's deletion protection must be sent as off")
	}
	if s.UserLabels[stamp.RunLabel] != mark.Run || s.IpConfiguration.SslMode != "ENCRYPTED_ONLY" || s.IpConfiguration.AuthorizedNetworks[0].Value != "203.0.113.7/32" {
		t.Errorf("settings %+v", s)
	}
}

func TestCreateInstanceFindsAndFails(t *testing.T) {
	all := recording(t, "sql-instance-mysql84.http.log")
	s, c := newScript(t)
	mk := c.MakeSQL("p", mark)
	var p told
	s.calls = []call{recordedInstance(t, all, "PENDING_CREATE"), {want: "GET " + sqlOpsPath, answer: `{"items":[` + sqlPending + `]}`}, sqlDone(),
		noSQLOps(), recordedInstance(t, all, "RUNNABLE")}
	if _, err := mk.CreateInstance(context.Background(), sqlSpec(), p.tell); err != nil {
		t.Errorf("an earlier attempt's instance: %v", err)
	}
	s.calls = []call{find(t, all, "GET", "/instances/mysql-x", 0).call()}
	if _, err := mk.CreateInstance(context.Background(), sqlSpec(), p.tell); !errors.Is(err, ErrExists) {
		t.Errorf("another's instance: %v, want ErrExists", err)
	}
	s.calls = []call{recordedInstance(t, all, "FAILED"), noSQLOps(), recordedInstance(t, all, "FAILED")}
	if _, err := mk.CreateInstance(context.Background(), sqlSpec(), p.tell); !errors.Is(err, ErrBroken) {
		t.Errorf("a failed instance: %v, want ErrBroken", err)
	}
	s.calls = []call{noSQL(), {want: "POST " + instancesPath, status: 409, answer: `{"error":{"code":409,"message":"The Cloud SQL instance already exists.","errors":[{"reason":"instanceAlreadyExists","message":"x"}]}}`}, noSQL()}
	_, err := mk.CreateInstance(context.Background(), sqlSpec(), p.tell)
	if err == nil || !strings.Contains(err.Error(), "keeps a deleted instance's name for a week") {
		t.Errorf("a name that Google keeps: %v", err)
	}
}

func TestDeleteInstance(t *testing.T) {
	all := recording(t, "sql-instance-mysql84.http.log")
	s, c := newScript(t,
		recordedInstance(t, all, "RUNNABLE"), noSQLOps(),
		call{want: "DELETE " + instancePath, status: 409, answer: sqlBusy},
		find(t, all, "DELETE", "/instances/mysql-x", 0).call(), find(t, all, "GET", "/operations/operation-1", 1).call(), noSQL())
	var p told
	mk := c.MakeSQL("p", mark)
	if err := mk.DeleteInstance(context.Background(), "mysql-x", p.tell); err != nil {
		t.Fatal(err)
	}
	if !p.has("delete instance mysql-x: another operation runs on it; sending again") {
		t.Errorf("progress %q", p.lines)
	}
	s.calls = []call{find(t, all, "GET", "/instances/mysql-x", 0).call()}
	if err := mk.DeleteInstance(context.Background(), "mysql-x", p.tell); !errors.Is(err, stamp.ErrForeign) {
		t.Errorf("another's instance: %v, want ErrForeign", err)
	}
}

func TestDatabases(t *testing.T) {
	all := recording(t, "sql-instance-mysql84.http.log")
	has := `{"items":[{"name":"mysql","charset":"utf8mb3","collation":"utf8mb3_general_ci"},{"name":"shop","charset":"utf8mb4","collation":"utf8mb4_0900_ai_ci"}]}`
	list := func(answer string) call { return call{want: "GET " + instancePath + "/databases", answer: answer} }
	inst := recordedInstance(t, all, "RUNNABLE")
	s, c := newScript(t)
	mk := c.MakeSQL("p", mark)
	var p told
	shop := Database{"shop", "utf8mb4", "utf8mb4_0900_ai_ci"}
	create := func() error { return mk.CreateDatabase(context.Background(), "mysql-x", shop, p.tell) }

	s.calls = []call{inst, list(`{}`), {want: "POST " + instancePath + "/databases", body: `"name":"shop"`, answer: sqlPending}, sqlDone()}
	if err := create(); err != nil {
		t.Error(err)
	}
	s.calls = []call{inst, list(has)}
	if err := create(); err != nil {
		t.Errorf("a second time: %v", err)
	}
	s.calls = []call{inst, list(strings.Replace(has, "utf8mb4_0900_ai_ci", "utf8mb4_bin", 1))}
	if err := create(); !errors.Is(err, ErrExists) {
		t.Errorf("another collation: %v, want ErrExists", err)
	}
	s.calls = []call{inst, list(`{}`), {want: "POST " + instancePath + "/databases", status: -1}, list(has)}
	if err := create(); err != nil {
		t.Errorf("a lost answer to a request that arrived: %v", err)
	}
	s.calls = []call{find(t, all, "GET", "/instances/mysql-x", 0).call()}
	if err := create(); !errors.Is(err, stamp.ErrForeign) {
		t.Errorf("another's instance: %v, want ErrForeign", err)
	}
	s.calls = []call{inst, list(has), {want: "DELETE " + instancePath + "/databases/shop", answer: sqlPending}, sqlDone()}
	if err := mk.DeleteDatabase(context.Background(), "mysql-x", "shop", p.tell); err != nil {
		t.Error(err)
	}
	s.calls = []call{inst, list(`{}`)}
	if err := mk.DeleteDatabase(context.Background(), "mysql-x", "shop", p.tell); err != nil {
		t.Errorf("a second time: %v", err)
	}
	s.calls = []call{noSQL()}
	if err := mk.DeleteDatabase(context.Background(), "mysql-x", "shop", p.tell); err != nil {
		t.Errorf("without the instance: %v", err)
	}
	s.calls = []call{find(t, all, "GET", "/instances/mysql-x", 0).call()}
	if err := mk.DeleteDatabase(context.Background(), "mysql-x", "shop", p.tell); !errors.Is(err, stamp.ErrForeign) {
		t.Errorf("another's instance: %v, want ErrForeign", err)
	}
}

func TestUsers(t *testing.T) {
	all := recording(t, "sql-instance-mysql84.http.log")
	inst := recordedInstance(t, all, "RUNNABLE")
	list := func(answer string) call { return call{want: "GET " + instancePath + "/users", answer: answer} }
	has := `{"items":[{"name":"shop","host":"%"}]}`
	s, c := newScript(t)
	mk := c.MakeSQL("p", mark)
	var p told
	shop, pw := User{"shop", "%"}, secret.New("correct horse")
	put := func() error { return mk.PutUser(context.Background(), "mysql-x", shop, pw, p.tell) }

	s.calls = []call{inst, list(`{}`), {want: "POST " + instancePath + "/users", body: `"password":"correct horse"`, answer: sqlPending}, sqlDone()}
	if err := put(); err != nil {
		t.Error(err)
	}
	s.calls = []call{inst, list(has), {want: "PUT " + instancePath + "/users", query: "name=shop", body: `"password":"correct horse"`, answer: sqlPending}, sqlDone()}
	if err := put(); err != nil {
		t.Errorf("a second time: %v", err)
	}
	s.calls = []call{inst, list(`{}`), {want: "POST " + instancePath + "/users", status: 400, answer: `{"error":{"code":400,"message":"password correct horse is too weak"}}`}}
	if err := put(); err == nil || strings.Contains(err.Error(), "correct horse") {
		t.Errorf("an answer that repeats the password: %v", err)
	}
	s.calls = []call{inst, list(`{}`), {want: "POST " + instancePath + "/users", status: -1}}
	if err := put(); err == nil {
		t.Error("a lost answer counts as done, though nobody knows which password holds")
	}
	for _, l := range p.lines {
		if strings.Contains(l, "horse") {
			t.Errorf("progress shows a password: %s", l)
		}
	}
	s.calls = []call{inst, list(has), {want: "DELETE " + instancePath + "/users", query: "host=%25", answer: sqlPending}, sqlDone()}
	if err := mk.DeleteUser(context.Background(), "mysql-x", shop, p.tell); err != nil {
		t.Error(err)
	}
	s.calls = []call{inst, list(`{}`)}
	if err := mk.DeleteUser(context.Background(), "mysql-x", shop, p.tell); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

func TestErrorAsRecorded(t *testing.T) {
	recorded := find(t, recording(t, "sql-instance-mysql84.http.log"), "PATCH", "/instances/mysql-x", 0)
	_, c := newScript(t, call{want: "GET /v1/projects/p/instances/i/users", status: recorded.status, answer: recorded.answer})
	_, err := c.LookAtSQL("p").Users(context.Background(), "i")
	for _, want := range []string{"HTTP 400", "Invalid Tier (db-c4a-highmem-2) for (ENTERPRISE) Edition."} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v doesn't say %q", err, want)
		}
	}
}
