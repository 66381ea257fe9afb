package remote

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-multierror"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/slipway-dev/slipway/internal/errlist"
	"github.com/slipway-dev/slipway/internal/secret"
)

// Key is a private key file. If it's encrypted, Passphrase opens it, or the agent holds it.
type Key struct {
	Path       string
	Passphrase secret.Ref
}

// identity is one key that is offered, with where it came from for the message when it's refused.
type identity struct {
	from   string
	signer ssh.Signer
}

// identities are the keys to offer, in the order of the configuration. With key files named, the agent is asked for those
// of them that are encrypted and nothing else (as OpenSSH's IdentitiesOnly): a host closes the connection after six wrong
// keys, and a full agent would spend them. With none named, all of the agent's keys are offered.
type identities struct {
	keys  []identity
	agent *agentConn
}

// loadKeys reads all key files, and gives all their problems at once.
func loadKeys(keys []Key, agentSocket string) (*identities, error) {
	ids := &identities{}
	var all *multierror.Error
	if agentSocket != "" {
		ids.agent = &agentConn{socket: agentSocket}
	}
	for _, k := range keys {
		s, err := loadKey(k)
		var locked *ssh.PassphraseMissingError
		if errors.As(err, &locked) {
			s, err = ids.agent.signer(k.Path, locked.PublicKey)
		}
		if err != nil {
			all = multierror.Append(all, err)
			continue
		}
		ids.keys = append(ids.keys, identity{k.Path, s})
	}
	if len(keys) == 0 && agentSocket == "" {
		all = multierror.Append(all, errors.New("no way to log in: name a key file, or allow the agent"))
	}
	if err := errlist.OrNil(all); err != nil {
		ids.close()
		return nil, err
	}
	return ids, nil
}

func loadKey(k Key) (ssh.Signer, error) {
	b, err := secret.ReadPrivate(k.Path)
	if err != nil {
		return nil, fmt.Errorf("ssh key: %w", err)
	}
	if k.Passphrase.IsZero() {
		s, err := ssh.ParsePrivateKey(b)
		if err != nil {
			return nil, fmt.Errorf("ssh key %s: %w", k.Path, err)
		}
		return s, nil
	}
	pass, err := k.Passphrase.Resolve()
	if err != nil {
		return nil, fmt.Errorf("passphrase of ssh key %s: %w", k.Path, err)
	}
	s, err := ssh.ParsePrivateKeyWithPassphrase(b, []byte(pass.Reveal()))
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, fmt.Errorf("ssh key %s: the passphrase in %s does not open it: %w", k.Path, k.Passphrase, err)
	}
	if err != nil {
		return nil, fmt.Errorf("ssh key %s: %w", k.Path, secret.Redact(err, pass))
	}
	return s, nil
}

// offer gives the signers for one login, and notes what was offered.
func (ids *identities) offer() ([]identity, error) {
	if len(ids.keys) > 0 {
		return ids.keys, nil
	}
	signers, err := ids.agent.signers()
	if err != nil {
		return nil, err
	}
	out := make([]identity, len(signers))
	for i, s := range signers {
		out[i] = identity{"ssh agent", s}
	}
	if len(out) == 0 {
		return nil, errors.New("the ssh agent holds no key; type: ssh-add KEYFILE")
	}
	return out, nil
}

func (ids *identities) close() { ids.agent.close() }

// describe lists what was offered, for the message of a refused login.
func describe(ids []identity) string {
	s := make([]string, len(ids))
	for i, id := range ids {
		s[i] = ssh.FingerprintSHA256(id.signer.PublicKey()) + " (" + id.from + ")"
	}
	return strings.Join(s, ", ")
}

// agentConn is one connection to the agent, made when it's first needed. A nil agentConn is an agent that isn't allowed.
type agentConn struct {
	socket string
	mu     sync.Mutex
	conn   net.Conn
	client agent.ExtendedAgent
}

// agentLimit is how long the agent may take to answer the dial; a key that asks its owner for a touch is signed later and
// falls under the login's own limit.
const agentLimit = 5 * time.Second

func (a *agentConn) dial() (agent.ExtendedAgent, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.client != nil {
		return a.client, nil
	}
	c, err := net.DialTimeout("unix", a.socket, agentLimit)
	if err != nil {
		return nil, fmt.Errorf("ssh agent: %w; type: eval $(ssh-agent); ssh-add", err)
	}
	a.conn, a.client = c, agent.NewClient(c)
	return a.client, nil
}

func (a *agentConn) signers() ([]ssh.Signer, error) {
	c, err := a.dial()
	if err != nil {
		return nil, err
	}
	s, err := c.Signers()
	if err != nil {
		a.close() // a restarted agent is found again at the next call
		return nil, fmt.Errorf("ssh agent: %w", err)
	}
	return s, nil
}

// signer finds the encrypted key in path in the agent. public is nil for the old PEM formats, which hide it.
func (a *agentConn) signer(path string, public ssh.PublicKey) (ssh.Signer, error) {
	locked := fmt.Errorf("ssh key %s is encrypted: give its passphrase (a reference), or allow the agent and type: ssh-add %s", path, path)
	if a == nil || public == nil {
		return nil, locked
	}
	all, err := a.signers()
	if err != nil {
		return nil, fmt.Errorf("ssh key %s is encrypted: %w", path, err)
	}
	i := slices.IndexFunc(all, func(s ssh.Signer) bool { return bytes.Equal(s.PublicKey().Marshal(), public.Marshal()) })
	if i < 0 {
		return nil, locked
	}
	return all[i], nil
}

func (a *agentConn) close() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn != nil {
		_ = a.conn.Close() // a read-side socket: nothing can be lost by it
		a.conn, a.client = nil, nil
	}
}
