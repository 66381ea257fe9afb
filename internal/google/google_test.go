package google

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/secret"
	"google.golang.org/api/googleapi"
)

func TestKey(t *testing.T) {
	good := testKey(t, "https://oauth2.example/token").Reveal()
	for name, c := range map[string]struct{ key, want string }{
		"not JSON":     {"hunter2", "not a JSON file"},
		"another type": {`{"type":"authorized_user"}`, `type is "authorized_user"`},
		"no key":       {`{"type":"service_account","client_email":"a@b"}`, "private_key is missing"},
		"plain http":   {strings.Replace(good, "https://", "http://", 1), "not an https address"},
		"no token_uri": {strings.Replace(good, "token_uri", "x", 1), "not an https address"},
	} {
		_, err := New(Options{Key: secret.New(c.key)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "BEGIN PRIVATE")) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
	if _, err := New(Options{Key: secret.New(good)}); err != nil {
		t.Errorf("a good key: %v", err)
	}
}

func TestRoots(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(empty, []byte("not PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{empty, filepath.Join(t.TempDir(), "missing")} {
		if _, err := New(Options{Key: testKey(t, "https://x/token"), CAFile: file}); err == nil || !strings.Contains(err.Error(), "ca_file") {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// The certificate of an endpoint is checked, and the error says what to do.
func TestUnknownAuthority(t *testing.T) {
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	at := srv.URL + "/"
	c, err := New(Options{Key: testKey(t, srv.URL+"/token"), Endpoints: Endpoints{at, at, at, at, at}})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, _, err = c.LookAtClusters("p", "l").Cluster(context.Background(), "x")
	if err == nil || !strings.Contains(err.Error(), "ca_file") {
		t.Errorf("%v, want a hint at ca_file", err)
	}
	if time.Since(began) > 5*time.Second {
		t.Error("a wrong certificate was asked again and again")
	}
}

func TestTokenRefused(t *testing.T) {
	asked := 0
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.WriteHeader(400)
		fmt.Fprint(w, `{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`)
	}))
	defer srv.Close()
	s2, c2 := newScript(t) // its certificate is httptest's, as srv's is
	o := Options{Key: testKey(t, srv.URL+"/token"), CAFile: s2.ca}
	o.Endpoints = Endpoints{srv.URL + "/", srv.URL + "/", srv.URL + "/", srv.URL + "/", srv.URL + "/"}
	bad, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	bad.pace = c2.pace
	_, err = bad.LookAtSQL("p").Users(context.Background(), "i")
	if err == nil || !strings.Contains(err.Error(), "refused the key") || !strings.Contains(err.Error(), "Invalid JWT Signature") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
	if asked != 1 {
		t.Errorf("the token was asked for %d times", asked)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	const disabled = `{"error":{"code":403,"message":"Cloud SQL Admin API has not been used in project 1 before or it is disabled.","status":"PERMISSION_DENIED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"SERVICE_DISABLED","domain":"googleapis.com"}]}}`
	const denied = `{"error":{"code":403,"message":"The client is not authorized to make this request.","errors":[{"reason":"notAuthorized","message":"x"}]}}`
	const gkeDenied = `{"error":{"code":403,"message":"Required \"container.clusters.list\" permission(s) for \"projects/p\".","status":"PERMISSION_DENIED"}}`
	const quota = `{"error":{"code":429,"message":"Quota exceeded for quota metric 'Clusters'","status":"RESOURCE_EXHAUSTED","details":[{"reason":"QUOTA_EXCEEDED"}]}}`
	const unauth = `{"error":{"code":401,"message":"Request had invalid authentication credentials.","status":"UNAUTHENTICATED"}}`
	ctx := context.Background()
	for name, c := range map[string]struct {
		status int
		answer string
		ask    func(*Client) error
		path   string
		want   []string
	}{
		"disabled": {403, disabled, func(c *Client) error { _, err := c.LookAtProject("p", "l").InstanceNames(ctx); return err }, "GET /v1/projects/p/instances",
			[]string{"list instances (project p): HTTP 403 SERVICE_DISABLED", "gcloud services enable sqladmin.googleapis.com"}},
		"denied": {403, denied, func(c *Client) error { _, err := c.LookAtSQL("p").Users(ctx, "i"); return err }, "GET /v1/projects/p/instances/i/users",
			[]string{"HTTP 403 notAuthorized", "grant slipway@p.iam.gserviceaccount.com roles/cloudsql.admin"}},
		"gke denied": {403, gkeDenied, func(c *Client) error { _, err := c.LookAtProject("p", "l").ClusterNames(ctx); return err }, "GET /v1/projects/p/locations/l/clusters",
			[]string{"HTTP 403", "roles/container.admin"}},
		"unauthenticated": {401, unauth, func(c *Client) error { _, err := c.LookAtSQL("p").Users(ctx, "i"); return err }, "GET /v1/projects/p/instances/i/users",
			[]string{"HTTP 401", "deleted or disabled"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, cl := newScript(t, call{want: c.path, status: c.status, answer: c.answer})
			err := c.ask(cl)
			for _, w := range c.want {
				if err == nil || !strings.Contains(err.Error(), w) {
					t.Errorf("%v\nwant %q", err, w)
				}
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
			if !errors.Is(err, ErrRefused) {
				t.Errorf("%v is not ErrRefused", err)
			}
		})
	}
	t.Run("quota", func(t *testing.T) {
		_, c := newScript(t)
		err := c.explain(fmtError(t, 429, quota), containerAPI(), "create cluster x", "project p")
		if !strings.Contains(err.Error(), "raise the quota") {
			t.Error(err)
		}
	})
}

// A read is asked again while the server is in trouble, and not for ever.
func TestTroubleOnTheWay(t *testing.T) {
	const path = "GET /v1/projects/p/instances/i/users"
	s, c := newScript(t, call{want: path, status: 503, answer: "{}"}, call{want: path, status: -1}, call{want: path, status: 429, answer: "{}"}, call{want: path, answer: `{"items":[{"name":"a","host":"%"}]}`})
	if u, err := c.LookAtSQL("p").Users(context.Background(), "i"); err != nil || len(u) != 1 {
		t.Errorf("%v, %v", u, err)
	}
	c.pace.trouble = 0
	s.calls = []call{{want: path, status: 503, answer: "{}"}}
	if _, err := c.LookAtSQL("p").Users(context.Background(), "i"); err == nil || !strings.Contains(err.Error(), "no answer for 0s") {
		t.Errorf("trouble without end: %v", err)
	}
}

// A wait that is given up says so, and that the operation goes on; it isn't a success.
func TestWaitIsCancelled(t *testing.T) {
	_, c := newScript(t)
	ctx, cancel := context.WithTimeoutCause(context.Background(), 20*time.Millisecond, errors.New("the step's time is up"))
	defer cancel()
	c.pace.first, c.pace.most = time.Minute, time.Minute
	err := c.wait(ctx, func(string, int64, int64) {}, containerAPI(), operation{name: "o", kind: "CREATE_CLUSTER", target: "x", status: "RUNNING"}, nil)
	if err == nil || !strings.Contains(err.Error(), "the operation goes on") || !strings.Contains(err.Error(), "the step's time is up") {
		t.Error(err)
	}
}

// Another operation that never ends is an error, not a wait for ever.
func TestBusyForEver(t *testing.T) {
	_, c := newScript(t)
	c.pace.busy = 20 * time.Millisecond
	sent := 0
	_, err := submit(context.Background(), c, func(string, int64, int64) {}, "x", func() (int, error) { sent++; return 0, fmtError(t, 409, sqlBusy) })
	if err == nil || sent < 2 || !strings.Contains(err.Error(), "held by another operation for") {
		t.Errorf("%v after %d", err, sent)
	}
	sent = 0
	_, err = submit(context.Background(), c, func(string, int64, int64) {}, "x", func() (int, error) { sent++; return 0, fmtError(t, 503, "{}") })
	if err == nil || sent != 1 {
		t.Errorf("a submit of unknown outcome was sent %d times", sent)
	}
}

func TestPermissions(t *testing.T) {
	_, c := newScript(t, call{want: "POST /v1/projects/p:testIamPermissions", body: `"a.b.c"`, answer: `{"permissions":["a.b.d"]}`})
	missing, err := c.LookAtProject("p", "l").MissingPermissions(context.Background(), []string{"a.b.c", "a.b.d", "a.b.e"})
	if err != nil || strings.Join(missing, " ") != "a.b.c a.b.e" {
		t.Errorf("%q, %v", missing, err)
	}
}

func TestProjectLists(t *testing.T) {
	ctx := context.Background()
	s, c := newScript(t,
		call{want: "GET /v1/projects/p/instances", answer: `{"items":[{"name":"a"}],"nextPageToken":"t"}`},
		call{want: "GET /v1/projects/p/instances", query: "pageToken=t", answer: `{"items":[{"name":"b"}]}`})
	l := c.LookAtProject("p", "europe-west1")
	if n, err := l.InstanceNames(ctx); err != nil || strings.Join(n, " ") != "a b" {
		t.Errorf("%q, %v", n, err)
	}
	s.calls = []call{{want: "GET /v1/projects/p/locations/europe-west1/serverConfig", answer: `{"validMasterVersions":["1.37.2-gke.1"]}`}}
	if v, err := l.KubernetesVersions(ctx); err != nil || len(v) != 1 {
		t.Errorf("%q, %v", v, err)
	}
	s.calls = []call{{want: "GET /v1/flags", query: "databaseVersion=MYSQL_9_7", answer: `{"items":[{"name":"long_query_time"}]}`}}
	if v, err := l.Flags(ctx, "MYSQL_9_7"); err != nil || len(v) != 1 {
		t.Errorf("%q, %v", v, err)
	}
}

func fmtError(t *testing.T, status int, body string) error {
	t.Helper()
	return googleapi.CheckResponseWithBody(&http.Response{StatusCode: status}, []byte(body))
}
