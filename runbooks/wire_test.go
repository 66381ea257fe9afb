package runbooks_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/zone"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
	"github.com/slipway-dev/slipway/runbooks"
)

// request is one HTTP request as it came over the wire.
type request struct {
	api, method, path, body string
}

func (r request) String() string { return r.api + " " + r.method + " " + r.path + " " + r.body }

// wires are HTTPS servers that record every request.
type wires struct {
	t    *testing.T
	pem  []byte
	file string // with pem
	pool *x509.CertPool

	mu   sync.Mutex
	seen []request
	fail func() bool // the next change is refused, or done and its answer lost
	lose func() bool
}

// serve is one API's server.
func (ws *wires) serve(api string, h http.Handler) *httptest.Server {
	ws.t.Helper()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			ws.t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		req := request{api, r.Method, r.URL.Path, string(body)}
		ws.mu.Lock()
		ws.seen = append(ws.seen, req)
		changes := r.Method != http.MethodGet && !onlyAsks(req)
		fail, lose := changes && ws.fail(), changes && ws.lose()
		ws.mu.Unlock()
		switch {
		case fail:
			http.Error(w, `{"error":{"code":503,"message":"injected"}}`, http.StatusServiceUnavailable)
		case lose:
			h.ServeHTTP(httptest.NewRecorder(), r)
			if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
				_ = c.Close()
			}
		default:
			h.ServeHTTP(w, r)
		}
	}))
	srv.Config.ErrorLog = quiet()
	ws.t.Cleanup(srv.Close)
	if ws.pem == nil { // all of httptest's servers have the one certificate
		ws.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
		ws.pool = x509.NewCertPool()
		ws.pool.AddCert(srv.Certificate())
		ws.file = filepath.Join(ws.t.TempDir(), "ca.pem")
		if err := os.WriteFile(ws.file, ws.pem, 0o600); err != nil {
			ws.t.Fatal(err)
		}
	}
	return srv
}

// onlyAsks: a POST that changes nothing.
func onlyAsks(r request) bool {
	return r.api == "oauth" && r.path == "/token" || r.api == "resource manager" && strings.HasSuffix(r.path, ":testIamPermissions")
}

// allowed are the requests that change something and that a rehearsal of the run may send, besides those of onlyAsks: it
// makes and deletes its own cluster and instance, and what is in its own instance, and changes the rehearsal zone's records.
var allowed = []struct {
	api, method string
	path        *regexp.Regexp
	body        *regexp.Regexp // nil: any
}{
	{"container", "POST", regexp.MustCompile(`^/v1/projects/` + theProject + `/locations/` + location + `/clusters$`), regexp.MustCompile(`"name":"slipway-` + runID + `".*"slipway-run":"` + runID + `"`)},
	{"container", "DELETE", regexp.MustCompile(`^/v1/projects/` + theProject + `/locations/` + location + `/clusters/slipway-` + runID + `$`), nil},
	{"sqladmin", "POST", regexp.MustCompile(`^/v1/projects/` + theProject + `/instances$`), regexp.MustCompile(`"name":"slipway-` + runID + `".*"slipway-run":"` + runID + `"`)},
	{"sqladmin", "DELETE", regexp.MustCompile(`^/v1/projects/` + theProject + `/instances/slipway-` + runID + `$`), nil},
	{"sqladmin", "PATCH", regexp.MustCompile(`^/v1/projects/` + theProject + `/instances/slipway-` + runID + `$`), regexp.MustCompile(`^{"settings":{"userLabels":{"slipway-fence":"[0-9]+","slipway-run":"` + runID + `","slipway-step":"[a-z_-]+"}}}\s*$`)},
	{"sqladmin", "(POST|PUT|DELETE)", regexp.MustCompile(`^/v1/projects/` + theProject + `/instances/slipway-` + runID + `/(databases|users)(/shop)?$`), nil},
	{"ovh", "(POST|PUT|DELETE)", regexp.MustCompile(`^/1.0/domain/zone/rehearsal\.example/(record|record/[0-9]+|refresh)$`), nil},
}

// forbidden are the requests that a rehearsal must not have sent.
func forbidden(all []request) (bad []string) {
next:
	for _, r := range all {
		if r.method == http.MethodGet || onlyAsks(r) {
			continue
		}
		for _, a := range allowed {
			if a.api == r.api && regexp.MustCompile("^"+a.method+"$").MatchString(r.method) && a.path.MatchString(r.path) && (a.body == nil || a.body.MatchString(r.body)) {
				continue next
			}
		}
		bad = append(bad, r.String())
	}
	return bad
}

// The whole runbook with the real clients of Google and OVH over HTTPS, killed and with requests that are refused or whose
// answers are lost: no request changes anything but what carries the run's name and stamp, and the rehearsal zone.
func TestNoRequestTouchesProduction(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			g := rand.New(rand.NewPCG(seed, 2))
			net := newNet(t)
			trouble := func(percent int) func() bool {
				return func() bool { return seed > 0 && g.IntN(100) < percent }
			}
			net.wires.fail, net.wires.lose = trouble(6), trouble(6)
			d := &crashfs.Disk{}
			var err error
			for life := 0; life < 12; life++ {
				at := 0
				if seed > 1 && life < 2 {
					at = 1 + g.IntN(500)
				}
				net.w.own(func() { net.w.life = crashfs.NewLife(at) })
				if err = processOf(net.w, d, net.book(t), false, 4, resume); err == nil {
					break
				}
				d.Crash(crashfs.KeepCache)
			}
			if err != nil {
				t.Errorf("it doesn't come to its end: %v", err)
			}
			all := net.wires.requests()
			for _, bad := range forbidden(all) {
				t.Errorf("sent: %s", bad)
			}
			changes := 0
			for _, r := range all {
				if r.method != http.MethodGet && !onlyAsks(r) {
					changes++
				}
			}
			if changes < 15 {
				t.Errorf("only %d requests were changes: what was proved?", changes)
			}
			net.asBefore(t)
			t.Logf("%d requests, %d of them changes", len(all), changes)
		})
	}
}

func (ws *wires) requests() []request {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return append([]request(nil), ws.seen...)
}

// The list of what is allowed is narrow.
func TestForbiddenRequests(t *testing.T) {
	const mine = "slipway-" + runID
	for _, r := range []request{
		{"container", "DELETE", "/v1/projects/" + theProject + "/locations/" + location + "/clusters/prod", ""},
		{"container", "POST", "/v1/projects/" + theProject + "/locations/" + location + "/clusters", `{"cluster":{"name":"other"}}`},
		{"container", "PUT", "/v1/projects/" + theProject + "/locations/" + location + "/clusters/" + mine, ""},
		{"container", "DELETE", "/v1/projects/other/locations/" + location + "/clusters/" + mine, ""},
		{"sqladmin", "POST", "/v1/projects/" + theProject + "/instances/prod/users", ""},
		{"sqladmin", "DELETE", "/v1/projects/" + theProject + "/instances/" + mine + "-x", ""},
		{"sqladmin", "PATCH", "/v1/projects/" + theProject + "/instances/" + mine, `{"settings":{"tier":"db-f1-micro"}}`},
		{"sqladmin", "POST", "/v1/projects/" + theProject + "/instances/" + mine + "/restart", ""},
		{"ovh", "POST", "/1.0/domain/zone/shop.example/refresh", ""},
		{"ovh", "DELETE", "/1.0/domain/zone/shop.example/record/1", ""},
		{"ovh", "POST", "/1.0/domain/zone/rehearsal.example/reset", ""},
		{"ovh", "PUT", "/1.0/domain/zone/rehearsal.example", ""},
	} {
		if len(forbidden([]request{r})) == 0 {
			t.Errorf("allowed: %s", r)
		}
	}
}

// A flip that is wired to production's zone by mistake, with a hand whose mark nobody looks at, is seen on the wire.
func TestTheWireShowsAFlipOfProduction(t *testing.T) {
	t.Parallel()
	net := newNet(t)
	net.flipped = net.production
	net.guarded = false
	err := processOf(net.w, &crashfs.Disk{}, net.book(t), false, 4, resume)
	bad := strings.Join(forbidden(net.wires.requests()), "\n")
	if !strings.Contains(bad, "ovh PUT /1.0/domain/zone/shop.example/record/") || !strings.Contains(bad, "ovh POST /1.0/domain/zone/shop.example/refresh") {
		t.Errorf("it isn't seen (%v):\n%s", err, bad)
	}
}

// With the guard that the program has, the same mistake is refused before anything is sent.
func TestAFlipOfProductionIsRefused(t *testing.T) {
	t.Parallel()
	net := newNet(t)
	net.flipped = net.production
	err := processOf(net.w, &crashfs.Disk{}, net.book(t), false, 4, resume)
	if err == nil || !strings.Contains(err.Error(), zone.ErrProduction.Error()) {
		t.Errorf("%v, want ErrProduction", err)
	}
	for _, bad := range forbidden(net.wires.requests()) {
		t.Errorf("sent: %s", bad)
	}
}

func (n *netWorld) book(t tester) *migrate.Runbook[migrate.Rehearsal] {
	t.Helper()
	site, err := place()
	if err != nil {
		t.Fatal(err)
	}
	site.Cluster.DiskGB = 20
	site.Instance.PrivateNetwork, site.Instance.Edition, site.Instance.DiskGB = "projects/"+theProject+"/global/networks/default", "ENTERPRISE", 10
	return runbooks.Phases(n.wire(site.Inventory), site)
}

var errEnded = errors.New("ended")

func soon(ctx context.Context) error {
	select {
	case <-time.After(time.Millisecond):
		return nil
	case <-ctx.Done():
		return errEnded
	}
}
