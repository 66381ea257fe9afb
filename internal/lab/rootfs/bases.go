package rootfs

import "github.com/slipway-dev/slipway/internal/lab/machine"

// The bases. BookwormHost and BullseyeHost boot with systemd and sshd; Bookworm and SidPlain are for machines with a first process of their own. All have
// tini, ip, ps and curl.
var (
	Base         = Layer{Name: "base", Suite: Bookworm, Packages: hostPackages}
	BaseBullseye = Layer{Name: "base", Suite: Bullseye, Packages: hostPackages}
	BaseSid      = Layer{Name: "plain", Suite: Sid, Packages: plainPackages}

	// BookwormHost and BullseyeHost are what hosts' role layers lie on.
	BookwormHost = Layer{Name: "host", Suite: Bookworm, On: &Base, Files: hostFiles, Setup: hostSetup}
	BullseyeHost = Layer{Name: "host", Suite: Bullseye, On: &BaseBullseye, Files: hostFiles, Setup: hostSetup}
)

var plainPackages = []string{"tini", "iproute2", "procps", "curl", "ca-certificates", "netbase", "tzdata"}

var hostPackages = append([]string{"systemd-sysv", "dbus", "openssh-server", "nftables", "iputils-ping", "rsync", "sudo", "less", "acl", "attr", "logrotate"},
	plainPackages...)

// hostSetup removes what the packages made once and every host must have of its own.
var hostSetup = [][]string{
	{"/bin/sh", "-c", "rm -f /etc/ssh/ssh_host_*; : > /etc/machine-id"},
}

// masked are units that have nothing to do in a machine without hardware, console or network configuration of its own.
var masked = []string{
	"apt-daily.timer", "apt-daily-upgrade.timer", "console-getty.service", "dev-hugepages.mount", "dev-mqueue.mount", "dpkg-db-backup.timer",
	"e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer", "getty.target", "sys-fs-fuse-connections.mount", "sys-kernel-config.mount",
	"sys-kernel-debug.mount", "sys-kernel-tracing.mount", "systemd-firstboot.service", "systemd-logind.service", "systemd-networkd.service",
	"systemd-resolved.service", "systemd-timesyncd.service", "systemd-udev-trigger.service", "systemd-udevd.service",
}

var hostFiles = func() []machine.File {
	files := []machine.File{
		machine.Symlink("/etc/systemd/system/default.target", "/lib/systemd/system/multi-user.target"),
		machine.Text("/etc/ssh/sshd_config.d/10-lab.conf", "HostKey /etc/ssh/ssh_host_ed25519_key\nUseDNS no\n"),
		machine.Text("/etc/systemd/journald.conf.d/10-lab.conf", "[Journal]\nStorage=persistent\nSystemMaxUse=32M\n"),
		// No name server: hosts know each other from /etc/hosts. A resolver that recurses makes `gluster peer probe` take 24 s instead of 1 s.
		machine.Text("/etc/resolv.conf", ""),
	}
	for _, unit := range masked {
		files = append(files, machine.Symlink("/etc/systemd/system/"+unit, "/dev/null"))
	}
	return files
}()
