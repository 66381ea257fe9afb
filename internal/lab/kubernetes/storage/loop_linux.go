package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/lab/machine"
)

// loop is a loop device that clears itself once nobody has it open or mounted.
type loop struct {
	device *os.File // keeps it until the first node mounts, and between two mounts
	number uint64   // as st_rdev
}

// openLoop puts a file behind a free loop device (loop(4)).
func openLoop(file string) (*loop, error) {
	back, err := os.OpenFile(file, os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer back.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	// Between asking for a free one and taking it, another process may: it is asked again then.
	for range 64 {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("find a free loop device: %w", err)
		}
		l, err := takeLoop(fmt.Sprintf("/dev/loop%d", n), back)
		if errors.Is(err, unix.EBUSY) {
			continue
		}
		return l, err
	}
	return nil, errors.New("find a free loop device: each one found was taken by others")
}

func takeLoop(path string, back *os.File) (*loop, error) {
	device, err := os.OpenFile(path, os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	config := unix.LoopConfig{Fd: uint32(back.Fd())}
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
	copy(config.Info.File_name[:len(config.Info.File_name)-1], back.Name())
	if err := unix.IoctlLoopConfigure(int(device.Fd()), &config); err != nil {
		return nil, errors.Join(fmt.Errorf("set up %s: %w", path, err), device.Close())
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(device.Fd()), &stat); err != nil {
		return nil, errors.Join(err, device.Close())
	}
	return &loop{device: device, number: uint64(stat.Rdev)}, nil
}

func (l *loop) close() error { return l.device.Close() }

// showIn makes the device's node in a machine. The machine's /dev is its own.
func (l *loop) showIn(m *machine.Machine, path string) error {
	at := inMachine(m, path)
	if err := unix.Mknod(at, unix.S_IFBLK|0o600, int(l.number)); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("make %s: %w", path, err)
	}
	return nil
}

// hideIn takes the device's node away. Where the machine has ended there is none.
func (l *loop) hideIn(m *machine.Machine, path string) error {
	if !m.Running() {
		return nil
	}
	if err := os.Remove(inMachine(m, path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// inMachine is a machine's path, as seen from outside.
func inMachine(m *machine.Machine, path string) string {
	return fmt.Sprintf("/proc/%d/root%s", m.Pid(), path)
}

// mounted says whether something is mounted at the path, as the machine sees it (proc_pid_mountinfo(5)).
func mounted(m *machine.Machine, path string) (bool, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", m.Pid()))
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(raw)) {
		if fields := strings.Fields(line); len(fields) > 4 && unescape(fields[4]) == path {
			return true, nil
		}
	}
	return false, nil
}

// unescape undoes mountinfo's octal escapes of blanks and backslashes.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
