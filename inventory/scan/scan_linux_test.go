package scan

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-multierror"
	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/internal/remote/sshtest"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/inventory"
)

// source is an inventory of in-process SSH servers, all with role redis.
func source(t *testing.T, opts ...sshtest.Options) (Source, []*sshtest.Server) {
	t.Helper()
	key, path := sshtest.NewKeyFile(t)
	var servers []*sshtest.Server
	file := "version: 1\ngroups:\n  - name: all\n    roles: [redis, db, files]\n    hosts:\n"
	for i, o := range opts {
		s := sshtest.Start(t, o)
		s.Authorize(key.PublicKey())
		servers = append(servers, s)
		file += fmt.Sprintf("      - {name: h%d, address: 127.0.0.%d, port: %d}\n", i+1, i+1, s.Addr.Port)
	}
	i, err := inventory.Parse("inventory.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	for n := range i.Hosts {
		i.Hosts[n].Address = "127.0.0.1" // one address, several ports: the file would rightly refuse that
	}
	p, err := remote.Open(remote.Config{KnownHosts: sshtest.KnownHosts(t, servers...), Keys: []remote.Key{{Path: path}}, DialTimeout: 5 * time.Second}, Hosts(i, sshtest.User))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return Source{Inventory: i, Looker: remote.NewLooker(p), Dial: func(h string) func(context.Context, string, string) (net.Conn, error) { return remote.Dialer(p, h) }}, servers
}

// The script, in both shells that /bin/sh can be on Debian, on whatever this machine is.
func TestFactsOfThisMachine(t *testing.T) {
	for _, shell := range []string{"dash", "bash"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Fatalf("%s is missing; install it: apt-get install %s", shell, shell)
		}
		// sh, in the query's vector, is the shell that is tried.
		s, servers := source(t, sshtest.Options{Exec: func(s *sshtest.Session) sshtest.Exit {
			s.Line = strings.Replace(s.Line, "'sh'", path, 1)
			return sshtest.Sh(path)(s)
		}})
		var told []string
		f, err := s.Fleet(t.Context(), func(done, total int) { told = append(told, fmt.Sprint(done, "/", total)) })
		if err != nil {
			t.Fatalf("%s: %v", shell, err)
		}
		h := f.Hosts[0]
		if h.Host != "h1" || h.Hostname == "" || h.Kernel == "" || h.CPUs < 1 || h.Memory.Total < 1<<20 || h.OS.ID == "" || strings.Join(told, " ") != "1/1" {
			t.Errorf("%s: %+v", shell, h)
		}
		if h.Clock.Offset.Abs() > h.Clock.Uncertainty || h.Clock.Uncertainty <= 0 || h.Clock.Uncertainty > time.Second {
			t.Errorf("%s: this machine's clock is off from itself: %+v", shell, h.Clock)
		}
		if n := len(servers[0].Lines()); n != 2 {
			t.Errorf("%s: %d commands for a host's facts and clock: %q", shell, n, servers[0].Lines())
		}
	}
}

func TestHostsThatCannotBeRead(t *testing.T) {
	s, _ := source(t,
		sshtest.Options{HangUp: true},
		sshtest.Options{Exec: sshtest.Sh("/bin/sh")},
		sshtest.Options{Exec: func(s *sshtest.Session) sshtest.Exit { // prints at every login
			_, _ = io.WriteString(s.Stdout, "Welcome!\n")
			return sshtest.Sh("/bin/sh")(s)
		}},
		sshtest.Options{Exec: func(s *sshtest.Session) sshtest.Exit { return sshtest.Exit{Status: 1} }},
	)
	f, err := s.Fleet(t.Context(), nil)
	var all *multierror.Error
	if !errors.As(err, &all) || len(all.Errors) != 3 || len(f.Hosts) != 1 || f.Hosts[0].Host != "h2" {
		t.Fatalf("%v, %d hosts", err, len(f.Hosts))
	}
	for i, say := range []string{"h1: ", "h3: clock: \"Welcome!", "h4: clock failed with status 1"} {
		if !strings.HasPrefix(all.Errors[i].Error(), say) {
			t.Errorf("%q, want %q", all.Errors[i], say)
		}
	}
}

// redisServer answers AUTH and INFO as Redis does.
func redisServer(t *testing.T, password, info string) func(string) (net.Conn, error) {
	return func(string) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			in, authed := bufio.NewReader(there), password == ""
			for {
				words, err := readCommand(in)
				if err != nil {
					return
				}
				answer := "-ERR unknown command\r\n"
				switch {
				case words[0] == "AUTH" && password == "":
					answer = "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n"
				case words[0] == "AUTH" && words[1] == password:
					answer, authed = "+OK\r\n", true
				case words[0] == "AUTH":
					answer = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
				case words[0] == "INFO" && !authed:
					answer = "-NOAUTH Authentication required.\r\n"
				case words[0] == "INFO":
					answer = fmt.Sprintf("$%d\r\n%s\r\n", len(info), info)
				default:
					t.Errorf("redis was sent %q", words)
				}
				if _, err := io.WriteString(there, answer); err != nil {
					return
				}
			}
		}()
		return here, nil
	}
}

func readCommand(in *bufio.Reader) ([]string, error) {
	var n int
	if _, err := fmt.Fscanf(in, "*%d\r\n", &n); err != nil {
		return nil, err
	}
	words := make([]string, n)
	for i := range words {
		var size int
		if _, err := fmt.Fscanf(in, "$%d\r\n", &size); err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(in, b); err != nil {
			return nil, err
		}
		words[i] = string(b[:size])
	}
	return words, nil
}

const replicaInfo = "# Server\r\nredis_version:7.0.15\r\n\r\n# Memory\r\nused_memory:1024\r\n# Replication\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\nmaster_link_status:up\r\nconnected_slaves:0\r\n# Keyspace\r\ndb0:keys=3,expires=0,avg_ttl=0\r\ndb1:keys=4,expires=1,avg_ttl=0\r\n"

func TestRedis(t *testing.T) {
	for _, c := range []struct {
		name           string
		theirs, ours   string
		info           string
		want, unread   string
		forwardRefused bool
	}{
		{name: "replica", info: replicaInfo, want: "7.0.15 slave of 10.0.0.1:6379 up=true keys=7 memory=1024"},
		{name: "password", theirs: "pw", ours: "pw", info: replicaInfo, want: "7.0.15 slave of 10.0.0.1:6379 up=true keys=7 memory=1024"},
		{name: "a password that isn't needed", ours: "pw", info: "redis_version:6.0.16\r\nrole:master\r\nconnected_slaves:1\r\n", want: "6.0.16 master of  up=false keys=0 memory=0"},
		{name: "no password", theirs: "pw", info: replicaInfo, unread: "wants a password; give source.redis.password"},
		{name: "wrong password", theirs: "pw", ours: "hunter2", info: replicaInfo, unread: "does not take source.redis.password"},
		{name: "no version", info: "role:master\r\n", unread: "no version or no role"},
		{name: "nonsense", info: "redis_version:1\r\nrole:master\r\nused_memory:lots\r\n", unread: "is not understood"},
		{name: "forward refused", forwardRefused: true, unread: "AllowTcpForwarding"},
	} {
		t.Run(c.name, func(t *testing.T) {
			opt := sshtest.Options{Forward: redisServer(t, c.theirs, c.info)}
			if c.forwardRefused {
				opt.Forward = nil
			}
			s, _ := source(t, opt)
			got := askRedis(t.Context(), s.Dial("h1"), facts(t, "redis", "* 6379\n").Redis[0], secret.New(c.ours))
			if c.unread != "" {
				if !strings.Contains(got.Unread, c.unread) || strings.Contains(got.Unread, "hunter2") {
					t.Errorf("%q, want %q", got.Unread, c.unread)
				}
				return
			}
			if text := fmt.Sprintf("%s %s of %s up=%v keys=%d memory=%d", got.Version, got.Role, got.Primary, got.LinkUp, got.Keys, got.Memory); text != c.want || got.Unread != "" {
				t.Errorf("%q (%s), want %q", text, got.Unread, c.want)
			}
		})
	}
}

func TestRedisThatIsNot(t *testing.T) {
	for _, answer := range []string{"HTTP/1.1 400 Bad Request\r\n", "\r\n", "$99999999999\r\n", "$-1\r\n", "$10\r\nshort", strings.Repeat("x", 5000), ""} {
		s, _ := source(t, sshtest.Options{Forward: func(string) (net.Conn, error) {
			here, there := net.Pipe()
			go func() {
				_, _ = bufio.NewReader(there).ReadString('\n')
				_, _ = io.WriteString(there, answer)
				_ = there.Close()
			}()
			return here, nil
		}})
		if got := askRedis(t.Context(), s.Dial("h1"), facts(t, "redis", "* 6379\n").Redis[0], secret.String{}); got.Unread == "" {
			t.Errorf("%q: %+v", answer, got)
		}
	}
}

// MariaDB that can't be reached: the host's name once, what to look at, no password.
func TestDatabaseThatCannotBeReached(t *testing.T) {
	s, _ := source(t, sshtest.Options{}, sshtest.Options{Forward: func(a string) (net.Conn, error) { return nil, fmt.Errorf("connect to %s: connection refused", a) }}, sshtest.Options{Forward: func(string) (net.Conn, error) {
		here, there := net.Pipe()
		go func() { _, _ = io.WriteString(there, "not MySQL at all\r\n"); _ = there.Close() }()
		return here, nil
	}})
	dbs, err := s.Databases(t.Context(), Account{User: "slipway", Password: secret.New("hunter2"), Port: 3306})
	var all *multierror.Error
	if !errors.As(err, &all) || len(all.Errors) != 3 || len(dbs) != 0 {
		t.Fatalf("%v, %v", err, dbs)
	}
	for i, say := range []string{"h1: mariadb: forward to 127.0.0.1:3306: sshd does not allow it", "h2: mariadb: forward to 127.0.0.1:3306: connect to 127.0.0.1:3306: connection refused: look at what listens there: ss -ltn", "h3: mariadb: "} {
		if !strings.HasPrefix(all.Errors[i].Error(), say) {
			t.Errorf("%q, want %q", all.Errors[i], say)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
	if !errors.Is(all.Errors[0], remote.ErrForward) {
		t.Error("the class is lost")
	}
}

func TestGlusterAsksTheNext(t *testing.T) {
	var asked []string
	fail := func(name string) sshtest.Options {
		return sshtest.Options{Exec: func(s *sshtest.Session) sshtest.Exit {
			asked = append(asked, name)
			_, _ = s.Stdout.Write(answer("info", "!1 ", "end", ""))
			_, _ = io.WriteString(s.Stderr, "@info\nsudo: a password is required\n")
			return sshtest.Exit{}
		}}
	}
	s, _ := source(t, fail("h1"), fail("h2"))
	_, err := s.Gluster(t.Context(), "assets")
	if err == nil || !strings.Contains(err.Error(), "h1: gluster volume assets: info: sudo: a password is required") || !strings.Contains(err.Error(), "h2: ") || strings.Join(asked, " ") != "h1 h2" {
		t.Errorf("%v, asked %v", err, asked)
	}
	if _, err := s.Gluster(t.Context(), "; rm -rf /"); err == nil || len(asked) != 2 {
		t.Errorf("%v, asked %v", err, asked)
	}
}

func TestReplicaRow(t *testing.T) {
	columns := []string{"Connection_name", "Master_Host", "Master_Port", "Slave_IO_Running", "Slave_SQL_Running", "Seconds_Behind_Master", "SQL_Delay", "Using_Gtid", "Last_IO_Error", "Replicate_Do_DB"}
	row := func(values ...string) record {
		r := record{columns: columns, values: values, null: make([]bool, len(values))}
		for i, v := range values {
			r.null[i] = v == "NULL"
		}
		return r
	}
	r, err := parseReplica(row("", "10.0.0.1", "3306", "Yes", "Yes", "7", "0", "Slave_Pos", "", ""))
	if err != nil || !r.Running() || r.Lag != 7*time.Second || !r.LagKnown || r.Filtered || r.GTID != "Slave_Pos" {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = parseReplica(row("m", "10.0.0.1", "3306", "Connecting", "Yes", "NULL", "3600", "No", "error \x1b[31mconnecting", "shop"))
	if err != nil || r.Running() || r.LagKnown || !r.Filtered || r.Delay != time.Hour || r.IOError != "error ?[31mconnecting" {
		t.Errorf("%+v, %v", r, err)
	}
	for _, bad := range []record{row("", "", "3306", "Yes", "Yes", "7", "0", "", "", ""), row("", "h", "port", "Yes", "Yes", "7", "0", "", "", ""), row("", "h", "1", "Yes", "Yes", "soon", "0", "", "", ""), row("", "h", "1", "Yes", "Yes", "0", "late", "", "", ""), {}} {
		if _, err := parseReplica(bad); !errors.Is(err, ErrAnswer) {
			t.Errorf("%v: %v", bad.values, err)
		}
	}
}

func TestJoin(t *testing.T) {
	down := errors.New("h1: down")
	err := Join(nil, multierror.Append(nil, down, errors.New("h2: down")), fmt.Errorf("h1: down"), errors.New("x"))
	var all *multierror.Error
	if !errors.As(err, &all) || len(all.Errors) != 3 || !errors.Is(err, down) || Join(nil, nil) != nil {
		t.Error(err)
	}
}
