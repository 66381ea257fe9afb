package agent

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Hello is what an agent is told first.
type Hello struct {
	Root     string
	ReadOnly bool   // it refuses whatever would write
	Gentle   bool   // it gives way to other programs: processor and disk
	Rate     int64  // bytes a second that it reads from files at most; 0: as fast as it goes
	Volume   string // not "": Root is a directory of this Gluster volume of the agent's host, "/" for all of it
	Brick    string // not "": Root is a directory below this root of a Gluster brick, and files are read with brick.ReadBrick and hashed with its HashBrick
}

// Identity tells a directory from others of the same machine.
type Identity struct{ Device, Inode uint64 }

const greeting = "\nslipway-agent/"

// greet is the agent's first word.
func greet(pid int, build string) string {
	return fmt.Sprintf("%s%d %d %s\n", greeting, Version, pid, strings.Join(strings.Fields(build), "_"))
}

// mostNoise is how many bytes may come before the greeting: what the login shell's files print.
const mostNoise = 64 << 10

// readGreeting passes over what comes before it.
func readGreeting(r *bufio.Reader) (pid int, err error) {
	line := "\n"
	for n := 0; ; {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		if n++; n > mostNoise {
			return 0, fmt.Errorf("%w: no greeting within the first %d bytes", ErrProtocol, mostNoise)
		}
		if b != '\n' {
			line += string(b)
			if len(line) > 256 { // no line of ours
				line = ""
			}
			continue
		}
		if rest, ok := strings.CutPrefix(line, greeting); ok {
			return parseGreeting(rest)
		}
		line = "\n"
	}
}

func parseGreeting(s string) (pid int, err error) {
	var version int
	var build string
	if _, err := fmt.Sscanf(s, "%d %d %s", &version, &pid, &build); err != nil {
		return 0, fmt.Errorf("%w: its greeting is %q", ErrProtocol, s)
	}
	if version != Version {
		return 0, fmt.Errorf("the agent (build %s) speaks version %d and this program version %d: %w", build, version, Version, ErrVersion)
	}
	return pid, nil
}

// ErrVersion: the agent isn't of this program's build. Build both anew.
var ErrVersion = errors.New("slipway and slipway-agent are of different versions; type: make build")

// encode is the flags, the rate, and the three texts with a NUL between them.
func (h *Hello) encode() []byte {
	var flags byte
	if h.ReadOnly {
		flags |= 1
	}
	if h.Gentle {
		flags |= 2
	}
	return append(binary.AppendVarint([]byte{flags}, h.Rate), strings.Join([]string{h.Root, h.Volume, h.Brick}, "\x00")...)
}

func decodeHello(b []byte) (h Hello, err error) {
	if len(b) == 0 {
		return h, fmt.Errorf("%w: hello", ErrProtocol)
	}
	rate, n := binary.Varint(b[1:])
	texts := strings.Split(string(b[min(len(b), 1+max(n, 0)):]), "\x00")
	if n <= 0 || len(texts) != 3 {
		return h, fmt.Errorf("%w: hello", ErrProtocol)
	}
	return Hello{Root: texts[0], ReadOnly: b[0]&1 != 0, Gentle: b[0]&2 != 0, Rate: rate, Volume: texts[1], Brick: texts[2]}, nil
}

func (id Identity) encode() []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, id.Device), id.Inode)
}

func decodeIdentity(b []byte) (id Identity, err error) {
	for _, v := range []*uint64{&id.Device, &id.Inode} {
		x, n := binary.Uvarint(b)
		if n <= 0 {
			return id, fmt.Errorf("%w: its welcome", ErrProtocol)
		}
		*v, b = x, b[n:]
	}
	return id, nil
}
