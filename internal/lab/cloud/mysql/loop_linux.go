package mysql

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// loop is a loop device over a file, with autoclear: the kernel takes it away
// when the last that has it open, or mounted, is gone.
type loop struct {
	number int
	file   *os.File
}

const loopMajor = 7

// attach puts a file behind a free loop device. dir is where a device node may be
// made for the moment (this computer's /dev may lack it).
func attach(image, dir string) (*loop, error) {
	control, err := openNode(filepath.Join(dir, "loop-control"), 10, 237)
	if err != nil {
		return nil, fmt.Errorf("loop control: %w", err)
	}
	defer control.Close()
	back, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer back.Close()
	for range 50 { // another may take the free one in between
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("find a free loop device: %w", err)
		}
		device, err := openNode(filepath.Join(dir, fmt.Sprintf("loop%d", n)), loopMajor, uint32(n))
		if err != nil {
			return nil, fmt.Errorf("loop device %d: %w", n, err)
		}
		config := unix.LoopConfig{Fd: uint32(back.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if err == nil {
			return &loop{number: n, file: device}, nil
		}
		device.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("loop device %d: %w", n, err)
		}
	}
	return nil, errors.New("no loop device stays free long enough")
}

// openNode opens a device by its numbers through a node of its own.
func openNode(path string, major, minor uint32) (*os.File, error) {
	mode := uint32(unix.S_IFBLK | 0o600)
	if major != loopMajor {
		mode = unix.S_IFCHR | 0o600
	}
	if err := unix.Mknod(path, mode, int(unix.Mkdev(major, minor))); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, err
	}
	defer os.Remove(path)
	return os.OpenFile(path, os.O_RDWR, 0)
}

// close lets go of the device; a mount holds it.
func (l *loop) close() error { return l.file.Close() }
