package rootfs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Debian's own mirrors, where this computer's apt names none for its release.
const (
	debianMirror   = "http://deb.debian.org/debian"
	securityMirror = "http://deb.debian.org/debian-security"
)

// aptSettings is what this computer's apt says about where packages come from and how they are fetched.
type aptSettings struct {
	mirror, security string
	options          []string // "Acquire::http::Proxy=…"
}

func readApt(ctx context.Context) (aptSettings, error) {
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return aptSettings{}, err
	}
	targets, err := run(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI)|$(RELEASE)", "Created-By: Packages")
	if err != nil {
		return aptSettings{}, fmt.Errorf("the lab is built from Debian packages and needs apt: %w", err)
	}
	dump, err := run(ctx, "apt-config", "dump")
	if err != nil {
		return aptSettings{}, err
	}
	return parseApt(osReleaseField(string(release), "VERSION_CODENAME"), targets, dump), nil
}

// parseApt picks the mirrors of this computer's own release, and the settings of the transport.
func parseApt(codename, targets, dump string) aptSettings {
	s := aptSettings{mirror: debianMirror, security: securityMirror}
	for line := range strings.Lines(targets) {
		uri, suite, _ := strings.Cut(strings.TrimSpace(line), "|")
		switch suite {
		case codename:
			s.mirror = strings.TrimSuffix(uri, "/")
		case codename + "-security":
			s.security = strings.TrimSuffix(uri, "/")
		}
	}
	for line := range strings.Lines(dump) {
		key, value, ok := strings.Cut(strings.TrimSuffix(strings.TrimSpace(line), ";"), " ")
		value = strings.Trim(value, `"`)
		if !ok || value == "" || strings.HasSuffix(key, "::") {
			continue
		}
		for _, prefix := range []string{"Acquire::http", "Acquire::https", "Acquire::Retries", "Acquire::Check-", "Acquire::Force"} {
			if strings.HasPrefix(key, prefix) {
				s.options = append(s.options, key+"="+value)
				break
			}
		}
	}
	// Lists of a release that has ended are past their date, and a lab has no use for the warning.
	s.options = append(s.options, "Acquire::Check-Valid-Until=false", "Acquire::Languages=none", "APT::Update::Error-Mode=any")
	return s
}

func osReleaseField(content, key string) string {
	for line := range strings.Lines(content) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// sources are the lines of a suite's sources.list.
func (s aptSettings) sources(suite Suite) string {
	lines := fmt.Sprintf("deb %s %s main\n", s.mirror, suite)
	if suite != Sid {
		lines += fmt.Sprintf("deb %s %s-security main\n", s.security, suite)
	}
	return lines
}

func run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return string(out), nil
}
