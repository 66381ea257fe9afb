//go:build lab && bench

package bench

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/fleet"
	"github.com/slipway-dev/slipway/internal/lab/labtest"
	"github.com/slipway-dev/slipway/internal/remote"
)

// Where the files are, and the host that fetches them. rsync and Slipway run on the same host, read the same source and write beside each other.
const (
	fetcher = "web2"
	server  = "web1"
	desk    = "/var/tmp/bench"     // on the fetcher
	source  = "/var/tmp/bench-src" // on the server
	rounds  = 3
)

// makeFiles is a directory of many files, about 14 KB each: 50,000 of them are 688 MB.
const makeFiles = `mt_srand(1); $n = (int)$argv[2]; for ($i = 0; $i < $n; $i++) { $d = sprintf("%s/%02d/%02d", $argv[1], $i % 20, intdiv($i, 20) % 25);
if (!is_dir($d)) mkdir($d, 0755, true); $s = str_repeat(pack("N8", ...array_map(fn() => mt_rand(), range(1, 8))), intdiv(mt_rand(2000, 25500), 32)); file_put_contents("$d/$i.jpg", $s); }`

type bench struct {
	*testing.T
	lab *labtest.Lab
}

func open(t *testing.T) *bench {
	b := &bench{t, labtest.Alone(t)}
	b.Cleanup(func() {
		b.lab.Root(b, fetcher, "rm", "-rf", desk)
		b.lab.Root(b, server, "rm", "-rf", source)
	})
	b.lab.Root(b, fetcher, "mkdir", "-p", desk)
	for _, f := range []struct{ from, to, mode string }{
		{must(b, "slipway"), "slipway", "755"}, {must(b, "slipway-agent"), "slipway-agent", "755"},
		{b.lab.Access(fleet.RootKeyFile), "key", "600"}, {b.lab.Access(fleet.KnownHostsFile), "known_hosts", "644"},
	} {
		in, err := os.Open(f.from)
		if err != nil {
			b.Fatal(err)
		}
		defer in.Close()
		to := filepath.Join(desk, f.to)
		if _, err := b.lab.Exec(b, fetcher, in, "sh", "-c", "cat > "+to+" && chmod "+f.mode+" "+to); err != nil {
			b.Fatal(err)
		}
	}
	return b
}

func must(t testing.TB, program string) string {
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%v: type make build, and put bin on the PATH", err)
	}
	return path
}

// took runs a command on the fetcher and gives the time that it took there.
func (b *bench) took(argv ...string) time.Duration {
	b.Helper()
	line, err := remote.Quote(argv...)
	if err != nil {
		b.Fatal(err)
	}
	out, err := b.lab.Exec(b, fetcher, strings.NewReader("TIMEFORMAT=%R; cd "+desk+"; export HOME="+desk+"; exec 3>&1; time "+line+" >said 2>&1 || { tail -5 said >&2; exit 1; }"), "bash", "-c", "exec 2>&1; . /dev/stdin")
	if err != nil {
		b.Fatalf("%s: %v: %s", argv[0], err, out)
	}
	lines := strings.Fields(out)
	s, err := strconv.ParseFloat(lines[len(lines)-1], 64)
	if err != nil {
		b.Fatalf("%s: %v: %s", argv[0], err, out)
	}
	return time.Duration(s * float64(time.Second))
}

func (b *bench) rsync(from, to string) time.Duration {
	b.Helper()
	return b.took("rsync", "-aHAX", "-e", "ssh -i "+desk+"/key -o UserKnownHostsFile="+desk+"/known_hosts -o BatchMode=yes", from, to)
}

func (b *bench) slipway(argv ...string) time.Duration {
	b.Helper()
	return b.took(append(append([]string{desk + "/slipway", "files", "copy"}, argv...), "--identity", desk+"/key", "--known-hosts", desk+"/known_hosts")...)
}

// best is the least of several, and all.
func best(times []time.Duration) string {
	out := fmt.Sprintf("%5.2f s  of", slices.Min(times).Seconds())
	for _, t := range times {
		out += fmt.Sprintf(" %.2f", t.Seconds())
	}
	return out
}

func (b *bench) row(what string, times ...time.Duration) {
	b.Logf("%-60s %s", what, best(times))
}

// TestBenchPlain: a directory of 50,000 files over SSH, page cache warm; then the pass that finds 50 changed files.
func TestBenchPlain(t *testing.T) {
	b := open(t)
	addr := b.lab.Host(t, server).Addr.String()
	b.lab.Root(t, server, "php", "-r", makeFiles, source, "50000")
	b.Logf("%s", b.lab.Root(t, server, "sh", "-c", "find "+source+" -type f | wc -l; du -s --apparent-size -B1 "+source+"; find "+source+" -type f -exec cat {} + | sha256sum"))
	var peer, own, proved, peerDelta, ownDelta []time.Duration
	clear := func() {
		b.lab.Root(t, fetcher, "sh", "-c", "rm -rf "+desk+"/a "+desk+"/b "+desk+"/c "+desk+"/.local; mkdir "+desk+"/b "+desk+"/c; sync")
	}
	for range rounds {
		clear()
		peer = append(peer, b.rsync("root@"+addr+":"+source+"/", desk+"/a/"))
		b.lab.Root(t, fetcher, "sync")
		own = append(own, b.slipway("ssh://root@"+addr+source, desk+"/b"))
		b.lab.Root(t, fetcher, "sync")
		proved = append(proved, b.slipway("ssh://root@"+addr+source, desk+"/c", "--verify"))
		b.lab.Root(t, server, "sh", "-c", "for f in $(ls "+source+"/03/*/*.jpg | head -50); do echo more >> $f; done")
		peerDelta = append(peerDelta, b.rsync("root@"+addr+":"+source+"/", desk+"/a/"))
		ownDelta = append(ownDelta, b.slipway("ssh://root@"+addr+source, desk+"/b"))
		if d := b.lab.Root(t, fetcher, "diff", "-r", desk+"/a", desk+"/b"); d != "" {
			t.Fatal(d)
		}
	}
	b.row("rsync -aHAX", peer...)
	b.row("slipway files copy", own...)
	b.row("slipway files copy --verify", proved...)
	b.row("50 files changed: rsync -aHAX", peerDelta...)
	b.row("50 files changed: slipway files copy", ownDelta...)
}

// TestBenchGluster: the lab's volume, from its mount for rsync, from mount and bricks for Slipway.
func TestBenchGluster(t *testing.T) {
	b := open(t)
	web, files := b.lab.Host(t, server).Addr.String(), b.lab.Host(t, "files1").Addr.String()
	b.Logf("%s", b.lab.Root(t, server, "sh", "-c", "find /srv/assets -type f | wc -l; du -s --apparent-size -B1 /srv/assets"))
	var peer, mounted, own, nothing []time.Duration
	for range 2 {
		b.lab.Root(t, fetcher, "sh", "-c", "rm -rf "+desk+"/a "+desk+"/b "+desk+"/c "+desk+"/.local; mkdir "+desk+"/b "+desk+"/c; sync")
		peer = append(peer, b.rsync("root@"+web+":/srv/assets/", desk+"/a/"))
		b.lab.Root(t, fetcher, "sync")
		mounted = append(mounted, b.slipway("ssh://root@"+web+"/srv/assets", desk+"/b", "--verify"))
		b.lab.Root(t, fetcher, "sync")
		own = append(own, b.slipway("gluster://root@"+files+"/assets", desk+"/c", "--verify"))
		nothing = append(nothing, b.slipway("gluster://root@"+files+"/assets", desk+"/c", "--verify"))
		if d := b.lab.Root(t, fetcher, "diff", "-r", desk+"/a", desk+"/c"); d != "" {
			t.Fatal(d)
		}
	}
	b.row("rsync -aHAX from the mount", peer...)
	b.row("slipway files copy --verify, the same mount over SSH", mounted...)
	b.row("slipway files copy --verify, gluster:// (mount and bricks)", own...)
	b.row("the same again: nothing has changed", nothing...)
}

// TestBenchDelay: the directory through a proxy, and through the same proxy when each direction takes 10 ms.
func TestBenchDelay(t *testing.T) {
	b := open(t)
	b.lab.Root(t, server, "php", "-r", makeFiles, source, "50000")
	addr := b.lab.Host(t, server).Addr.String()
	known, err := os.ReadFile(b.lab.Access(fleet.KnownHostsFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, delay := range []time.Duration{0, 10 * time.Millisecond} {
		at := proxy(t, gateway, addr+":22", delay)
		line := ""
		for l := range strings.Lines(string(known)) {
			if f := strings.Fields(l); len(f) == 3 && slices.Contains(strings.Split(f[0], ","), addr) {
				line += "[" + gateway + "]:" + at + " " + f[1] + " " + f[2] + "\n"
			}
		}
		if _, err := b.lab.Exec(b, fetcher, strings.NewReader(line), "sh", "-c", "cat >> "+desk+"/known_hosts"); err != nil {
			t.Fatal(err)
		}
		var own []time.Duration
		for range rounds {
			b.lab.Root(t, fetcher, "sh", "-c", "rm -rf "+desk+"/b "+desk+"/.local; mkdir "+desk+"/b; sync")
			own = append(own, b.slipway("ssh://root@"+gateway+":"+at+source, desk+"/b"))
		}
		b.row(fmt.Sprintf("slipway files copy, a round trip takes %s more", 2*delay), own...)
	}
}

// gateway is this machine in the lab's network.
const gateway = "10.77.0.1"

// proxy passes connections on, each piece a while after it came, and gives its port.
func proxy(t *testing.T, on, to string, delay time.Duration) string {
	l, err := net.Listen("tcp", on+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to)
			if err != nil {
				_ = a.Close()
				continue
			}
			go later(b, a, delay)
			go later(a, b, delay)
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// later copies from one to the other, and closes both at the end.
func later(to, from net.Conn, delay time.Duration) {
	type piece struct {
		at time.Time
		b  []byte
	}
	pieces := make(chan piece, 4096)
	go func() {
		defer close(pieces)
		for {
			b := make([]byte, 64<<10)
			n, err := from.Read(b)
			if n > 0 {
				pieces <- piece{time.Now().Add(delay), b[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		time.Sleep(time.Until(p.at))
		if _, err := to.Write(p.b); err != nil {
			break
		}
	}
	_ = to.Close()
	_ = from.Close()
}

// TestBenchMany: a million files listed and compared with the manifest, on this machine, warm.
func TestBenchMany(t *testing.T) {
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	if err := os.Mkdir(dst, 0o755); err != nil {
		t.Fatal(err)
	}
	const dirs, each = 1000, 1000
	for d := range dirs {
		at := filepath.Join(src, fmt.Sprintf("%03d", d))
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		for f := range each {
			if err := os.WriteFile(filepath.Join(at, fmt.Sprintf("picture-%03d.jpg", f)), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, what := range []string{"a million empty files, first", "a million files, nothing has changed", "a million files, nothing has changed"} {
		time.Sleep(3 * time.Second) // what has just been written is looked at again by the next pass
		c := exec.CommandContext(t.Context(), must(t, "slipway"), "files", "copy", src, dst, "--state", filepath.Join(dir, "state"))
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, &out
		began := time.Now()
		if err := c.Run(); err != nil {
			t.Fatalf("%v: %s", err, out.String())
		}
		t.Logf("%-40s %6.2f s, %d MiB of memory at most", what, time.Since(began).Seconds(), c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss>>10)
	}
}
