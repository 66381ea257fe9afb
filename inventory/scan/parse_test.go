package scan

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// answer makes what facts.sh prints; a section's status is 0 unless its text begins with "!N ".
func answer(sections ...string) []byte {
	var b strings.Builder
	for i := 0; i+1 < len(sections); i += 2 {
		status, text := 0, sections[i+1]
		if strings.HasPrefix(text, "!") {
			var rest string
			if _, err := fmt.Sscanf(text, "!%d", &status); err != nil {
				panic(err)
			}
			_, rest, _ = strings.Cut(text, " ")
			text = rest
		}
		fmt.Fprintf(&b, "@%s %d %d\n%s\n", sections[i], status, len(text), text)
	}
	return []byte(b.String())
}

const identity = "hostname=web5\nuser=slipway\nkernel=5.10.0-33-amd64\nmachine=x86_64\ncpus=2\nmachine_id=0000\ntimezone=Europe/Paris\nMemTotal:2048\nMemAvailable:1024\nSwapTotal:0"

// bare is the shortest answer that is whole.
func bare(change ...string) []byte {
	s := []string{"identity", identity, "os", "ID=debian\n", "packages", "", "listeners", "", "units", "", "mounts", "", "sizes", "", "addresses", "", "versions", "", "settings", "", "redis", "", "end", ""}
	for i := 0; i+1 < len(change); i += 2 {
		for j := 0; j < len(s); j += 2 {
			if s[j] == change[i] {
				s[j+1] = change[i+1]
			}
		}
	}
	return answer(s...)
}

func TestSections(t *testing.T) {
	whole := answer("a", "one\n@b 0 9\ntwo", "b", "", "end", "")
	s, err := parseSections(whole, []byte("@a\nwarning\n@b\n"))
	if err != nil || s["a"].text != "one\n@b 0 9\ntwo" || s["a"].stderr != "warning\n" || s["b"].stderr != "" {
		t.Fatalf("%+v, %v", s, err)
	}
	// Cut anywhere, it is not believed.
	for i := range whole {
		if _, err := parseSections(whole[:i], nil); !errors.Is(err, ErrAnswer) {
			t.Fatalf("cut after %d bytes: %v", i, err)
		}
	}
	for _, bad := range []string{"Welcome to web1!\n" + string(whole), string(whole) + "bye\n", "@a 0 -1\n\n@end 0 0\n\n", "@a 0 99999999999999999999\n\n", "@a 0 0\n\n@a 0 0\n\n@end 0 0\n\n", "@a x 0\n\n", "@a 0 2\nabX@end 0 0\n\n"} {
		if _, err := parseSections([]byte(bad), nil); !errors.Is(err, ErrAnswer) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestWhy(t *testing.T) {
	for _, c := range []struct {
		s    section
		want string
	}{
		{section{"", 127, "sh: 1: ss: not found\n"}, "sh: 1: ss: not found"},
		{section{"partial\nfailed badly", 1, ""}, "failed badly"},
		{section{"", 1, ""}, "it failed with status 1"},
		{section{"", 124, "x"}, "it took too long and was ended"},
	} {
		if got := c.s.why(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func facts(t *testing.T, change ...string) *Facts {
	t.Helper()
	f, err := parseFacts(bare(change...), nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestParsers(t *testing.T) {
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	f := facts(t,
		"os", "PRETTY_NAME=\"Debian GNU/Linux 11 (bullseye)\"\nVERSION_ID=\"11\"\n# comment\nID=debian\nBUG='x'\n",
		"packages", "ii \tzlib1g:amd64\t1:1.2.11\nrc \told\t1\nhi \theld\t2\nun \tnever\t\nii \tapt\t2.2.4\n",
		"listeners", "LISTEN 0      128          0.0.0.0:22        0.0.0.0:*          \nLISTEN 0 511 *:80 *:*\nLISTEN 0 511 *:80 *:*\nLISTEN 0 4096 127.0.0.53%lo:53 0.0.0.0:*\nLISTEN 0 128 [::]:22 [::]:*\nLISTEN 0 80 [::ffff:10.0.0.1]:3306 *:*\nLISTEN 0 5 [fe80::1]%eth0:546 [::]:*\n",
		"units", "apache2.service loaded active running The Apache HTTP Server\n● php7.4-fpm.service loaded failed failed The PHP 7.4 FastCGI Process Manager\n  ssh.service   loaded    active   running OpenBSD Secure Shell server\nauditd.service not-found inactive dead auditd.service\n",
		"mounts", "22 27 0:21 / /proc rw,relatime - proc proc rw\n27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda1 rw\n30 27 0:40 / /srv/my\\040assets rw,relatime shared:9 - fuse.glusterfs files1:/assets rw\n31 27 0:41 / /tmp rw - tmpfs tmpfs rw\n",
		"sizes", "Filesystem     Type 1-blocks Used Available Capacity Mounted on\n/dev/vda1 ext4 1000 400 500 45% /\nfiles1:/assets fuse.glusterfs 2000 1 2 1% /srv/my assets\ntmpfs tmpfs 1 1 1 1% /tmp\n",
		"addresses", "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever\n2: eth0    inet 10.0.0.5/24 brd 10.0.0.255 scope global eth0\\ x\n2: eth0    inet 10.0.0.9/32 scope global eth0\\ x\n2: eth0    inet6 fe80::1/64 scope link \\ x\n3: tun0    inet 10.8.0.2 peer 10.8.0.1/32 scope global tun0\\ x\n",
		"settings", strings.Repeat("b", 64)+"  /etc/sysctl.d/50 x.conf\n"+strings.Repeat("a", 64)+"  /etc/sysctl.conf\n",
		"redis", "0.0.0.0 6379\n10.0.0.5 6380\n* 6381\n",
	)
	want := &Facts{Hostname: "web5", User: "slipway", Kernel: "5.10.0-33-amd64", Machine: "x86_64", CPUs: 2, MachineID: "0000", Memory: Memory{2 << 20, 1 << 20, 0},
		OS:        OS{"debian", "11", "Debian GNU/Linux 11 (bullseye)"},
		Packages:  []Package{{"apt", "2.2.4"}, {"held", "2"}, {"zlib1g:amd64", "1:1.2.11"}},
		Listeners: []Listener{{addr("0.0.0.0"), 22}, {addr("::"), 22}, {addr("127.0.0.53"), 53}, {addr("::"), 80}, {addr("fe80::1"), 546}, {addr("::ffff:10.0.0.1"), 3306}},
		Units:     []Unit{{"apache2.service", "active", "running"}, {"php7.4-fpm.service", "failed", "failed"}, {"ssh.service", "active", "running"}},
		Mounts:    []Mount{{"/", "ext4", "/dev/vda1", "rw,relatime"}, {"/srv/my assets", "fuse.glusterfs", "files1:/assets", "rw,relatime"}},
		Disks:     []Disk{{"/", "ext4", "/dev/vda1", 1000, 400, 500}, {"/srv/my assets", "fuse.glusterfs", "files1:/assets", 2000, 1, 2}},
		Addresses: []Address{{"eth0", prefix("10.0.0.5/24")}, {"eth0", prefix("10.0.0.9/32")}, {"lo", prefix("127.0.0.1/8")}, {"tun0", prefix("10.8.0.2/32")}},
		Settings:  []File{{"/etc/sysctl.conf", strings.Repeat("a", 64)}, {"/etc/sysctl.d/50 x.conf", strings.Repeat("b", 64)}},
		TimeZone:  "Europe/Paris",
		Redis:     []Redis{{Port: 6379, address: addr("127.0.0.1")}, {Port: 6380, address: addr("10.0.0.5")}, {Port: 6381, address: addr("127.0.0.1")}},
	}
	if !reflect.DeepEqual(f, want) {
		t.Errorf("got  %+v\nwant %+v", f, want)
	}
	if !f.Holds(addr("10.0.0.9")) || f.Holds(addr("10.0.0.8")) || !f.Running("ssh.service") || f.Running("php7.4-fpm.service") || f.Running("x") {
		t.Error("Holds or Running is wrong")
	}
}

// What Debian's programs say of themselves, bullseye's and bookworm's.
func TestVersions(t *testing.T) {
	f := facts(t, "packages", "ii \tsupervisor\t4.2.5-1\n", "versions", strings.Join([]string{
		"haproxy\tHAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/",
		"haproxy\tHA-Proxy version 2.2.9-2+deb11u6 2023/12/17 - https://haproxy.org/",
		"varnish\tvarnishd (varnish-7.1.1 revision 7cee1c581bead20e88d101ab3d72afb29f14d87a)",
		"keepalived\tKeepalived v2.2.7 (01/16,2022)",
		"mariadb\tmariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)",
		"gluster\tglusterfs 10.3",
		"rabbitmq\t3.10.8",
		"redis\tRedis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d7c971a948f0",
		"redis\tRedis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=ad68bbf775a89417",
		"apache\tServer version: Apache/2.4.71 (Debian)",
		"php\tPHP 8.2.36 (fpm-fcgi) (built: Nov 18 2026 20:02:04)",
		"php\tPHP 8.2.36 (fpm-fcgi) (built: Nov 18 2026 20:02:04)",
		"php\tPHP 7.4.33 (fpm-fcgi) (built: Aug 11 2026 00:09:31)",
		"odd\tno version 7 here",
	}, "\n")+"\n")
	var got []string
	for _, s := range f.Services {
		got = append(got, s.Name+" "+s.Version)
	}
	want := "apache 2.4.71, gluster 10.3, haproxy 2.2.9-2+deb11u6, haproxy 2.6.12-1+deb12u4, keepalived 2.2.7, mariadb 10.11.19-MariaDB-0+deb12u1, php 7.4.33, php 8.2.36, rabbitmq 3.10.8, redis 6.0.16, redis 7.0.15, supervisor 4.2.5-1, varnish 7.1.1"
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}
	if len(f.Unread) != 1 || f.Unread[0].What != "version of odd" {
		t.Errorf("%+v", f.Unread)
	}
	if v, ok := f.Service("gluster"); !ok || v != "10.3" {
		t.Error(v, ok)
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	f, err := parseFacts(bare("listeners", "!127 ", "sizes", "!124 Filesystem Type 1-blocks Used Available Capacity Mounted on\n/dev/vda1 ext4 1000 400 500 45% /\n"), []byte("@listeners\nsh: 1: ss: not found\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []Unread{{"listeners", "sh: 1: ss: not found"}, {"sizes", "it took too long and was ended"}}; !reflect.DeepEqual(f.Unread, want) || len(f.Disks) != 1 {
		t.Errorf("%+v, %+v", f.Unread, f.Disks)
	}
}

func TestNonsenseIsAnError(t *testing.T) {
	for _, c := range [][2]string{
		{"identity", "hostname=x"}, {"identity", identity + "\nwhat"}, {"identity", strings.Replace(identity, "cpus=2", "cpus=two", 1)}, {"identity", strings.Replace(identity, "MemTotal:2048", "MemTotal:-1", 1)},
		{"os", "NAME=x\n"}, {"packages", "ii libc6 2.36\n"}, {"packages", "i\ta\tb\n"}, {"listeners", "LISTEN 0 1 nonsense x\n"}, {"listeners", "LISTEN 0 1 1.2.3.4:99999 *:*\n"}, {"listeners", "LISTEN 0 1 a.b:1 *:*\n"}, {"listeners", "ESTAB 0 1 1.2.3.4:1 *:*\n"},
		{"units", "UNIT LOAD\n"}, {"units", "apache2 loaded active running\n"}, {"mounts", "1 2 3 4\n"}, {"mounts", "1 2 3 4 5 6 7 8 9 10\n"}, {"sizes", "/dev/vda1 ext4 lots\n"}, {"sizes", "a ext4 x 1 1 1% /\n"},
		{"addresses", "1: lo inet nowhere/8 x\n"}, {"addresses", "1: lo\n"}, {"versions", "haproxy 2.6\n"}, {"settings", "abc  /etc/x\n"}, {"redis", "1.2.3.4\n"}, {"redis", "1.2.3.4 port\n"},
	} {
		if f, err := parseFacts(bare(c[0], c[1]), nil); !errors.Is(err, ErrAnswer) || !strings.Contains(err.Error(), c[0]) {
			t.Errorf("%s %q: %+v, %v", c[0], c[1], f, err)
		}
	}
	if _, err := parseFacts(answer("identity", identity, "end", ""), nil); !errors.Is(err, ErrAnswer) || !strings.Contains(err.Error(), "section os is missing") {
		t.Error(err)
	}
}

func TestTime(t *testing.T) {
	if got, err := parseTime("1795400000.000000123\n"); err != nil || got.UnixNano() != 1795400000000000123 {
		t.Error(got, err)
	}
	for _, bad := range []string{"", "1795400000", "1795400000.%N", "x.000000000", "1.0000000000", "-1.000000000", "1.-00000001"} {
		if _, err := parseTime(bad); err == nil {
			t.Errorf("%q is a time", bad)
		}
	}
}

func samples(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/*.out")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(f), ".out")] = b
	}
	return out
}

func FuzzParseFacts(f *testing.F) {
	f.Add(bare(), []byte("@a\nx\n"))
	f.Add(bare("listeners", "LISTEN 0 5 [fe80::1]%eth0:546 [::]:*\n", "mounts", "30 27 0:40 / /a\\040b rw - fuse.x s rw\n"), []byte(nil))
	for _, b := range samples(f) {
		f.Add(b, []byte(nil))
	}
	f.Fuzz(func(t *testing.T, stdout, stderr []byte) {
		facts, err := parseFacts(stdout, stderr)
		if (facts == nil) == (err == nil) {
			t.Fatal("neither facts nor an error, or both")
		}
		if facts != nil {
			drift([]Facts{*facts, *facts})
		}
	})
}

func FuzzParseGluster(f *testing.F) {
	for _, b := range samples(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, stdout []byte) {
		v, err := parseGluster(stdout, nil)
		if (v == nil) == (err == nil) {
			t.Fatal("neither a volume nor an error, or both")
		}
		if v != nil {
			v.Problems()
		}
	})
}

// What real hosts answered, of both Debian releases (kernel, memory and disks are changed; packages cut down).
func TestSamples(t *testing.T) {
	all := samples(t)
	for _, c := range []struct{ file, want string }{
		{"web1", "Debian GNU/Linux 12 (bookworm); apache 2.4.71, php 8.2.36, supervisor 4.2.5-1; runs apache2 cron dbus php8.2-fpm ssh supervisor systemd-journald; listens 0.0.0.0:22 :::22 :::80; mounts / ext4, /srv/assets fuse.glusterfs; redis 0"},
		{"web5", "Debian GNU/Linux 11 (bullseye); apache 2.4.67, php 7.4.33, supervisor 4.2.2-2; runs apache2 dbus php7.4-fpm ssh systemd-journald; listens 0.0.0.0:22 :::22 :::80; mounts / ext4, /srv/assets fuse.glusterfs; redis 0"},
		{"db1", "Debian GNU/Linux 12 (bookworm); mariadb 10.11.19-MariaDB-0+deb12u1-log; runs dbus mariadb ssh systemd-journald; listens 0.0.0.0:22 :::22 0.0.0.0:3306; mounts / ext4; redis 0"},
		{"files1", "Debian GNU/Linux 12 (bookworm); gluster 10.3, rabbitmq 3.10.8; runs dbus epmd glusterd rabbitmq-server ssh systemd-journald; listens 0.0.0.0:22 :::22 :::4369 0.0.0.0:5672 0.0.0.0:24007 0.0.0.0:25672 0.0.0.0:57876; mounts / ext4, /srv/brick xfs; redis 0"},
		{"redis1", "Debian GNU/Linux 11 (bullseye); redis 6.0.16; runs dbus redis-server@6379 redis-server@6380 ssh systemd-journald; listens 0.0.0.0:22 :::22 0.0.0.0:6379 0.0.0.0:6380; mounts / ext4; redis 2"},
		{"lb1", "Debian GNU/Linux 12 (bookworm); haproxy 2.6.12-1+deb12u4, keepalived 2.2.7; runs dbus haproxy keepalived ssh systemd-journald; listens 0.0.0.0:22 :::22 0.0.0.0:80 0.0.0.0:443; mounts / ext4; redis 0"},
	} {
		f, err := parseFacts(all[c.file], nil)
		if err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		var services, units, listen, mounts []string
		for _, s := range f.Services {
			services = append(services, s.Name+" "+s.Version)
		}
		for _, u := range f.Units {
			if f.Running(u.Name) {
				units = append(units, strings.TrimSuffix(u.Name, ".service"))
			}
		}
		for _, l := range f.Listeners {
			listen = append(listen, fmt.Sprintf("%s:%d", l.Address, l.Port))
		}
		for _, m := range f.Mounts {
			mounts = append(mounts, m.Target+" "+m.Type)
		}
		got := fmt.Sprintf("%s; %s; runs %s; listens %s; mounts %s; redis %d", f.OS, strings.Join(services, ", "), strings.Join(units, " "), strings.Join(listen, " "), strings.Join(mounts, ", "), len(f.Redis))
		if got != c.want || f.Hostname != c.file || f.User != "slipway" || len(f.Unread) != 0 || len(f.Disks) != len(f.Mounts) || f.CPUs != 4 {
			t.Errorf("%s: got\n%s\nwant\n%s\n%+v", c.file, got, c.want, f.Unread)
		}
	}
	v, err := parseGluster(all["gluster"], nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Problems()) != 0 || v.Name != "assets" || v.Status != "Started" || v.Type != "Replicate" || v.Replicas != 3 || len(v.Bricks) != 3 || v.Bricks[1].Name() != "files2:/srv/brick/assets" || !v.Bricks[2].Online || len(v.Peers) != 3 || len(v.Options) != 5 {
		t.Errorf("%+v", v)
	}
}

// TestCopies: of which volumes a brick has what the volume has.
func TestCopies(t *testing.T) {
	v := func(change func(*Volume)) *Volume {
		v := &Volume{Name: "assets", Type: "Replicate", Replicas: 3, Bricks: make([]Brick, 3)}
		change(v)
		return v
	}
	for _, c := range []struct {
		v    *Volume
		want string
		note string
	}{
		{v(func(*Volume) {}), "", ""},
		{v(func(v *Volume) { v.Options = []Option{{"features.shard", "off"}} }), "", ""},
		{v(func(v *Volume) { v.Options = []Option{{"features.shard", "on"}} }), "sharded", "through its mount"},
		{v(func(v *Volume) { v.Options = []Option{{"features.shard", "enable"}} }), "sharded", "through its mount"},
		{v(func(v *Volume) { v.Arbiters = 1 }), "an arbiter", "through its mount"},
		{v(func(v *Volume) { v.Type, v.Bricks = "Distributed-Replicate", make([]Brick, 6) }), "type Distributed-Replicate, of 6 bricks with 3 replicas", "through its mount"},
		{v(func(v *Volume) { v.Type = "Disperse" }), "type Disperse", "through its mount"},
		{v(func(v *Volume) { v.Replicas, v.Bricks = 1, make([]Brick, 1) }), "one brick", "through its mount"},
		{v(func(v *Volume) { v.Options = []Option{{"features.quota", "on"}} }), "", "has a quota"},
	} {
		got, why := c.v.Copies()
		if (why == "") != (c.want == "") || !strings.Contains(why, c.want) || (len(got) == len(c.v.Bricks)) != (why == "") {
			t.Errorf("%+v: %d bricks, %q", c.v, len(got), why)
		}
		if notes := strings.Join(c.v.Notes(), "\n"); (notes == "") != (c.note == "") || !strings.Contains(notes, c.note) {
			t.Errorf("%+v: %q", c.v, notes)
		}
	}
}

// Answers that Gluster gives when all is not well, made from the real one.
func TestSickGluster(t *testing.T) {
	whole := string(samples(t)["gluster"])
	change := func(from, to string) []byte {
		t.Helper()
		s, err := parseSections([]byte(strings.ReplaceAll(whole, "\r", "")), nil)
		if err != nil {
			t.Fatal(err)
		}
		var parts []string
		found := false
		for _, name := range []string{"info", "status", "heal", "peers", "end"} {
			text := s[name].text
			found = found || strings.Contains(text, from)
			parts = append(parts, name, strings.Replace(text, from, to, 1))
		}
		if !found {
			t.Fatalf("%q is not in the sample", from)
		}
		return answer(parts...)
	}
	for _, c := range []struct{ from, to, want string }{
		{"<statusStr>Started</statusStr>", "<statusStr>Stopped</statusStr>", "volume assets is stopped"},
		{"<numberOfEntriesInHealPending>0<", "<numberOfEntriesInHealPending>12<", "12 entries that wait to be healed"},
		{"<numberOfEntriesInSplitBrain>0<", "<numberOfEntriesInSplitBrain>1<", "1 entries in split-brain"},
		{"<numberOfEntriesPossiblyHealing>0<", "<numberOfEntriesPossiblyHealing>2<", "2 entries that are being healed"},
		{"<numberOfEntriesInHealPending>0<", "<numberOfEntriesInHealPending>-<", "could not be asked"},
		{"<status>Connected</status>", "<status>Transport endpoint is not connected</status>", "could not be asked"},
		{"files2   \tConnected", "files2   \tDisconnected", "peer files2 is not connected (Disconnected)"},
	} {
		v, err := parseGluster(change(c.from, c.to), nil)
		if err != nil {
			t.Errorf("%s: %v", c.to, err)
			continue
		}
		if p := v.Problems(); len(p) != 1 || !strings.Contains(p[0].What, c.want) {
			t.Errorf("%s: %v, want %q", c.to, p, c.want)
		}
	}
	for _, c := range []struct{ from, to, want string }{
		{"<opRet>0</opRet>\n  <opErrno>0</opErrno>\n  <opErrstr/>\n  <volInfo>", "<opRet>-1</opRet>\n  <opErrno>30800</opErrno>\n  <opErrstr>Volume assets does not exist</opErrstr>\n  <volInfo>", "info: Volume assets does not exist"},
		{"<cliOutput>", "<cliOutput", "info: "},
		{"UUID", "UUIDS x\nUUID", "peers: "},
	} {
		if v, err := parseGluster(change(c.from, c.to), nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v, want %q", c.to, v, err, c.want)
		}
	}
}
