package scan

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// parseFacts reads an answer to remote.HostFacts. A section that the host could not answer is in Unread; one that it
// answered and that makes no sense is an error.
func parseFacts(stdout, stderr []byte) (*Facts, error) {
	all, err := parseSections(stdout, stderr)
	if err != nil {
		return nil, err
	}
	f := &Facts{}
	for _, p := range []struct {
		name  string
		parse func(string, *Facts) error
	}{
		{"identity", parseIdentity}, {"os", parseOS}, {"packages", parsePackages}, {"listeners", parseListeners}, {"units", parseUnits},
		{"mounts", parseMounts}, {"sizes", parseSizes}, {"addresses", parseAddresses}, {"versions", parseVersions}, {"settings", parseSettings}, {"redis", parseRedisList},
	} {
		s, ok := all[p.name]
		if !ok {
			return nil, fmt.Errorf("%w: section %s is missing", ErrAnswer, p.name)
		}
		if s.status != 0 {
			f.Unread = append(f.Unread, Unread{p.name, s.why()})
			// df gives what it could read of the others when one file system fails.
			if p.name != "sizes" {
				continue
			}
		}
		if err := p.parse(s.text, f); err != nil {
			return nil, fmt.Errorf("%w: section %s: %v", ErrAnswer, p.name, err)
		}
	}
	return f, nil
}

// rows gives the fields of every line that isn't blank.
func rows(text string) func(yield func(line string, fields []string) bool) {
	return func(yield func(string, []string) bool) {
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if fields := strings.Fields(line); len(fields) > 0 && !yield(line, fields) {
				return
			}
		}
	}
}

func odd(line string) error { return fmt.Errorf("line %q is not understood", cut(line, 100)) }

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n] + "..."
	}
	return s
}

func parseIdentity(text string, f *Facts) error {
	for line := range rows(text) {
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			if key, value, ok = strings.Cut(line, ":"); !ok {
				return odd(line)
			}
		}
		var err error
		switch key {
		case "hostname":
			f.Hostname = value
		case "user":
			f.User = value
		case "kernel":
			f.Kernel = value
		case "machine":
			f.Machine = value
		case "machine_id":
			f.MachineID = value
		case "timezone":
			f.TimeZone = value
		case "cpus":
			f.CPUs, err = strconv.Atoi(value)
		case "MemTotal":
			f.Memory.Total, err = kibibytes(value)
		case "MemAvailable":
			f.Memory.Available, err = kibibytes(value)
		case "SwapTotal":
			f.Memory.Swap, err = kibibytes(value)
		default:
			return odd(line)
		}
		if err != nil {
			return odd(line)
		}
	}
	if f.Hostname == "" || f.Kernel == "" || f.CPUs < 1 || f.Memory.Total < 1 {
		return fmt.Errorf("hostname, kernel, cpus or memory is missing")
	}
	return nil
}

func kibibytes(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 1<<50 {
		return 0, fmt.Errorf("%q is not a size", s)
	}
	return n << 10, nil
}

// parseOS reads os-release(5): assignments that a shell could read.
func parseOS(text string, f *Facts) error {
	for line := range rows(text) {
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		if len(value) > 1 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
			value = value[1 : len(value)-1]
		}
		switch key {
		case "ID":
			f.OS.ID = value
		case "VERSION_ID":
			f.OS.Version = value
		case "PRETTY_NAME":
			f.OS.Name = value
		}
	}
	if f.OS.ID == "" {
		return fmt.Errorf("there is no ID in it")
	}
	return nil
}

// parsePackages reads dpkg-query's "STATUS\tNAME\tVERSION". Those that are not installed (removed, half-way) are left out,
// as dpkg -l's first letters "ii" and "hi" (on hold) say it.
func parsePackages(text string, f *Facts) error {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		p := strings.Split(line, "\t")
		if len(p) != 3 || len(p[0]) < 2 || p[1] == "" {
			return odd(line)
		}
		if p[0][1] == 'i' {
			f.Packages = append(f.Packages, Package{p[1], p[2]})
		}
	}
	slices.SortFunc(f.Packages, func(a, b Package) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version)) })
	return nil
}

// parseListeners reads ss -Hltn: State Recv-Q Send-Q Local:Port Peer:Port. A local address may carry an interface
// (127.0.0.53%lo:53); * is all of both families.
func parseListeners(text string, f *Facts) error {
	for line, p := range rows(text) {
		if len(p) < 5 || p[0] != "LISTEN" {
			return odd(line)
		}
		i := strings.LastIndexByte(p[3], ':')
		if i < 0 {
			return odd(line)
		}
		port, err := strconv.ParseUint(p[3][i+1:], 10, 16)
		if err != nil {
			return odd(line)
		}
		host, _, _ := strings.Cut(strings.Trim(p[3][:i], "[]"), "%")
		host = strings.TrimSuffix(host, "]")
		addr := netip.IPv6Unspecified()
		if host != "*" {
			if addr, err = netip.ParseAddr(host); err != nil {
				return odd(line)
			}
		}
		f.Listeners = append(f.Listeners, Listener{addr, uint16(port)})
	}
	slices.SortFunc(f.Listeners, func(a, b Listener) int { return cmp.Or(cmp.Compare(a.Port, b.Port), a.Address.Compare(b.Address)) })
	f.Listeners = slices.Compact(f.Listeners) // SO_REUSEPORT: one socket a process
	return nil
}

// parseUnits reads systemctl list-units --plain: UNIT LOAD ACTIVE SUB DESCRIPTION. Older releases put a mark before units
// that failed. Units that are only mentioned by others (not-found) or masked are left out.
func parseUnits(text string, f *Facts) error {
	for line, p := range rows(text) {
		if p[0] == "●" || p[0] == "*" || p[0] == "×" {
			p = p[1:]
		}
		if len(p) < 4 || !strings.Contains(p[0], ".") {
			return odd(line)
		}
		if p[1] == "loaded" {
			f.Units = append(f.Units, Unit{p[0], p[2], p[3]})
		}
	}
	slices.SortFunc(f.Units, func(a, b Unit) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}

// kernelOwn are file systems that hold no files of anybody's.
var kernelOwn = map[string]bool{"proc": true, "sysfs": true, "devtmpfs": true, "devpts": true, "cgroup": true, "cgroup2": true, "mqueue": true, "hugetlbfs": true, "debugfs": true,
	"tracefs": true, "securityfs": true, "pstore": true, "efivarfs": true, "bpf": true, "configfs": true, "fusectl": true, "autofs": true, "binfmt_misc": true, "nsfs": true, "rpc_pipefs": true, "ramfs": true, "tmpfs": true}

// parseMounts reads mountinfo (proc(5)): ID parent dev root target options [optional...] - type source super-options.
func parseMounts(text string, f *Facts) error {
	for line, p := range rows(text) {
		dash := slices.Index(p, "-")
		if dash < 6 || len(p) < dash+3 {
			return odd(line)
		}
		if kernelOwn[p[dash+1]] {
			continue
		}
		f.Mounts = append(f.Mounts, Mount{Target: unescape(p[4]), Type: p[dash+1], Source: unescape(p[dash+2]), Options: p[5]})
	}
	slices.SortStableFunc(f.Mounts, func(a, b Mount) int { return cmp.Compare(a.Target, b.Target) })
	return nil
}

var octal = regexp.MustCompile(`\\[0-7]{3}`)

// unescape takes back what the kernel writes for space, tab, newline and backslash.
func unescape(s string) string {
	return octal.ReplaceAllStringFunc(s, func(m string) string {
		n, err := strconv.ParseUint(m[1:], 8, 8)
		if err != nil {
			return m
		}
		return string([]byte{byte(n)})
	})
}

// parseSizes reads df -P -B1 -T: Filesystem Type 1-blocks Used Available Capacity Mounted-on. A target may hold spaces.
func parseSizes(text string, f *Facts) error {
	for line, p := range rows(text) {
		if p[0] == "Filesystem" {
			continue
		}
		if len(p) < 7 {
			return odd(line)
		}
		var n [3]int64
		for i := range n {
			v, err := strconv.ParseInt(p[2+i], 10, 64)
			if err != nil && p[2+i] != "-" {
				return odd(line)
			}
			n[i] = v
		}
		if !kernelOwn[p[1]] {
			f.Disks = append(f.Disks, Disk{Target: strings.Join(p[6:], " "), Type: p[1], Source: p[0], Size: n[0], Used: n[1], Available: n[2]})
		}
	}
	slices.SortStableFunc(f.Disks, func(a, b Disk) int { return cmp.Compare(a.Target, b.Target) })
	return nil
}

// parseAddresses reads ip -o addr: "2: eth0    inet 10.0.0.1/24 brd ... scope global eth0\ ...". A point-to-point address
// has "peer". Link-local ones say nothing about a host and are left out.
func parseAddresses(text string, f *Facts) error {
	for line, p := range rows(text) {
		if len(p) < 4 || (p[2] != "inet" && p[2] != "inet6") {
			return odd(line)
		}
		at := p[3]
		if !strings.Contains(at, "/") {
			at += map[string]string{"inet": "/32", "inet6": "/128"}[p[2]]
		}
		prefix, err := netip.ParsePrefix(at)
		if err != nil {
			return odd(line)
		}
		if !prefix.Addr().IsLinkLocalUnicast() {
			f.Addresses = append(f.Addresses, Address{p[1], prefix})
		}
	}
	slices.SortFunc(f.Addresses, func(a, b Address) int {
		return cmp.Or(cmp.Compare(a.Interface, b.Interface), a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
	})
	return nil
}

// versionForm finds a version in what programs say: "HAProxy version 2.6.12-1+deb12u1 2023/12/16", "Apache/2.4.62 (Debian)",
// "Redis server v=7.0.15 sha=...", "(varnish-7.1.1 revision ...)".
var versionForm = regexp.MustCompile(`[0-9]+\.[0-9][0-9A-Za-z.+~-]*`)

// parseVersions reads facts.sh's "SERVICE\tLINE". supervisor has no cheap way to be asked: its package's version is taken.
func parseVersions(text string, f *Facts) error {
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		name, said, ok := strings.Cut(line, "\t")
		if !ok || name == "" {
			return odd(line)
		}
		v := versionForm.FindString(said)
		if v == "" {
			f.Unread = append(f.Unread, Unread{"version of " + name, cut(said, 100)})
			continue
		}
		if !seen[name+" "+v] { // two PHP versions are two services
			seen[name+" "+v] = true
			f.Services = append(f.Services, Service{name, v})
		}
	}
	for _, p := range f.Packages {
		if p.Name == "supervisor" {
			f.Services = append(f.Services, Service{"supervisor", p.Version})
		}
	}
	slices.SortFunc(f.Services, func(a, b Service) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version)) })
	return nil
}

var sumForm = regexp.MustCompile(`^([0-9a-f]{64})  (/.*)$`)

// parseSettings reads sha256sum's lines.
func parseSettings(text string, f *Facts) error {
	for line := range rows(text) {
		m := sumForm.FindStringSubmatch(line)
		if m == nil {
			return odd(line)
		}
		f.Settings = append(f.Settings, File{m[2], m[1]})
	}
	slices.SortFunc(f.Settings, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	return nil
}

// parseRedisList reads "ADDRESS PORT" for each server.
func parseRedisList(text string, f *Facts) error {
	for line, p := range rows(text) {
		if len(p) != 2 {
			return odd(line)
		}
		port, err := strconv.ParseUint(p[1], 10, 16)
		if err != nil || port == 0 {
			return odd(line)
		}
		addr := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if a, err := netip.ParseAddr(strings.Trim(p[0], "[]")); err == nil && !a.IsUnspecified() {
			addr = a
		} else if err == nil && a.Is6() {
			addr = netip.IPv6Loopback()
		}
		if !slices.ContainsFunc(f.Redis, func(r Redis) bool { return r.Port == uint16(port) }) {
			f.Redis = append(f.Redis, Redis{Port: uint16(port), address: addr})
		}
	}
	slices.SortFunc(f.Redis, func(a, b Redis) int { return cmp.Compare(a.Port, b.Port) })
	return nil
}
