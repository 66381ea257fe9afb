package remote

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// HostKeyError is a host that didn't show the key that is pinned for it. Nothing was sent to it: no key of ours was
// offered. errors.Is(err, ErrHostKey) holds.
type HostKeyError struct {
	Host, Address string
	File          string // the known_hosts file
	Type          string // of the key that was shown, for instance ssh-ed25519
	Shown         string // its fingerprint, SHA256:...
	Pinned        []PinnedKey
	Revoked       bool
}

// PinnedKey is a line of the known_hosts file.
type PinnedKey struct {
	Type, Fingerprint, File string
	Line                    int
}

func (e *HostKeyError) Unwrap() error { return ErrHostKey }

func (e *HostKeyError) Error() string {
	host, port := splitPort(e.Address)
	name, scan := host, "ssh-keyscan -t "+shortType(e.Type)
	if port != "22" {
		name, scan = "["+host+"]:"+port, scan+" -p "+port
	}
	// Single quotes for the operator's shell: a path or [host]:port may have characters that it would read.
	q := func(s string) string {
		if strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune("/._-:@+%,", r) && !isAlnum(r) }) < 0 {
			return s
		}
		s, _ = Quote(s)
		return s
	}
	switch {
	case e.Revoked:
		return fmt.Sprintf("%s: host key %s (%s) shown by %s is revoked in %s:%d; nothing was sent to it; it must not be used again",
			e.Host, e.Shown, e.Type, e.Address, e.Pinned[0].File, e.Pinned[0].Line)
	case len(e.Pinned) == 0:
		return fmt.Sprintf("%s: host key of %s is not known: it shows %s (%s), and %s has none for it; nothing was sent to it; "+
			"compare with `ssh-keygen -lf /etc/ssh/ssh_host_%s_key.pub` on the host's console, and if they are equal type: %s %s >> %s",
			e.Host, e.Address, e.Shown, e.Type, e.File, shortType(e.Type), scan, host, q(e.File))
	}
	pins := make([]string, len(e.Pinned))
	for i, p := range e.Pinned {
		pins[i] = fmt.Sprintf("%s:%d pins %s (%s)", p.File, p.Line, p.Fingerprint, p.Type)
	}
	return fmt.Sprintf("%s: host key of %s has changed: it shows %s (%s), but %s; nothing was sent to it; "+
		"if nobody reinstalled the host this is an attack; if it was, type: ssh-keygen -f %s -R %s, then pin its new key",
		e.Host, e.Address, e.Shown, e.Type, strings.Join(pins, ", "), q(e.File), q(name))
}

func isAlnum(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// shortType is the name that ssh-keyscan and the files in /etc/ssh use.
func shortType(t string) string {
	switch {
	case strings.HasPrefix(t, "ecdsa-"):
		return "ecdsa"
	case strings.HasPrefix(t, "ssh-rsa"), strings.HasPrefix(t, "rsa-"):
		return "rsa"
	default:
		return "ed25519"
	}
}

func splitPort(address string) (host, port string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address, "22"
	}
	return host, port
}

// keyring checks host keys against one known_hosts file, read once.
type keyring struct {
	file  string
	check ssh.HostKeyCallback
}

// readKnownHosts reads the file, whose format is sshd(8)'s "SSH_KNOWN_HOSTS FILE FORMAT". Missing or malformed, it's an
// error: an empty file is how to say that no host is known yet.
func readKnownHosts(file string) (*keyring, error) {
	check, err := knownhosts.New(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("known-hosts file %s does not exist; make it with the hosts' keys, for instance from: ssh-keyscan -t ed25519 HOST", file)
	}
	if err != nil {
		// It stops at the first bad line; its message has file and line.
		return nil, fmt.Errorf("read known hosts: %w", err)
	}
	return &keyring{file, check}, nil
}

// algorithms are those to negotiate with address, so that the host shows a key of a type that is pinned: else a host with
// several keys would show the one it prefers, and that would look like a changed key. Nil is the default set.
func (k *keyring) algorithms(address string) []string {
	var want *knownhosts.KeyError
	if err := k.check(address, nowhere{}, probeKey{}); !errors.As(err, &want) {
		return nil
	}
	var out []string
	for _, p := range pinned(want.Want) {
		for _, a := range algorithmsOf(p.Type) {
			if !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	return out
}

func algorithmsOf(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256} // RFC 8332; never SHA-1
	}
	return []string{keyType}
}

// pinned sorts by line, which knownhosts does not.
func pinned(keys []knownhosts.KnownKey) []PinnedKey {
	out := make([]PinnedKey, len(keys))
	for i, k := range keys {
		out[i] = PinnedKey{k.Key.Type(), ssh.FingerprintSHA256(k.Key), k.Filename, k.Line}
	}
	slices.SortFunc(out, func(a, b PinnedKey) int { return a.Line - b.Line })
	return out
}

// verify is the callback for one host.
func (k *keyring) verify(host string) ssh.HostKeyCallback {
	return func(address string, remote net.Addr, key ssh.PublicKey) error {
		err := k.check(address, remote, key)
		if err == nil {
			return nil
		}
		e := &HostKeyError{Host: host, Address: address, File: k.file, Type: key.Type(), Shown: ssh.FingerprintSHA256(key)}
		var want *knownhosts.KeyError
		var revoked *knownhosts.RevokedError
		switch {
		case errors.As(err, &want):
			e.Pinned = pinned(want.Want)
		case errors.As(err, &revoked):
			e.Revoked, e.Pinned = true, pinned([]knownhosts.KnownKey{revoked.Revoked})
		default:
			return fail(host, ErrHostKey, err, "host key of %s: %v", address, err)
		}
		return e
	}
}

// probeKey is a key that no file pins.
type probeKey struct{}

func (probeKey) Type() string                        { return "probe" }
func (probeKey) Marshal() []byte                     { return []byte("probe") }
func (probeKey) Verify([]byte, *ssh.Signature) error { return errors.New("not a key") }

// nowhere is an address for a check that has no connection.
type nowhere struct{}

func (nowhere) Network() string { return "tcp" }
func (nowhere) String() string  { return "0.0.0.0:0" }
