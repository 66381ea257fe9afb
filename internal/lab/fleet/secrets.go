package fleet

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"

	"github.com/slipway-dev/slipway/internal/lab/pki"
)

// Secrets are the keys and passwords of one formed fleet. They are made when it is formed and kept with its checkpoint, readable by root alone. They open nothing
// but a lab.
type Secrets struct {
	CACert, CAKey     string // PEM
	EdgeCert, EdgeKey string // PEM: the shop's own, the same on both edge hosts
	RootKey           string // OpenSSH private key, the lab's own way into every host
	SlipwayKey        string // the product's
	HostKeys          []HostKey

	ShopPassword        string // the application's at MariaDB
	QueuePassword       string
	RedisPassword       string
	ReplicationPassword string
	SlipwayPassword     string // the product's at MariaDB
	LabPassword         string // the lab's own at MariaDB, all rights
	KeepalivedPassword  string

	// Those that a rehearsal gives to what it makes.
	CloudShopPassword, CloudSlipwayPassword, BrokerCookie string
}

// HostKey is a host's ed25519 key.
type HostKey struct{ Host, Private string }

// passwordLength in letters and digits is about 140 bits.
const passwordLength = 24

// NewSecrets makes all keys and passwords anew.
func NewSecrets() (Secrets, error) {
	var s Secrets
	ca, err := pki.New("slipway lab CA")
	if err != nil {
		return s, err
	}
	key, err := ca.KeyPEM()
	if err != nil {
		return s, err
	}
	s.CACert, s.CAKey = string(ca.CA()), string(key)
	cert, key, err := ca.IssuePEM([]string{SiteName, "shop.example"}, []net.IP{net.IP(EdgeAddress.AsSlice())})
	if err != nil {
		return s, err
	}
	s.EdgeCert, s.EdgeKey = string(cert), string(key)
	if s.RootKey, err = newKey("root@lab"); err != nil {
		return s, err
	}
	if s.SlipwayKey, err = newKey("slipway@lab"); err != nil {
		return s, err
	}
	for _, h := range Hosts() {
		private, err := newKey("root@" + h.Name)
		if err != nil {
			return s, err
		}
		s.HostKeys = append(s.HostKeys, HostKey{Host: h.Name, Private: private})
	}
	for _, p := range []*string{&s.ShopPassword, &s.QueuePassword, &s.RedisPassword, &s.ReplicationPassword, &s.SlipwayPassword, &s.LabPassword,
		&s.CloudShopPassword, &s.CloudSlipwayPassword, &s.BrokerCookie} {
		if *p, err = newPassword(passwordLength); err != nil {
			return s, err
		}
	}
	s.KeepalivedPassword, err = newPassword(8) // VRRP's plain authentication takes no more (keepalived.conf(5))
	return s, err
}

func newKey(comment string) (string, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(block)), nil
}

func newPassword(n int) (string, error) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	raw := make([]byte, 0, n)
	for len(raw) < n {
		var b [1]byte
		if _, err := rand.Read(b[:]); err != nil {
			return "", err
		}
		if int(b[0]) < 256-256%len(letters) { // else the first letters would be likelier
			raw = append(raw, letters[int(b[0])%len(letters)])
		}
	}
	return string(raw), nil
}

// PublicKey is the public half of an OpenSSH private key, as a line of authorized_keys without a comment.
func PublicKey(private string) (string, error) {
	signer, err := ssh.ParsePrivateKey([]byte(private))
	if err != nil {
		return "", err
	}
	return string(ssh.MarshalAuthorizedKey(signer.PublicKey())), nil
}

func (s Secrets) hostKey(host string) (string, error) {
	for _, k := range s.HostKeys {
		if k.Host == host {
			return k.Private, nil
		}
	}
	return "", fmt.Errorf("no host key for %s", host)
}

// KnownHosts are the hosts' keys in the format of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT", by name and address, in the fleet's order.
func (s Secrets) KnownHosts() (string, error) {
	out := ""
	for _, h := range Hosts() {
		private, err := s.hostKey(h.Name)
		if err != nil {
			return "", err
		}
		public, err := PublicKey(private)
		if err != nil {
			return "", err
		}
		out += fmt.Sprintf("%s,%s %s", h.Name, h.Addr, public)
	}
	return out, nil
}

// Authority is the lab's certificate authority.
func (s Secrets) Authority() (*pki.CA, error) { return pki.Parse([]byte(s.CACert), []byte(s.CAKey)) }

func (s Secrets) save(file string) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	return errors.Join(err, f.Close())
}

func loadSecrets(file string) (Secrets, error) {
	var s Secrets
	raw, err := os.ReadFile(file)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

// The files of the running lab's access directory.
const (
	RootKeyFile    = "root_ed25519"
	SlipwayKeyFile = "slipway_ed25519"
	KnownHostsFile = "known_hosts"
	AuthorityFile  = "ca.pem"
	PasswordsFile  = "passwords.json"
)

// writeAccess writes what lets others into the hosts: the keys of root and of Slipway, the hosts' keys, the authority's certificate, and all secrets for
// the lab's own tools. Secret files are readable by their owner alone.
func (s Secrets) writeAccess(dir string) error {
	known, err := s.KnownHosts()
	if err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return err
	}
	for _, f := range []struct {
		name, content string
		mode          os.FileMode
	}{{RootKeyFile, s.RootKey, 0o600}, {SlipwayKeyFile, s.SlipwayKey, 0o600}, {KnownHostsFile, known, 0o644}, {AuthorityFile, s.CACert, 0o644}} {
		if err := os.WriteFile(filepath.Join(dir, f.name), []byte(f.content), f.mode); err != nil {
			return err
		}
	}
	return s.save(filepath.Join(dir, PasswordsFile))
}

// LoadAccess reads what a fleet that is up wrote.
func LoadAccess(dir string) (Secrets, error) { return loadSecrets(filepath.Join(dir, PasswordsFile)) }
