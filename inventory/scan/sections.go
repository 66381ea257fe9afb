package scan

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/internal/remote"
)

// ErrAnswer is an answer that isn't in the form of facts.sh and gluster.sh: cut off, or mixed with what a login script
// prints. Look at what the host prints at a login: it must be nothing.
var ErrAnswer = errors.New("answer of the host is not readable")

// section is what one command printed.
type section struct {
	text   string
	status int
	stderr string
}

// sections is a whole answer.
type sections map[string]section

// parseSections reads "@NAME STATUS LENGTH\n", LENGTH bytes, "\n", and so on until the section end. Without that one the
// answer is cut off, and nothing of it is believed.
func parseSections(stdout, stderr []byte) (sections, error) {
	out, said := sections{}, splitStderr(stderr)
	rest := stdout
	for {
		line, after, ok := bytes.Cut(rest, []byte("\n"))
		if !ok {
			return nil, fmt.Errorf("%w: it is cut off after %d bytes", ErrAnswer, len(stdout)-len(rest))
		}
		fields := strings.Split(string(line), " ")
		if len(fields) != 3 || !strings.HasPrefix(fields[0], "@") {
			return nil, fmt.Errorf("%w: %q where a section should begin", ErrAnswer, remote.Printable(string(line), 80))
		}
		status, err1 := strconv.Atoi(fields[1])
		length, err2 := strconv.Atoi(fields[2])
		if err1 != nil || err2 != nil || length < 0 || length >= len(after) || after[length] != '\n' {
			return nil, fmt.Errorf("%w: section %s does not have the length that it says", ErrAnswer, remote.Printable(fields[0], 40))
		}
		name := fields[0][1:]
		if _, again := out[name]; again {
			return nil, fmt.Errorf("%w: section %s is there twice", ErrAnswer, remote.Printable(name, 40))
		}
		out[name] = section{string(after[:length]), status, said[name]}
		rest = after[length+1:]
		if name == "end" {
			if len(rest) > 0 {
				return nil, fmt.Errorf("%w: there is more after its end", ErrAnswer)
			}
			return out, nil
		}
	}
}

func splitStderr(b []byte) map[string]string {
	out, name := map[string]string{}, ""
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "@"); ok && !strings.Contains(n, " ") {
			name = n
			continue
		}
		out[name] += line
	}
	return out
}

// why says in one line why a section is of no use.
func (s section) why() string {
	said := strings.TrimSpace(s.stderr)
	if said == "" {
		said = strings.TrimSpace(s.text)
	}
	lines := strings.Split(said, "\n")
	said = remote.Printable(lines[len(lines)-1], 200)
	switch {
	case s.status == 124 || s.status == 137:
		return "it took too long and was ended"
	case said == "":
		return fmt.Sprintf("it failed with status %d", s.status)
	}
	return said
}
