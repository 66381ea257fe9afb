package proof

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/fleet"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/verb"
)

// remains looks for what Slipway's account has left that is in no layer: processes, and files in memory.
func (p *Proof) remains(ctx context.Context, out *verb.Proof) error {
	for _, h := range fleet.Hosts() {
		m, err := p.source.Fleet.Machine(h.Name)
		if err != nil {
			return err
		}
		processes, err := processesOf(m, fleet.SlipwayUID)
		if err != nil {
			return err
		}
		for _, name := range processes {
			out.Findings = append(out.Findings, verb.Finding{Where: h.Name, What: "slipway's process still runs: " + name})
		}
		files, err := m.Output(ctx, "find", "/run", "/dev/shm", "-xdev", "-user", strconv.Itoa(fleet.SlipwayUID))
		if err != nil {
			return err
		}
		for _, name := range strings.Fields(string(files)) {
			out.Findings = append(out.Findings, verb.Finding{Where: h.Name, What: "slipway's own file: " + name})
		}
	}
	return nil
}

// processesOf lists an account's processes in a machine, but for those of a login that is just ending.
func processesOf(m *machine.Machine, uid int) ([]string, error) {
	space, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", m.Pid()))
	if err != nil {
		return nil, err
	}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, dir := range dirs {
		// Processes come and go: one that can't be read any more has gone.
		if in, err := os.Readlink(dir + "/ns/pid"); err != nil || in != space {
			continue
		}
		status, err := os.ReadFile(dir + "/status")
		if err != nil || !strings.Contains(string(status), fmt.Sprintf("\nUid:\t%d\t", uid)) {
			continue
		}
		name, err := os.ReadFile(dir + "/cmdline")
		if err != nil {
			continue
		}
		command := strings.TrimSpace(string(bytes.ReplaceAll(name, []byte{0}, []byte{' '})))
		if strings.HasPrefix(command, "sshd: ") {
			continue // a connection that is open is no change; it is counted as a login
		}
		out = append(out, command)
	}
	return out, nil
}

// journals counts logins and checks commands: what an account did through sudo, and whether it was let.
func (p *Proof) journals(ctx context.Context, out *verb.Proof) error {
	since := "@" + strconv.FormatInt(p.began.Unix(), 10)
	for _, h := range fleet.Hosts() {
		m, err := p.source.Fleet.Machine(h.Name)
		if err != nil {
			return err
		}
		raw, err := m.Output(ctx, "journalctl", "-q", "--no-pager", "-o", "json", "--since", since, "SYSLOG_IDENTIFIER=sudo", "SYSLOG_IDENTIFIER=sshd", "SYSLOG_IDENTIFIER=su",
			"SYSLOG_IDENTIFIER=crontab", "SYSLOG_IDENTIFIER=sshd-session")
		if err != nil {
			return err
		}
		lines, err := messages(raw)
		if err != nil {
			return fmt.Errorf("journal of %s: %w", h.Name, err)
		}
		for _, l := range lines {
			judge(h.Name, l, out)
		}
	}
	slices.Sort(out.Commands)
	out.Commands = slices.Compact(out.Commands)
	return nil
}

// message is a journal entry, as journalctl(1) writes it in JSON.
type message struct {
	Identifier string `json:"SYSLOG_IDENTIFIER"`
	Text       any    `json:"MESSAGE"` // an array of bytes where it isn't UTF-8
}

func messages(raw []byte) ([]message, error) {
	var out []message
	scan := bufio.NewScanner(bytes.NewReader(raw))
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		var m message
		if err := json.Unmarshal(scan.Bytes(), &m); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, scan.Err()
}

// allowed is what Slipway's account may do as root: the sudoers file of the files hosts, read again here so that a wider file would show.
var allowed = regexp.MustCompile(`^/usr/sbin/gluster (volume info \S.*|volume status \S.*|volume heal \S+ info\b.*|peer status|pool list)$`)

// judge takes one line of a journal into account.
func judge(host string, m message, out *verb.Proof) {
	text, ok := m.Text.(string)
	if !ok {
		out.Findings = append(out.Findings, verb.Finding{Where: host, What: m.Identifier + " wrote a line that isn't text"})
		return
	}
	switch {
	case strings.HasPrefix(m.Identifier, "sshd"):
		if strings.HasPrefix(text, "Accepted ") && strings.Contains(text, " for "+fleet.SlipwayUser+" from ") {
			out.Logins++
		}
	case m.Identifier == "sudo" && strings.HasPrefix(strings.TrimSpace(text), fleet.SlipwayUser+" : "):
		_, command, found := strings.Cut(text, "COMMAND=")
		if !found || strings.Contains(text, "not allowed") || strings.Contains(text, "password is required") || !allowed.MatchString(command) {
			out.Findings = append(out.Findings, verb.Finding{Where: host, What: "slipway through sudo: " + strings.TrimSpace(text)})
			return
		}
		out.Commands = append(out.Commands, command)
	case (m.Identifier == "su" || m.Identifier == "crontab") && strings.Contains(text, fleet.SlipwayUser):
		out.Findings = append(out.Findings, verb.Finding{Where: host, What: m.Identifier + ": " + text})
	}
}
