package disk

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// during does one thing over and over while another is done over and over, for half a second.
func during(t *testing.T, one, other func()) {
	t.Helper()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				one()
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	for until := time.Now().Add(500 * time.Millisecond); time.Now().Before(until); {
		other()
	}
}

// sent is a member for a stream made by hand.
type sent struct {
	tree.Member
	at    int64 // where data begins
	data  string
	state tree.State // Stable where it isn't set
	sum   string     // of this, where it is set
}

func file(p tree.Path, data string) sent {
	return sent{Member: tree.Member{Stat: tree.Stat{Path: p, Kind: tree.File, Size: int64(len(data)), Mode: 0o644, MTime: tree.Time{Sec: 1_700_000_000, Nsec: 5}}}, data: data}
}

func entry(p tree.Path, k tree.Kind) sent {
	return sent{Member: tree.Member{Stat: tree.Stat{Path: p, Kind: k, Mode: 0o777, Link: "to", MTime: tree.Time{Sec: 1_700_000_000}}}}
}

func further(p, of tree.Path, data string) sent {
	s := file(p, data)
	s.SameAs, s.data = of, ""
	return s
}

// stream is what a source would send.
func stream(t testing.TB, all ...sent) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tree.NewStreamWriter(&b)
	for _, s := range all {
		must(t, w.Begin(&s.Member))
		for at := 0; at < len(s.data); at += tree.MaxData {
			must(t, w.Data(s.at+int64(at), []byte(s.data[at:min(at+tree.MaxData, len(s.data))])))
		}
		end := tree.End{State: s.state}
		if end.State == 0 {
			end.State = tree.Stable
		}
		if s.sum == "" {
			s.sum = string(make([]byte, s.at)) + s.data + string(make([]byte, max(0, s.Size-s.at-int64(len(s.data)))))
		}
		if end.State == tree.Stable && s.Kind == tree.File {
			end.Sum = sha256.Sum256([]byte(s.sum))
		}
		must(t, w.End(&end))
	}
	must(t, w.Close())
	return &b
}

func write(t testing.TB, d *Disk, in io.Reader) (told []tree.Written, err error) {
	t.Helper()
	err = d.Write(t.Context(), in, func(w tree.Written) error { told = append(told, w); return nil })
	return told, err
}

// leftovers are the names of what is half made.
func leftovers(t testing.TB, d *Disk) (out []string) {
	t.Helper()
	names, err := d.names("")
	must(t, err)
	for _, n := range names {
		if temporary(tree.Path(n)) {
			out = append(out, n)
		}
	}
	return out
}

// mounted is a file system of its own that nobody else sees and that goes with its descriptor.
func mounted(t testing.TB, fs string, options ...string) (root string) {
	t.Helper()
	conf, err := unix.Fsopen(fs, unix.FSOPEN_CLOEXEC)
	must(t, err)
	defer unix.Close(conf)
	for i := 0; i < len(options); i += 2 {
		must(t, unix.FsconfigSetString(conf, options[i], options[i+1]))
	}
	must(t, unix.FsconfigCreate(conf))
	fd, err := unix.Fsmount(conf, unix.FSMOUNT_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fmt.Sprintf("/proc/self/fd/%d/.", fd)
}

// withMount opens a tree as a thread sees it that has mounted a file system at a directory. No other sees the mount.
func withMount(t testing.TB, root, at string) *Disk {
	t.Helper()
	type opened struct {
		d   *Disk
		err error
	}
	got, end := make(chan opened), make(chan struct{})
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this, and its mounts
		var d *Disk
		err := errors.Join(unix.Unshare(unix.CLONE_NEWNS|unix.CLONE_FS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("none", at, "tmpfs", 0, ""))
		if err == nil {
			d, err = Open(root, Options{})
		}
		if err == nil {
			err = os.WriteFile(at+"/below", nil, 0o600)
		}
		got <- opened{d, err}
		<-end
	}()
	o := <-got
	t.Cleanup(func() { close(end) })
	must(t, o.err)
	t.Cleanup(func() { o.d.Close() })
	return o.d
}
