package kubernetes

import (
	"fmt"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/machine"
)

// showKernelDefaults makes files with what a kubelet wants to find in /proc/sys, and returns how the machine sees them there.
func showKernelDefaults(dir string) ([]machine.Bind, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var binds []machine.Bind
	for _, s := range kernelDefaults {
		at := filepath.Join(dir, strings.ReplaceAll(s.Key, "/", "."))
		if err := os.WriteFile(at, []byte(s.Value+"\n"), 0o444); err != nil {
			return nil, err
		}
		binds = append(binds, machine.Bind{Source: at, Target: path.Join("/proc/sys", s.Key), ReadOnly: true})
	}
	return binds, nil
}

// capSysResource is CAP_SYS_RESOURCE's bit (linux/capability.h).
const capSysResource = 24

// mayNotLowerScores says whether this process lacks CAP_SYS_RESOURCE, as root of some virtual machines does. Then runc fails to start containers whose
// oom score is lower than its own, unless containerd is told to clamp it.
func mayNotLowerScores() (bool, error) {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(line, "CapEff:"); ok {
			caps, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			return caps&(1<<capSysResource) == 0, err
		}
	}
	return false, fmt.Errorf("/proc/self/status has no CapEff")
}

func resolvConf(resolver netip.Addr) machine.File {
	return machine.Text("/etc/resolv.conf", fmt.Sprintf("nameserver %s\n", resolver))
}
