package labtest

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// ownNetwork identifies the network namespace of this process.
func ownNetwork() (uint64, error) {
	var stat unix.Stat_t
	err := unix.Stat("/proc/self/ns/net", &stat)
	return stat.Ino, err
}

// enter takes the lock that tests of all packages share, or that one has alone.
func enter(path string, alone bool, waiting func()) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	lock := unix.LOCK_SH
	if alone {
		lock = unix.LOCK_EX
	}
	err = unix.Flock(int(f.Fd()), lock|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		waiting()
		err = unix.Flock(int(f.Fd()), lock)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}
