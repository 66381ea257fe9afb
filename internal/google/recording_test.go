package google

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// exchange is one recorded request and its answer.
type exchange struct {
	method, path string
	request      string
	status       int
	answer       string
}

// recording reads exchanges with the real Google APIs. They aren't part of this repository: SLIPWAY_SHARED names the folder that holds
// gcp-recordings, by default ../shared beside the repository. Without them the tests fail where CI is true, and are skipped loudly elsewhere.
func recording(t *testing.T, name string) []exchange {
	t.Helper()
	dir := os.Getenv("SLIPWAY_SHARED")
	if dir == "" {
		wd, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for _, up := range []string{"../../../shared", "../../../../shared"} { // beside the repository, or beside a folder of worktrees
			if _, err := os.Stat(filepath.Join(wd, up, "gcp-recordings")); err == nil {
				dir = filepath.Join(wd, up)
				break
			}
		}
	}
	raw, err := os.ReadFile(filepath.Join(dir, "gcp-recordings", name))
	if err != nil {
		const say = "NOT TESTED against exchanges recorded with the real Google APIs: %v; set SLIPWAY_SHARED to the folder that holds gcp-recordings"
		if os.Getenv("CI") == "true" {
			t.Fatalf(say, err)
		}
		t.Skipf(say, err)
	}
	text := strings.NewReplacer("${projectId}", "p", "${projectNumber}", "271828", "${uniqueId}", "x", "${operationID}", "operation-1",
		"${publicEndpointIPV4}", "198.51.100.7", "${privateEndpointIPV4}", "10.0.0.7", "${managedZoneId}", "123").Replace(string(raw))
	var out []exchange
	for _, part := range strings.Split(text, "\n---\n") {
		out = append(out, parseExchange(t, name, part))
	}
	if len(out) == 0 {
		t.Fatalf("%s holds no exchange", name)
	}
	return out
}

var statusLine = regexp.MustCompile(`(?m)^([1-5][0-9][0-9]) [A-Z][A-Za-z ]+$`)

func parseExchange(t *testing.T, name, part string) exchange {
	t.Helper()
	at := statusLine.FindStringSubmatchIndex(part)
	if at == nil {
		t.Fatalf("%s: no status line in %.80q", name, part)
	}
	body := func(s string) string {
		_, b, _ := strings.Cut(strings.TrimLeft(s, "\n"), "\n\n")
		return strings.TrimSpace(b)
	}
	req, res := part[:at[0]], part[at[0]:]
	first, _, _ := strings.Cut(strings.TrimSpace(req), "\n")
	method, url, _ := strings.Cut(first, " ")
	_, path, _ := strings.Cut(strings.TrimPrefix(url, "https://"), "/")
	path, _, _ = strings.Cut("/"+path, "?")
	e := exchange{method: method, path: strings.Replace(path, "/sql/v1beta4/", "/v1/", 1), request: body(req), answer: body(res)}
	e.status, _ = strconv.Atoi(part[at[2]:at[3]])
	return e
}

// find gives the nth exchange (from 0) with a method and an end of its path.
func find(t *testing.T, all []exchange, method, end string, nth int) exchange {
	t.Helper()
	for _, e := range all {
		if e.method == method && strings.HasSuffix(e.path, end) {
			if nth == 0 {
				return e
			}
			nth--
		}
	}
	t.Fatalf("the recording has no %s …%s", method, end)
	return exchange{}
}

func (e exchange) call() call {
	return call{want: e.method + " " + e.path, status: e.status, answer: e.answer}
}

// with sets a field of the recorded answer, by path of keys.
func (c call) with(t *testing.T, value any, path ...string) call {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(c.answer), &doc); err != nil {
		t.Fatal(err)
	}
	at := doc
	for _, k := range path[:len(path)-1] {
		at = at[k].(map[string]any)
	}
	at[path[len(path)-1]] = value
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	c.answer = string(raw)
	return c
}
