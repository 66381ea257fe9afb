//go:build lab

package place

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/fleet"
	"github.com/slipway-dev/slipway/internal/lab/labtest"
	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/internal/treecopy/agent"
	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// The lab's volume: where a web host has it mounted, where a server has its brick, and the directory that these tests make in it.
const (
	mounted = "/srv/assets"
	onBrick = "/srv/brick/assets"
	mine    = "/slipway-place-test"
)

var servers = []string{"files1", "files2", "files3"}

// shelf is a directory of the volume with some of everything.
type shelf struct {
	*testing.T
	lab *labtest.Lab
}

func newShelf(t *testing.T) *shelf {
	s := &shelf{t, labtest.Alone(t)}
	s.Cleanup(s.left)
	s.Cleanup(func() { s.lab.Root(s, "web1", "rm", "-rf", mounted+mine) })
	s.lab.Root(s, "web1", "sh", "-ec", `rm -rf "$1"; mkdir -p "$1/below/empty"; cd "$1"
for i in $(seq 40); do head -c $((i * i * 700)) /dev/urandom >below/$i.jpg; done
: >empty.txt; ln -s below/1.jpg link; ln below/2.jpg further; truncate -s 3M sparse; printf end >>sparse
setfattr -n user.mime -v image/jpeg below/3.jpg; chown 33:44 below/4.jpg; chmod 4750 below/5.jpg; touch -d '1970-01-02 03:04:05.123456789' below/6.jpg
printf 'a\nb' >"$(printf 'line\nbreak \377')"`, "sh", mounted+mine)
	return s
}

func (s *shelf) options(key string) Options {
	return Options{ReadOnly: true, AgentDir: built, Note: func(n string) { s.Log(n) },
		SSHOptions: SSHOptions{Identity: []string{s.lab.Access(key)}, KnownHosts: s.lab.Access(fleet.KnownHostsFile), Act: remote.NewActor}}
}

func (s *shelf) place(kind, host, path string) Place {
	p, err := Parse(kind + "://root@" + s.lab.Host(s, host).Addr.String() + path)
	if err != nil {
		s.Fatal(err)
	}
	return p
}

func (s *shelf) open(p Place) tree.Target {
	t, c, err := Open(s.Context(), p, s.options(fleet.RootKeyFile))
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := c.Close(); err != nil {
			s.Error(err)
		}
	})
	return t
}

// all reads a whole tree, and again what has changed meanwhile, a few times.
func (s *shelf) all(t tree.Source) map[tree.Path]string {
	var paths []tree.Path
	stats := map[tree.Path]tree.Stat{}
	if err := t.List(s.Context(), func(st tree.Stat) error { paths, stats[st.Path] = append(paths, st.Path), st; return nil }); err != nil {
		s.Fatal(err)
	}
	got := map[tree.Path]string{}
	for range 4 {
		var out bytes.Buffer
		if err := t.Read(s.Context(), paths, &out); err != nil {
			s.Fatal(err)
		}
		paths = nil
		r := tree.NewStreamReader(&out)
		for {
			m, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				s.Fatal(err)
			}
			contents := make([]byte, m.Size)
			for {
				off, b, err := r.Data()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					s.Fatal(err)
				}
				copy(contents[off:], b)
			}
			e := r.End()
			if e.State == tree.Changed {
				paths = append(paths, m.Path)
				continue
			}
			st := stats[m.Path]
			if e.State == tree.Stable && !m.Same(&st) {
				s.Errorf("%s: listed as %+v, read as %+v", m.Path, st, m.Stat)
			}
			if e.State == tree.Stable && m.Kind == tree.File && m.SameAs == "" && e.Sum != sha256.Sum256(contents) {
				s.Errorf("%s: its sum isn't its contents'", m.Path)
			}
			m.Blocks = 0
			got[m.Path] = fmt.Sprintf("%c %s %+v %x", e.State, e.Why, m, e.Sum)
		}
		if len(paths) == 0 {
			return got
		}
	}
	s.Fatalf("%v change for ever", paths)
	return nil
}

func doubts(t tree.Source) []tree.Doubt { return t.(tree.Doubter).Doubts() }

// left fails when anything of an agent is on a host: a program, a directory, a client of the volume.
func (s *shelf) left() {
	for _, host := range append([]string{"web1"}, servers...) {
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			is := s.lab.Root(s, host, "sh", "-c", `ls -d /tmp/.slipway-agent-* /var/tmp/.slipway-agent-* /root/.slipway-agent-* /dev/shm/.slipway-agent-* /run/user/*/.slipway-agent-* 2>/dev/null
ls -A /mnt; for p in /proc/[0-9]*; do c=$(tr '\0' ' ' 2>/dev/null <$p/cmdline) && case $c in */agent\ serve*|*/agent\ apart*|/usr/sbin/glusterfs\ *" /mnt/volume "*) echo "$c";; esac; done | grep -v '^sh '; true`)
			if is == "" {
				break
			}
			if time.Now().After(end) {
				s.Errorf("%s: left: %s", host, is)
				break
			}
		}
	}
}

// TestVolume: what is read of a volume by way of its bricks is what its mount on another host has, to the last attribute, and nothing stays on any host.
func TestVolume(t *testing.T) {
	s := newShelf(t)
	v := s.open(s.place("gluster", "files1", "/assets"+mine))
	got := s.all(v)
	if d := doubts(v); len(d) > 0 {
		t.Errorf("doubts: %q", d)
	}
	want := s.all(s.open(s.place("ssh", "web1", mounted+mine)))
	if len(got) < 48 || len(got) != len(want) {
		t.Errorf("%d entries, and on the mount %d", len(got), len(want))
	}
	for p, w := range want {
		if got[p] != w {
			t.Errorf("%s: by the bricks %q, by the mount %q", p, got[p], w)
		}
	}
	n := 0
	err := v.Hash(t.Context(), []tree.Path{"below/40.jpg", "sparse", "below"}, func(sum tree.Sum) error {
		n++
		if w := want[sum.Path]; sum.State != tree.Stable || sum.Kind == tree.File && !strings.HasSuffix(w, fmt.Sprintf("%x", sum.Sum)) {
			t.Errorf("%s: %c %x", sum.Path, sum.State, sum.Sum)
		}
		return nil
	})
	if err != nil || n != 3 {
		t.Error(n, err)
	}
	if _, err := v.Probe(t.Context()); !errors.Is(err, agent.ErrReadOnly) {
		t.Error(err)
	}
}

// TestVolumeDoubts: a heal that waits for a file sends it through the mount; contents that were changed behind Gluster's back are outvoted and
// named, and never come through.
func TestVolumeDoubts(t *testing.T) {
	s := newShelf(t)
	v := s.open(s.place("gluster", "files1", "/assets"+mine))
	want := s.all(v)
	at := onBrick + mine + "/below/"
	s.lab.Root(t, "files1", "setfattr", "-n", "trusted.afr.assets-client-2", "-v", "0x000000010000000000000000", at+"7.jpg")
	s.lab.Root(t, "files2", "sh", "-ec", `was=$(stat -c %y "$1"); printf X | dd of="$1" bs=1 seek=100 conv=notrunc status=none; touch -d "$was" "$1"`, "sh", at+"8.jpg")
	for range len(servers) { // whichever's turn it is
		v := s.open(s.place("gluster", "files1", "/assets"+mine))
		if got := s.all(v); fmt.Sprint(got) != fmt.Sprint(want) {
			for p := range want {
				if got[p] != want[p] {
					t.Errorf("%s: %q, and was %q", p, got[p], want[p])
				}
			}
		}
		d := doubts(v)
		if len(d) != 2 && len(d) != 1 { // the bricks that know of no heal may have had their turn
			t.Fatalf("doubts: %q", d)
		}
		if last := d[len(d)-1]; last.Path != "below/8.jpg" || !strings.Contains(last.Why, "files2:/srv/brick/assets has SHA-256") {
			t.Errorf("doubts: %q", d)
		}
	}
	s.lab.Root(t, "files1", "setfattr", "-x", "trusted.afr.assets-client-2", at+"7.jpg")
}

// TestVolumeUnwell: a volume with a brick that is down is refused with the command that shows it, and so is whoever isn't root, and a volume
// that there isn't; a place of that kind can't be written to.
func TestVolumeUnwell(t *testing.T) {
	s := newShelf(t)
	p := s.place("gluster", "files1", "/assets")
	s.lab.Root(t, "files3", "sh", "-c", "kill -9 $(cat /run/gluster/vols/assets/files3-srv-brick-assets.pid)")
	s.Cleanup(func() {
		s.lab.Root(t, "files1", "gluster", "--mode=script", "volume", "start", "assets", "force")
		s.lab.WaitHealthy(t)
	})
	_, _, err := Open(t.Context(), p, s.options(fleet.RootKeyFile))
	if !errors.Is(err, ErrUnwell) || !strings.Contains(err.Error(), "brick files3:/srv/brick/assets is down") || !strings.Contains(err.Error(), "gluster volume status assets") {
		t.Error(err)
	}
	nobody := p
	nobody.Name = "nosuch"
	if _, _, err := Open(t.Context(), nobody, s.options(fleet.RootKeyFile)); err == nil || !strings.Contains(err.Error(), "Volume does not exist") {
		t.Error(err)
	}
	o := s.options(fleet.RootKeyFile)
	o.ReadOnly = false
	if _, _, err := Open(t.Context(), p, o); !errors.Is(err, errVolumeWrite) {
		t.Error(err)
	}
}

// TestVolumeNotRoot: an account that may ask Gluster, and no more.
func TestVolumeNotRoot(t *testing.T) {
	s := newShelf(t)
	p := s.place("gluster", "files1", "/assets")
	p.User = fleet.SlipwayUser
	_, _, err := Open(t.Context(), p, s.options(fleet.SlipwayKeyFile))
	if err == nil || !strings.Contains(err.Error(), "sign in as root") {
		t.Error(err)
	}
}

// TestVolumeKilled: the session's end, however it comes, ends agent, mount and client.
func TestVolumeKilled(t *testing.T) {
	s := newShelf(t)
	s.open(s.place("gluster", "files1", "/assets")) // another one stays
	ctx, cancel := context.WithCancel(t.Context())
	v, c, err := Open(ctx, s.place("gluster", "files2", "/assets"), s.options(fleet.RootKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	clients := func() int {
		return strings.Count(s.lab.Root(t, "files2", "sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; true"), "/mnt/volume")
	}
	if n := clients(); n != 1 {
		t.Fatalf("%d clients", n)
	}
	s.lab.Root(t, "files2", "sh", "-c", `for p in /proc/[0-9]*; do c=$(tr '\0' ' ' 2>/dev/null <$p/cmdline) && case $c in */agent\ apart*) kill -9 ${p#/proc/};; esac; done`)
	for end := time.Now().Add(10 * time.Second); clients() > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the client of an agent that was killed lives on")
		}
	}
	// It is started again for the next question.
	var paths []tree.Path
	for try := 0; ; try++ {
		paths = nil
		err := v.List(ctx, func(st tree.Stat) error { paths = append(paths, st.Path); return nil })
		if err == nil {
			break
		}
		if !errors.Is(err, tree.ErrLost) || try == 3 {
			t.Fatal(err)
		}
	}
	if !slices.Contains(paths, "slipway-place-test/link") {
		t.Error(len(paths))
	}
	cancel()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if n := clients(); n != 0 {
		t.Errorf("%d clients are left", n)
	}
}
