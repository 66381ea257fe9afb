package place

import (
	"errors"
	"fmt"
	"net"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// Kind says what a place is in.
type Kind int

// The kinds of places.
const (
	Local  Kind = iota // a directory of this machine
	SSH                // one of a host
	Claim              // one in a claim of a cluster
	Volume             // one of a Gluster volume, which a host of it is asked for; to be read from alone
)

// Place is where a tree is.
type Place struct {
	Kind      Kind
	Path      string // absolute, cleaned, of a Volume below its root; of a Claim: below its root, "" for that
	User      string // SSH, Volume; "": the one that this program runs as
	Host      string // SSH, Volume: a name or an address
	Port      int    // SSH, Volume; 0: 22
	Namespace string // Claim
	Name      string // Claim, Volume: its name
}

// ErrPlace: what was written isn't a place. To fix in the call.
var ErrPlace = errors.New("a place is /PATH on this machine, ssh://USER@HOST:PORT/PATH (USER@ and :PORT may be left out), gluster://USER@HOST:PORT/VOLUME/PATH to read from, or pvc://NAMESPACE/CLAIM/PATH")

func bad(s, format string, args ...any) error {
	return fmt.Errorf("%q: %s: %w", s, fmt.Sprintf(format, args...), ErrPlace)
}

// legalLabel is a name that Kubernetes takes for a namespace; a claim's may have dots in it as well (RFC 1123).
var (
	legalLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	legalClaim = regexp.MustCompile(`^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$`)
	legalUser  = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_.@\\-]*\$?$`)
	legalHost  = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$`)
)

// Parse reads a place. A path stands in it as it is: nothing is decoded, so that no name is without a way to write it.
func Parse(s string) (Place, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	switch {
	case strings.IndexByte(s, 0) >= 0:
		return Place{}, bad(s, "there is a NUL in it")
	case strings.HasPrefix(s, "/"):
		return Place{Kind: Local, Path: path.Clean(s)}, nil
	case ok && scheme == "ssh":
		return parseSSH(s, rest)
	case ok && scheme == "gluster":
		return parseVolume(s, rest)
	case ok && scheme == "pvc":
		return parseClaim(s, rest)
	case ok:
		return Place{}, bad(s, "%s:// isn't known", scheme)
	case s == "":
		return Place{}, bad(s, "it is empty")
	}
	if host, dir, ok := strings.Cut(s, ":"); ok && strings.HasPrefix(dir, "/") {
		return Place{}, bad(s, "did you mean ssh://%s%s?", host, dir)
	}
	return Place{}, bad(s, "the path doesn't begin with /")
}

func parseSSH(s, rest string) (Place, error) {
	authority, dir, ok := strings.Cut(rest, "/")
	if !ok {
		return Place{}, bad(s, "the path is missing; / is the whole host")
	}
	p := Place{Kind: SSH, Path: path.Clean("/" + dir), Host: authority}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		p.User, p.Host = authority[:i], authority[i+1:]
		if strings.Contains(p.User, ":") {
			return Place{}, errors.New("ssh://USER:PASSWORD@...: a password doesn't belong in a place, and isn't taken; use a key (--identity) or the ssh agent")
		}
		if !legalUser.MatchString(p.User) {
			return Place{}, bad(s, "%q is no user's name", p.User)
		}
	}
	if host, port, err := net.SplitHostPort(p.Host); err == nil {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return Place{}, bad(s, "%q is no port", port)
		}
		p.Host, p.Port = host, int(n)
	} else if len(p.Host) > 2 && p.Host[0] == '[' && p.Host[len(p.Host)-1] == ']' {
		p.Host = p.Host[1 : len(p.Host)-1]
	}
	if net.ParseIP(p.Host) == nil && !legalHost.MatchString(p.Host) {
		return Place{}, bad(s, "%q is no host", p.Host)
	}
	return p, nil
}

// legalVolume is what glusterd takes for a volume's name.
var legalVolume = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,254}$`)

func parseVolume(s, rest string) (Place, error) {
	p, err := parseSSH(s, rest)
	if err != nil {
		return Place{}, err
	}
	p.Kind = Volume
	p.Name, p.Path, _ = strings.Cut(p.Path[1:], "/")
	if p.Path = path.Clean("/" + p.Path); !legalVolume.MatchString(p.Name) {
		return Place{}, bad(s, "%q is no volume", p.Name)
	}
	return p, nil
}

func parseClaim(s, rest string) (Place, error) {
	namespace, rest, _ := strings.Cut(rest, "/")
	name, dir, _ := strings.Cut(rest, "/")
	dir = strings.Trim(dir, "/")
	switch {
	case !legalLabel.MatchString(namespace):
		return Place{}, bad(s, "%q is no namespace", namespace)
	case !legalClaim.MatchString(name):
		return Place{}, bad(s, "%q is no claim", name)
	case tree.Path(dir).Check() != nil:
		return Place{}, bad(s, "the path could lead out of the claim")
	}
	return Place{Kind: Claim, Namespace: namespace, Name: name, Path: dir}, nil
}

// String is the place as it is written; Parse reads it back.
func (p Place) String() string {
	switch p.Kind {
	case SSH, Volume:
		host := p.Host
		switch {
		case p.Port != 0:
			host = net.JoinHostPort(host, strconv.Itoa(p.Port))
		case strings.Contains(host, ":"):
			host = "[" + host + "]"
		}
		if p.User != "" {
			host = p.User + "@" + host
		}
		if p.Kind == Volume {
			return strings.TrimSuffix("gluster://"+host+"/"+p.Name+p.Path, "/")
		}
		return "ssh://" + host + p.Path
	case Claim:
		return strings.TrimSuffix("pvc://"+p.Namespace+"/"+p.Name+"/"+p.Path, "/")
	}
	return p.Path
}
