package disk

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// Hash reads files again from the disk, several at once. It reads holes as the zeros that they are, whatever the file system says of where they
// are, and so shares nothing with Read that could be wrong in both.
func (d *Disk) Hash(ctx context.Context, paths []tree.Path, each func(tree.Sum) error) error {
	for _, p := range paths {
		if err := p.Check(); err != nil {
			return err
		}
	}
	return inOrder(ctx, paths, d.hashMember, func(r *reading) error {
		<-r.known
		return each(tree.Sum{Stat: r.member.Stat, End: r.end})
	})
}

// hashMember hashes a file, as a reading that has no pieces.
func (d *Disk) hashMember(ctx context.Context, r *reading) {
	defer close(r.known)
	r.member.Path = r.path
	sum, err := d.hash(ctx, r)
	r.end.State, r.end.Why = stateOf(err)
	if err == nil {
		r.end.Sum = sum
	}
}

func (d *Disk) hash(ctx context.Context, r *reading) (sum [32]byte, err error) {
	if err := d.dropCached(r); err != nil {
		return sum, err
	}
	fd, err := d.openQuiet(r.path, unix.O_NONBLOCK)
	if err != nil {
		return sum, err
	}
	defer unix.Close(fd)
	if err := unchanged(fd, &r.member.Stat); err != nil {
		return sum, err
	}
	s := newSummer()
	if err := d.read(ctx, fd, r.member.Size, false, func(p *piece) error { s.piece(p); p.free(); return nil }); err != nil {
		return sum, err
	}
	return s.sum(), unchanged(fd, &r.member.Stat)
}

// dropCached has the system forget what it holds of a file in memory, as far as that is on the disk.
func (d *Disk) dropCached(r *reading) error {
	fd, err := d.openEntry(&r.member)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if r.member.Kind != tree.File {
		return fmt.Errorf("it is a %s", r.member.Kind)
	}
	return unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED)
}
