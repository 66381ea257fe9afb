// Package sshtest is an SSH server inside the test's process, for faults that a real sshd can't be told to have: a link
// that drops in the middle of a stream, a banner that never comes, a host that freezes. It answers nothing that it wasn't
// told to: without Exec a command is refused, without Forward a forwarded connection is.
//
// Tests alone import it.
package sshtest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// User is whom the server lets in.
const User = "slipway"

// Options are the server's manners. The zero value lets in the keys of Authorize and refuses everything else.
type Options struct {
	Exec         func(s *Session) Exit                  // nil: commands are refused
	Forward      func(address string) (net.Conn, error) // nil: forwarding is administratively prohibited
	MaxSessions  int                                    // 0: no limit
	MaxAuthTries int                                    // 0: six, as OpenSSH
	Silent       bool                                   // accepts connections and never says a word
	HangUp       bool                                   // closes connections before the banner
	HostKey      ssh.Signer                             // nil: a new one
	NoSignals    bool                                   // as OpenSSH before 7.9
}

// Exit is how a command ended. The zero Exit is success.
type Exit struct {
	Status int
	Signal ssh.Signal // "": it exited by itself
	None   bool       // the channel closes without any status
}

// Session is one command.
type Session struct {
	Line           string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Signals        <-chan ssh.Signal
	Server         *Server
	Gone           <-chan struct{} // closed when the client closed the channel or the link is gone
}

// Server listens on a loopback address until the test ends.
type Server struct {
	Addr    *net.TCPAddr
	HostKey ssh.Signer

	opt  Options
	conf *ssh.ServerConfig
	ln   net.Listener
	wg   sync.WaitGroup

	mu       sync.Mutex
	keys     map[string]bool
	links    map[*link]bool
	lines    []string
	sessions int

	Logins   atomic.Int64 // that succeeded
	Forwards atomic.Int64 // that were opened
	Attempts atomic.Int64 // TCP connections
}

// NewKey makes an ed25519 key: the signer and its file, without a passphrase.
func NewKey(t testing.TB) (ssh.Signer, []byte) {
	t.Helper()
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(priv, "")
	if err != nil {
		t.Fatal(err)
	}
	return s, pem.EncodeToMemory(block)
}

// NewKeyFile makes a key and writes it where only its owner can read it.
func NewKeyFile(t testing.TB) (ssh.Signer, string) {
	t.Helper()
	s, b := NewKey(t)
	path := filepath.Join(t.TempDir(), "id_ed25519")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return s, path
}

// Start starts a server.
func Start(t testing.TB, opt Options) *Server {
	t.Helper()
	if opt.HostKey == nil {
		opt.HostKey, _ = NewKey(t)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Addr: ln.Addr().(*net.TCPAddr), HostKey: opt.HostKey, opt: opt, ln: ln, keys: map[string]bool{}, links: map[*link]bool{}}
	s.conf = &ssh.ServerConfig{MaxAuthTries: opt.MaxAuthTries, PublicKeyCallback: s.authorize}
	s.conf.AddHostKey(opt.HostKey)
	s.wg.Go(s.accept)
	t.Cleanup(s.Stop)
	return s
}

// Authorize lets a key in.
func (s *Server) Authorize(key ssh.PublicKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[string(key.Marshal())] = true
}

// KnownHostsLine is the server's line for a known_hosts file.
func (s *Server) KnownHostsLine() string {
	return knownhosts.Line([]string{s.Addr.String()}, s.HostKey.PublicKey()) + "\n"
}

// KnownHosts writes a known_hosts file with the servers' keys.
func KnownHosts(t testing.TB, servers ...*Server) string {
	t.Helper()
	var b bytes.Buffer
	for _, s := range servers {
		b.WriteString(s.KnownHostsLine())
	}
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Lines are the commands that were run so far.
func (s *Server) Lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

// Drop cuts all connections without a word.
func (s *Server) Drop() {
	for _, l := range s.all() {
		if tc, ok := l.Conn.(*net.TCPConn); ok {
			_ = tc.SetLinger(0)
		}
		l.thaw()
		_ = l.Conn.Close()
	}
}

// Freeze makes the host silent: connections stay open and nothing moves any more.
func (s *Server) Freeze() {
	for _, l := range s.all() {
		l.freeze()
	}
}

// Stop ends the server and waits for all of it.
func (s *Server) Stop() {
	_ = s.ln.Close()
	s.Drop()
	s.wg.Wait()
}

func (s *Server) all() []*link {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*link
	for l := range s.links {
		out = append(out, l)
	}
	return out
}

func (s *Server) authorize(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if meta.User() != User || !s.keys[string(key.Marshal())] {
		return nil, errors.New("not authorized")
	}
	return nil, nil
}

func (s *Server) accept() {
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.Attempts.Add(1)
		l := &link{Conn: c}
		s.mu.Lock()
		s.links[l] = true
		s.mu.Unlock()
		s.wg.Go(func() {
			defer func() {
				_ = c.Close()
				s.mu.Lock()
				delete(s.links, l)
				s.mu.Unlock()
			}()
			switch {
			case s.opt.HangUp:
			case s.opt.Silent:
				_, _ = io.Copy(io.Discard, c)
			default:
				s.serve(l)
			}
		})
	}
}

func (s *Server) serve(l *link) {
	conn, chans, reqs, err := ssh.NewServerConn(l, s.conf)
	if err != nil {
		return
	}
	s.Logins.Add(1)
	var wg sync.WaitGroup
	wg.Go(func() { // as sshd: a request that isn't known is answered with a refusal
		for r := range reqs {
			_ = r.Reply(false, nil)
		}
	})
	for nc := range chans {
		switch nc.ChannelType() {
		case "session":
			wg.Go(func() { s.session(nc) })
		case "direct-tcpip":
			wg.Go(func() { s.forward(nc) })
		default:
			_ = nc.Reject(ssh.UnknownChannelType, "not told to")
		}
	}
	_ = conn.Close()
	wg.Wait()
}

func (s *Server) session(nc ssh.NewChannel) {
	s.mu.Lock()
	full := s.opt.MaxSessions > 0 && s.sessions >= s.opt.MaxSessions
	if !full {
		s.sessions++
	}
	s.mu.Unlock()
	if full {
		_ = nc.Reject(ssh.ConnectionFailed, "open failed")
		return
	}
	defer func() {
		s.mu.Lock()
		s.sessions--
		s.mu.Unlock()
	}()
	ch, reqs, err := nc.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	signals, gone := make(chan ssh.Signal, 8), make(chan struct{})
	started := make(chan string, 1)
	go func() {
		defer close(gone)
		for r := range reqs {
			switch {
			case r.Type == "exec" && s.opt.Exec != nil:
				line := string(r.Payload[4:])
				s.mu.Lock()
				s.lines = append(s.lines, line)
				s.mu.Unlock()
				_ = r.Reply(true, nil)
				started <- line
			case r.Type == "signal" && !s.opt.NoSignals:
				signals <- ssh.Signal(r.Payload[4:])
			default:
				_ = r.Reply(false, nil)
			}
		}
	}()
	var line string
	select {
	case line = <-started:
	case <-gone:
		return
	}
	exit := s.opt.Exec(&Session{Line: line, Stdin: ch, Stdout: ch, Stderr: ch.Stderr(), Signals: signals, Server: s, Gone: gone})
	_ = ch.CloseWrite()
	switch {
	case exit.None:
	case exit.Signal != "":
		_, _ = ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Name   string
			Dumped bool
			Msg    string
			Lang   string
		}{string(exit.Signal), false, "", ""}))
	default:
		_, _ = ch.SendRequest("exit-status", false, binary.BigEndian.AppendUint32(nil, uint32(exit.Status)))
	}
}

func (s *Server) forward(nc ssh.NewChannel) {
	var to struct {
		Host  string
		Port  uint32
		OHost string
		OPort uint32
	}
	if s.opt.Forward == nil || ssh.Unmarshal(nc.ExtraData(), &to) != nil {
		_ = nc.Reject(ssh.Prohibited, "open failed")
		return
	}
	c, err := s.opt.Forward(net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil {
		_ = nc.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer c.Close()
	ch, reqs, err := nc.Accept()
	if err != nil {
		return
	}
	s.Forwards.Add(1)
	defer ch.Close()
	go ssh.DiscardRequests(reqs)
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(c, ch)
		if tc, ok := c.(*net.TCPConn); ok {
			_ = tc.CloseWrite()
		} else {
			_ = c.Close()
		}
	})
	_, _ = io.Copy(ch, c)
	_ = ch.Close()
	wg.Wait()
}

// link is a connection that can be frozen.
type link struct {
	net.Conn
	mu   sync.Mutex
	held chan struct{} // not nil: frozen until it is closed
}

func (l *link) freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = make(chan struct{})
	}
}

func (l *link) thaw() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held != nil {
		close(l.held)
		l.held = nil
	}
}

func (l *link) wait() {
	l.mu.Lock()
	held := l.held
	l.mu.Unlock()
	if held != nil {
		<-held
	}
}

func (l *link) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	l.wait() // what arrives after the freeze isn't seen
	return n, err
}

func (l *link) Write(b []byte) (int, error) {
	l.wait()
	return l.Conn.Write(b)
}

// Eventually waits until ok holds, at most five seconds.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 5 s", what)
		}
	}
}
