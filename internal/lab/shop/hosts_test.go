package shop

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-dev/slipway/steps/release/chart"
)

var update = flag.Bool("update", false, "write the golden files anew")

func site() Site {
	s := Site{
		Name: "www.shop.example", Cache: netip.MustParseAddr("10.77.0.20"), Clients: "10.77.%",
		Database: netip.MustParseAddrPort("10.77.0.51:3306"), Queue: netip.MustParseAddrPort("10.77.0.61:5672"),
		RedisCache: netip.MustParseAddrPort("10.77.0.41:6379"), RedisSessions: netip.MustParseAddrPort("10.77.0.41:6380"),
		Secrets: Secrets{Database: "Db1", Queue: "Qu2", Redis: "Re3"},
	}
	for i := range 2 {
		s.Webs = append(s.Webs, Server{Name: fmt.Sprintf("web%d", i+1), Addr: netip.MustParseAddr(fmt.Sprintf("10.77.0.3%d", i+1))})
	}
	return s
}

// hosts are the kinds of host of the fleet, each with its files but for the application's.
func hosts() map[string][]File {
	s := site()
	return map[string][]File{
		"edge": s.EdgeFiles(), "cache": s.CacheFiles(), "queue": s.QueueFiles(),
		"web1":   s.WebFiles(Web{Suite: Bookworm, Worker: true, Cron: true}),
		"web5":   s.WebFiles(Web{Suite: Bullseye}),
		"redis1": s.RedisFiles(Bullseye, netip.Addr{}),
		"redis2": s.RedisFiles(Bookworm, netip.MustParseAddr("10.77.0.41")),
	}
}

func TestGolden(t *testing.T) {
	for name, files := range hosts() {
		var b bytes.Buffer
		for _, f := range files {
			if strings.HasPrefix(f.Path, "/srv/shop/app/") {
				continue
			}
			fmt.Fprintf(&b, "==> %s %v %s %s\n%s", f.Path, f.Mode, f.Owner, f.Link, f.Body)
		}
		golden := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, b.Bytes()) {
			t.Errorf("the files of %s are not those of %s: go test -update writes it anew, git diff shows the difference", name, golden)
		}
	}
}

func TestFilesOfAHost(t *testing.T) {
	for name, files := range hosts() {
		seen := map[string]bool{}
		for _, f := range files {
			if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || seen[f.Path] {
				t.Errorf("%s: path %q is relative, unclean or there twice", name, f.Path)
			}
			seen[f.Path] = true
			if (f.Link == "") == (f.Mode == 0) || f.Link != "" && len(f.Body) > 0 {
				t.Errorf("%s: %s is neither a file nor a link, or both", name, f.Path)
			}
			for _, secret := range []string{"Db1", "Qu2", "Re3"} {
				if bytes.Contains(f.Body, []byte(secret)) && f.Mode&0o007 != 0 {
					t.Errorf("%s: %s holds a password and has mode %v", name, f.Path, f.Mode)
				}
			}
		}
	}
	for _, f := range site().QueueFiles() {
		if bytes.Contains(f.Body, []byte("Qu2")) {
			t.Errorf("%s holds the password itself, and RabbitMQ needs its hash only", f.Path)
		}
	}
}

func TestOnlySomeWebsWork(t *testing.T) {
	has := func(w Web, file string) bool {
		return slices.ContainsFunc(site().WebFiles(w), func(f File) bool { return f.Path == file })
	}
	for _, w := range []Web{{Suite: Bookworm}, {Suite: Bookworm, Worker: true}, {Suite: Bullseye, Cron: true}} {
		if has(w, "/etc/supervisor/conf.d/shop-worker.conf") != w.Worker || has(w, "/etc/cron.d/shop") != w.Cron {
			t.Errorf("%+v has the worker or the cron job of another", w)
		}
		if !has(w, "/etc/php/"+w.Suite.PHP()+"/fpm/pool.d/www.conf") {
			t.Errorf("%+v has no pool for its PHP", w)
		}
	}
}

func TestPasswordsNeedNoQuotes(t *testing.T) {
	if err := site().Check(); err != nil {
		t.Errorf("a good site is refused: %v", err)
	}
	for _, bad := range []string{"", "with space", `quo"te`, "new\nline", "semi;colon", "é"} {
		for i := range 3 {
			s := site()
			*[]*string{&s.Secrets.Database, &s.Secrets.Queue, &s.Secrets.Redis}[i] = bad
			if err := s.Check(); err == nil {
				t.Errorf("password %q was taken", bad)
			} else if bad != "" && strings.Contains(err.Error(), bad) {
				t.Errorf("the error prints the password: %v", err)
			}
		}
	}
}

// TestBrokerHash holds the hash against RabbitMQ's documented example: salt 908DC60A, password test12
// (https://www.rabbitmq.com/docs/passwords#computing-password-hash).
func TestBrokerHash(t *testing.T) {
	if got := brokerHashWith([4]byte{0x90, 0x8d, 0xc6, 0x0a}, "test12"); got != "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR" {
		t.Errorf("hash %s", got)
	}
	one, err := base64.StdEncoding.DecodeString(brokerHash("a"))
	if err != nil || len(one) != 36 || brokerHash("b")[:6] == brokerHash("a")[:6] {
		t.Errorf("hash of %d bytes, or the salt doesn't depend on the password: %v", len(one), err)
	}
}

// TestQueuesAreDeclaredAlike: a queue that exists with other arguments than the application declares is refused.
func TestQueuesAreDeclaredAlike(t *testing.T) {
	var d brokerDefinitions
	if err := json.Unmarshal(definitions("x"), &d); err != nil {
		t.Fatal(err)
	}
	code, err := app.ReadFile("app/lib/Queue.php")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"const NAME = '" + d.Queues[1].Name + "'", "const DEAD = '" + d.Queues[0].Name + "'",
		"['x-dead-letter-exchange' => '" + d.Queues[1].Arguments["x-dead-letter-exchange"] + "', 'x-dead-letter-routing-key' => self::DEAD]"} {
		if !strings.Contains(string(code), want) {
			t.Errorf("Queue.php doesn't have %s", want)
		}
	}
	if d.Queues[1].Arguments["x-dead-letter-routing-key"] != d.Queues[0].Name {
		t.Error("dead jobs don't go to the queue for them")
	}
}

// TestChartRunsTheseImages: the chart's values and this package name the same images.
func TestChartRunsTheseImages(t *testing.T) {
	data, err := chart.Files.ReadFile("values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var values struct{ Images map[string]any }
	if err := yaml.Unmarshal(data, &values); err != nil {
		t.Fatal(err)
	}
	delete(values.Images, "pullPolicy")
	for _, i := range Images() {
		if _, ok := values.Images[i.Name]; !ok {
			t.Errorf("the chart has no image %s", i.Name)
		}
		delete(values.Images, i.Name)
		if len(Packages(i.Role)) == 0 || len(i.Command) == 0 || strings.Trim(i.User, "0123456789:") != "" || strings.HasPrefix(i.User, "0") {
			t.Errorf("image %s lacks packages or command, or runs as %q", i.Name, i.User)
		}
	}
	for name := range values.Images {
		t.Errorf("nobody makes the chart's image %s", name)
	}
}

// TestChartCachesAlike: what Varnish may keep is decided by the same lines on hosts and in the cluster.
func TestChartCachesAlike(t *testing.T) {
	vcl, err := chart.Files.ReadFile("templates/varnish-config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for line := range strings.SplitSeq(string(vcl), "\n") {
		there[strings.TrimSpace(line)] = true
	}
	body := string(site().CacheFiles()[0].Body)
	rules := body[strings.Index(body, "sub vcl_recv"):]
	for line := range strings.SplitSeq(rules, "\n") {
		if line = strings.TrimSpace(line); !there[line] && line != "set req.backend_hint = webs.backend();" {
			t.Errorf("the chart's VCL lacks: %s", line)
		}
	}
}
