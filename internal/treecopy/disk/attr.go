package disk

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// The kernel's names of POSIX ACLs.
const (
	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default"
)

// carried says whether an attribute is one of those that a tree keeps. No other is ever set: a label or a capability is not the sender's to give.
func carried(name string) bool {
	return strings.HasPrefix(name, "user.") || name == aclAccess || name == aclDefault
}

// attrs gives an open entry's attributes, sorted.
func (d *Disk) attrs(fd int, kind tree.Kind) (out []tree.Attr, err error) {
	names, err := attrNames(fd)
	if err != nil {
		return nil, err
	}
	if d.fuse { // not every one of these lists its ACLs
		names = append(names, aclAccess)
		if kind == tree.Directory {
			names = append(names, aclDefault)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if !carried(name) {
			continue
		}
		value, err := sized(func(b []byte) (int, error) { return unix.Fgetxattr(fd, name, b) })
		if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EOPNOTSUPP) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, tree.Attr{Name: name, Value: string(value)})
	}
	return out, nil
}

func attrNames(fd int) ([]string, error) {
	b, err := sized(func(b []byte) (int, error) { return unix.Flistxattr(fd, b) })
	if errors.Is(err, unix.EOPNOTSUPP) || len(b) == 0 {
		return nil, ignore(err, unix.EOPNOTSUPP)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00"), err
}

// setAttrs gives an open entry these attributes, and takes away those that it has besides: a new one inherits its directory's default ACL.
func setAttrs(fd int, want []tree.Attr) error {
	names, err := attrNames(fd)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !carried(name) || slices.ContainsFunc(want, func(a tree.Attr) bool { return a.Name == name }) {
			continue
		}
		if err := ignore(done(func() error { return unix.Fremovexattr(fd, name) }), unix.ENODATA); err != nil {
			return err
		}
	}
	for _, a := range want {
		if err := done(func() error { return unix.Fsetxattr(fd, a.Name, []byte(a.Value), 0) }); err != nil {
			return err
		}
	}
	return nil
}

// sized calls with more and more room until the answer fits.
func sized(call func([]byte) (int, error)) ([]byte, error) {
	for room := 1 << 10; ; room *= 8 {
		b := make([]byte, room)
		n, err := again(func() (int, error) { return call(b) })
		if errors.Is(err, unix.ERANGE) && room < tree.MaxRecord {
			continue
		}
		return b[:max(n, 0)], err
	}
}

// ignore makes an error none where it is this one.
func ignore(err, none error) error {
	if errors.Is(err, none) {
		return nil
	}
	return err
}
