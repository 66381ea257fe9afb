package disk

import (
	"context"
	"time"

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
		return each(tree.Sum{Member: r.member, End: r.end})
	})
}

// hashMember hashes a file, as a reading that has no pieces.
func (d *Disk) hashMember(ctx context.Context, r *reading) {
	defer close(r.known)
	r.member.Path, r.end.At = r.path, tree.TimeOf(time.Now())
	sum, err := d.hash(ctx, r)
	r.end.State, r.end.Why = stateOf(err)
	if err == nil {
		r.end.Sum = sum
	}
}

func (d *Disk) hash(ctx context.Context, r *reading) (sum [32]byte, err error) {
	fd, err := d.openEntry(&r.member)
	if err != nil {
		return sum, err
	}
	defer unix.Close(fd)
	if r.member.Kind != tree.File {
		return sum, unchanged(fd, &r.member.Stat)
	}
	if err := unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED); err != nil { // forgets what is in memory, as far as that is on the disk
		return sum, err
	}
	again, err := d.openQuiet(r.path, unix.O_NONBLOCK)
	if err != nil {
		return sum, err
	}
	defer unix.Close(again)
	if err := unchanged(again, &r.member.Stat); err != nil {
		return sum, err
	}
	s := newSummer()
	if err := d.read(ctx, again, r.member.Size, false, func(p *piece) error { s.piece(p); p.free(); return nil }); err != nil {
		return sum, err
	}
	return s.sum(), unchanged(again, &r.member.Stat)
}
