package google

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/stamp"
)

const sqlBusy = `{"error":{"code":409,"message":"Operation failed because another operation was already in progress. Try your request after the current operation is complete.","errors":[{"message":"Operation failed because another operation was already in progress.","domain":"global","reason":"operationInProgress"}]}}`

// call is one request that a test expects, and the answer to it.
type call struct {
	want   string // "GET /v1/projects/p/…", without host and query
	query  string // a piece of the query that must be there
	body   string // a piece of the body that must be there
	status int    // 0: 200
	answer string
}

// script is a server that answers exactly what it was told, in the order in which it was told. Anything else fails the test.
type script struct {
	t     *testing.T
	mu    sync.Mutex
	calls []call
	srv   *httptest.Server
	ca    string // file
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		_ = r.ParseForm()
		if r.Form.Get("assertion") == "" {
			s.t.Error("token request without an assertion")
		}
		fmt.Fprint(w, `{"access_token":"lab-token","token_type":"Bearer","expires_in":3600}`)
		return
	}
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	got := r.Method + " " + r.URL.Path
	if r.Header.Get("Authorization") != "Bearer lab-token" {
		s.t.Errorf("%s: Authorization %q", got, r.Header.Get("Authorization"))
	}
	if !strings.Contains(r.UserAgent(), "slipway-test") {
		s.t.Errorf("%s: user agent %q", got, r.UserAgent())
	}
	if len(s.calls) == 0 {
		s.t.Errorf("unexpected %s %s", got, body)
		http.Error(w, "not in the script", http.StatusTeapot)
		return
	}
	c := s.calls[0]
	if got != c.want || !strings.Contains(r.URL.RawQuery, c.query) || !strings.Contains(string(body), c.body) {
		s.t.Errorf("got  %s ?%s %s\nwant %s ?…%s… …%s…", got, r.URL.RawQuery, body, c.want, c.query, c.body)
		http.Error(w, "not in the script", http.StatusTeapot)
		return
	}
	s.calls = s.calls[1:]
	if c.status == -1 { // cut
		hj, _, _ := w.(http.Hijacker).Hijack()
		_ = hj.Close()
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	if c.status != 0 {
		w.WriteHeader(c.status)
	}
	fmt.Fprint(w, c.answer)
}

func newScript(t *testing.T, calls ...call) (*script, *Client) {
	t.Helper()
	s := &script{t: t, calls: calls}
	s.srv = httptest.NewTLSServer(s)
	s.ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(s.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	at := s.srv.URL + "/"
	c, err := New(Options{Key: testKey(t, s.srv.URL+"/token"), CAFile: s.ca, UserAgent: "slipway-test", Endpoints: Endpoints{at, at, at, at, at}})
	if err != nil {
		t.Fatal(err)
	}
	c.pace = pace{first: time.Millisecond, most: 5 * time.Millisecond, trouble: 200 * time.Millisecond, busy: 200 * time.Millisecond}
	t.Cleanup(func() {
		s.srv.Close()
		for _, c := range s.calls {
			t.Errorf("never asked: %s", c.want)
		}
	})
	return s, c
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func testKey(t *testing.T, tokenURI string) secret.String {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(rsaKey())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(map[string]string{"type": "service_account", "client_email": "slipway@p.iam.gserviceaccount.com", "private_key_id": "k1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": tokenURI})
	if err != nil {
		t.Fatal(err)
	}
	return secret.New(string(raw))
}

var mark = stamp.Stamp{Run: "20261123-010203-7f3a", Step: "standup.cluster", Fence: 3}

// told collects progress.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (p *told) tell(what string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, what)
}

func (p *told) has(piece string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		if strings.Contains(l, piece) {
			return true
		}
	}
	return false
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
