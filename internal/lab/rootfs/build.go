package rootfs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/progress"
)

// buildLimit bounds one layer on a slow mirror.
const buildLimit = 20 * time.Minute

func (s *Store) build(ctx context.Context, l Layer, dir string, below []string, task *progress.Task) error {
	ctx, cancel := context.WithTimeout(ctx, buildLimit)
	defer cancel()
	log, err := os.Create(filepath.Join(s.dir, "logs", l.dirName()+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	if l.On == nil {
		err = s.buildBase(ctx, l, dir, log, task)
	} else {
		err = s.buildOn(ctx, l, dir, below, log, task)
	}
	if err != nil {
		return fmt.Errorf("%w\nthe whole log is %s, its end:\n%s", err, log.Name(), lastLines(log.Name(), 8))
	}
	return nil
}

// policy keeps packages from starting their daemons while they are installed (Debian's invoke-rc.d asks it; 101 means no).
const policy = "#!/bin/sh\nexit 101\n"

// excluded is documentation, which nothing in the lab reads.
var excluded = []string{"/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"}

func (s *Store) buildBase(ctx context.Context, l Layer, dir string, log *os.File, task *progress.Task) error {
	apt, err := s.apt()
	if err != nil {
		return err
	}
	tool, err := s.mmdebstrap(ctx)
	if err != nil {
		return err
	}
	args := []string{"--mode=root", "--variant=minbase", "--include=" + strings.Join(l.Packages, ","), "--skip=check/qemu,cleanup/apt/lists",
		"--dpkgopt=force-unsafe-io", "--dpkgopt=path-include=/usr/share/doc/*/copyright"}
	for _, x := range excluded {
		args = append(args, "--dpkgopt=path-exclude="+x)
	}
	for _, option := range apt.options {
		key, value, _ := strings.Cut(option, "=")
		args = append(args, fmt.Sprintf("--aptopt=%s %q", key, value))
	}
	args = append(args,
		`--essential-hook=printf '#!/bin/sh\nexit 101\n' > "$1/usr/sbin/policy-rc.d"; chmod 755 "$1/usr/sbin/policy-rc.d"`,
		`--customize-hook=rm -f "$1/usr/sbin/policy-rc.d" "$1/etc/apt/apt.conf.d/99mmdebstrap" "$1"/etc/ssh/ssh_host_* "$1/etc/resolv.conf" "$1/etc/hostname"`,
		string(l.Suite), dir, "-")
	// In namespaces of their own, so that nothing of it stays mounted or running when it is killed.
	cmd := exec.CommandContext(ctx, "unshare", append([]string{"--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "--", tool}, args...)...)
	cmd.Stdin = strings.NewReader(apt.sources(l.Suite))
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PATH="+filepath.Dir(tool)+":"+os.Getenv("PATH")) // it calls helpers that lie beside it
	cmd.WaitDelay = 10 * time.Second
	said, tell := io.Pipe()
	cmd.Stdout, cmd.Stderr = log, tell
	told := make(chan error, 1)
	go func() { told <- followMmdebstrap(io.TeeReader(said, log), task) }()
	if err := s.launcher.StartProcess(cmd); err != nil {
		return errors.Join(err, tell.Close(), <-told)
	}
	err = cmd.Wait()
	if err = errors.Join(err, tell.Close(), <-told); err != nil {
		return fmt.Errorf("mmdebstrap: %w", err)
	}
	// What apt knows of the mirror is kept aside for the layers on this base.
	lists := filepath.Join(s.dir, "lists", l.dirName())
	if err := os.RemoveAll(lists); err != nil {
		return err
	}
	inTree := filepath.Join(dir, "var/lib/apt/lists")
	if err := os.Rename(inTree, lists); err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(inTree, 0o755), os.MkdirAll(filepath.Join(lists, "partial"), 0o755))
}

// followMmdebstrap turns its informational lines ("I: installing essential packages...") into progress.
func followMmdebstrap(r io.Reader, task *progress.Task) error {
	scan := bufio.NewScanner(r)
	for scan.Scan() {
		if note, ok := strings.CutPrefix(scan.Text(), "I: "); ok && !strings.Contains(note, "-hook in shell") {
			task.At(strings.TrimSuffix(note, "..."), 0, 0)
		}
	}
	return scan.Err()
}

// mmdebstrap finds the program, or unpacks it into the cache from its package.
func (s *Store) mmdebstrap(ctx context.Context) (string, error) {
	if found, err := exec.LookPath("mmdebstrap"); err == nil {
		return found, nil
	}
	unlock, err := Lock(ctx, filepath.Join(s.dir, "locks", "mmdebstrap"), s.report, "mmdebstrap: it is being unpacked")
	if err != nil {
		return "", err
	}
	defer unlock()
	tools := filepath.Join(s.dir, "tools")
	tool := filepath.Join(tools, "usr/bin/mmdebstrap")
	if there, err := exists(tool); there || err != nil {
		return tool, err
	}
	task := progress.Begin(s.report, "unpack mmdebstrap")
	defer task.End()
	down := filepath.Join(s.dir, "building", "mmdebstrap")
	if err := errors.Join(os.RemoveAll(down), os.MkdirAll(down, 0o777)); err != nil {
		return "", err
	}
	defer os.RemoveAll(down)
	download := func() error {
		cmd := exec.CommandContext(ctx, "apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", "mmdebstrap")
		cmd.Dir = down
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get download mmdebstrap: %w: %s", err, bytes.TrimSpace(out))
		}
		return nil
	}
	if err := download(); err != nil {
		task.At("apt-get update", 0, 0) // the lists of this computer are missing or old
		if _, err := run(ctx, "apt-get", "-q", "update"); err != nil {
			return "", err
		}
		if err := download(); err != nil {
			return "", err
		}
	}
	debs, err := filepath.Glob(filepath.Join(down, "mmdebstrap_*.deb"))
	if err != nil || len(debs) != 1 {
		return "", fmt.Errorf("apt-get download mmdebstrap left %d packages: %w", len(debs), err)
	}
	if _, err := run(ctx, "dpkg", "-x", debs[0], tools); err != nil {
		return "", err
	}
	if _, err := run(ctx, "perl", "-c", tool); err != nil {
		return "", errors.Join(fmt.Errorf("mmdebstrap needs the whole of perl: apt-get install perl: %w", err), os.RemoveAll(tools))
	}
	return tool, nil
}

func (s *Store) buildOn(ctx context.Context, l Layer, dir string, below []string, log *os.File, task *progress.Task) (err error) {
	if len(l.Packages) > 0 {
		if err := s.install(ctx, l, dir, below, log, task); err != nil {
			return err
		}
		if err := tidy(dir); err != nil {
			return err
		}
	}
	if len(l.Files) == 0 && len(l.Setup) == 0 {
		return os.MkdirAll(dir, 0o755)
	}
	m, err := s.launcher.Start(ctx, machine.Spec{Name: buildName(l), Lower: below, Upper: dir, Argv: machine.Idle(), HostNetwork: true, Volatile: true, Files: l.Files})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Remove(context.WithoutCancel(ctx))) }()
	for _, argv := range l.Setup {
		task.At(argv[0], 0, 0)
		if err := m.Run(ctx, machine.Cmd{Argv: argv, Stdout: log, Stderr: log}); err != nil {
			return err
		}
	}
	return err
}

func buildName(l Layer) string { return "build-" + string(l.Suite) + "-" + l.Name + "-" + l.Key()[:6] }

// install runs apt-get in a machine whose writable layer is dir.
func (s *Store) install(ctx context.Context, l Layer, dir string, below []string, log *os.File, task *progress.Task) (err error) {
	apt, err := s.apt()
	if err != nil {
		return err
	}
	spec := machine.Spec{Name: buildName(l), Lower: below, Upper: dir, Argv: machine.Idle(), HostNetwork: true, Volatile: true,
		Files: []machine.File{{Path: "/usr/sbin/policy-rc.d", Mode: 0o755, Content: []byte(policy)}},
		Binds: []machine.Bind{{Source: "/etc/resolv.conf", Target: "/etc/resolv.conf", ReadOnly: true},
			{Source: filepath.Join(s.dir, "lists", l.base().dirName()), Target: "/var/lib/apt/lists"}}}
	m, err := s.launcher.Start(ctx, spec)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Remove(context.WithoutCancel(ctx))) }()
	options := []string{"-q", "-y", "--no-install-recommends", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "-o", "APT::Sandbox::User=root"}
	for _, option := range apt.options {
		options = append(options, "-o", option)
	}
	get := func(args ...string) error {
		statusR, statusW, err := os.Pipe()
		if err != nil {
			return err
		}
		followed := make(chan error, 1)
		go func() { followed <- followApt(statusR, task) }()
		err = m.Run(ctx, machine.Cmd{Argv: append(append([]string{"apt-get"}, options...), args...), Env: append(proxyEnv(), "DEBIAN_FRONTEND=noninteractive"),
			Stdout: log, Stderr: log, Files: []*os.File{statusW}})
		return errors.Join(err, statusW.Close(), <-followed, statusR.Close())
	}
	install := append([]string{"-o", "APT::Status-Fd=3", "install"}, l.Packages...)
	if err := get(install...); err == nil || ctx.Err() != nil {
		return err
	}
	// The lists are as old as the base; the mirror may have moved on since.
	task.At("apt-get update", 0, 0)
	if err := get("update"); err != nil {
		return err
	}
	return get(install...)
}

// followApt reads apt's machine-readable status ("pmstatus:package:percent:text", README.progress-reporting in apt).
func followApt(r io.Reader, task *progress.Task) error {
	scan := bufio.NewScanner(r)
	for scan.Scan() {
		fields := strings.SplitN(scan.Text(), ":", 4)
		if len(fields) < 4 || fields[0] != "pmstatus" && fields[0] != "dlstatus" {
			continue
		}
		if percent, err := strconv.ParseFloat(fields[2], 64); err == nil {
			task.At(strings.ToLower(fields[3]), int64(percent), 100)
		}
	}
	return scan.Err()
}

// proxyEnv hands this computer's proxy settings on.
func proxyEnv() []string {
	var env []string
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy"} {
		if value := os.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// tidy takes out of a writable layer what was there for the installation alone.
func tidy(upper string) error {
	for _, rel := range []string{"usr/sbin/policy-rc.d", "etc/resolv.conf", "var/lib/apt/lists", "var/log/apt", "var/log/dpkg.log", "var/log/alternatives.log",
		"var/cache/apt", "run", "tmp", "sys", "proc", "dev"} {
		if err := os.RemoveAll(filepath.Join(upper, rel)); err != nil {
			return err
		}
	}
	keys, err := filepath.Glob(filepath.Join(upper, "etc/ssh/ssh_host_*"))
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := os.Remove(key); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func lastLines(file string, n int) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
