package place

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/internal/treecopy/agent"
)

// ErrNoAgent: the agent's program doesn't lie where it should, or there is none for such a machine. Nothing was done.
var ErrNoAgent = errors.New("the agent's program is missing")

// ErrNoExec: no directory there may be written to and executed in. Nothing is left there.
var ErrNoExec = errors.New("none of $XDG_RUNTIME_DIR, /tmp, /var/tmp, $HOME and /dev/shm lets a program be put there and run: give the account a directory that does")

// The statuses of start.sh that another try doesn't change.
const (
	statusNoExec = 66
	statusTool   = 67
	statusRoom   = 68
)

//go:embed start.sh
var startScript string

//go:embed again.sh
var againScript string

// run runs a command where the agent is to be; the error is remote's or kube's.
type run func(ctx context.Context, argv []string, in io.Reader, out io.Writer) error

// binary is the agent's program, for a kind of machine.
type binary struct {
	bytes []byte
	sum   string
}

// readBinary reads the program for the machine that uname -sm says run is on.
func readBinary(ctx context.Context, dir string, run run) (*binary, error) {
	var out bytes.Buffer
	if err := run(ctx, []string{"uname", "-sm"}, nil, &out); err != nil {
		return nil, err
	}
	name, goal := "slipway-agent", "build"
	switch machine := strings.TrimSpace(out.String()); machine {
	case "Linux x86_64":
	case "Linux aarch64":
		name, goal = "slipway-agent-arm64", "agent-arm64"
	default:
		return nil, fmt.Errorf("%w: it says of itself that it is %q, and there is an agent for Linux on x86_64 and aarch64 alone", ErrNoAgent, machine)
	}
	if dir == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		dir = filepath.Dir(self)
	}
	path := filepath.Join(dir, name)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w; type: make %s", path, ErrNoAgent, goal)
	}
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	return &binary{b, hex.EncodeToString(sum[:])}, nil
}

// starter starts agents with run. explain makes of run's error one in agent.Start's terms.
func (b *binary) starter(run run, explain func(error) error) agent.Start {
	return func(ctx context.Context, live int, in io.Reader, out io.Writer) error {
		argv := []string{"sh", "-c", againScript, "slipway-agent", strconv.Itoa(live), b.sum}
		if live == 0 {
			argv = []string{"sh", "-c", startScript, "slipway-agent", strconv.Itoa(len(b.bytes)), b.sum}
			in = io.MultiReader(bytes.NewReader(b.bytes), in)
		}
		return explain(run(ctx, argv, in, out))
	}
}
