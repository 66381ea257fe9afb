package daemon

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/lab/place"
)

// Hold takes the lab's lock: whoever has it may change the lab's state. It ends with unlock or with the process.
func Hold(p place.Place) (unlock func(), err error) {
	if err := os.MkdirAll(p.State, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(p.Lock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrHeld
		}
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// limits are settings of the whole computer that a lab needs raised. They stay raised: other labs may be up.
var limits = []struct {
	key  string
	want int
	why  string
}{
	{"fs/inotify/max_user_instances", 4096, "every systemd host uses six"},
	{"fs/inotify/max_user_watches", 262144, "kubelets and systemd watch files"},
	{"fs/aio-max-nr", 1048576, "every MariaDB and MySQL server reserves thousands"},
}

func raiseLimits() error {
	for _, l := range limits {
		file := "/proc/sys/" + l.key
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		have, err := strconv.Atoi(strings.TrimSpace(string(raw)))
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if have >= l.want {
			continue
		}
		if err := os.WriteFile(file, []byte(strconv.Itoa(l.want)), 0o644); err != nil {
			return fmt.Errorf("raise %s from %d to %d (%s): %w", l.key, have, l.want, l.why, err)
		}
	}
	return nil
}
