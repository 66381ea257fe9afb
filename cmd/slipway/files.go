package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/treecopy/agent"
	"github.com/slipway-dev/slipway/internal/treecopy/pass"
	"github.com/slipway-dev/slipway/internal/treecopy/place"
	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

const placesHelp = "A place is a directory: /PATH on this machine, ssh://USER@HOST:PORT/PATH on a host, pvc://NAMESPACE/CLAIM/PATH in a claim of a cluster, or, to read from only, gluster://USER@HOST:PORT/VOLUME/PATH.\n" +
	"Both directories must be there."

func newFiles(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "files",
		Short: "one directory and its copy, by themselves: no inventory and no slipway.yaml",
		Args:  none,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newFilesCopy(p), newFilesVerify(p), newFilesStatus(p))
	return cmd
}

// filesFlags are those of the verbs that reach both places.
type filesFlags struct {
	identity            []string
	knownHosts          string
	kubeconfig, kubectx string
	image, rate, batch  string
	without             []string
	parallel            int
	delete              bool

	source, target place.Place
	features       []pass.Feature
	bytesPerSecond int64
	batchBytes     int64
}

func (x *filesFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&x.identity, "identity", nil, "private key file for ssh://; repeat it for more (default: the ssh agent's, and those in ~/.ssh under their usual names)")
	f.StringVar(&x.knownHosts, "known-hosts", "", "host keys for ssh:// (default: ~/.ssh/known_hosts)")
	f.StringVar(&x.kubeconfig, "kubeconfig", "", "how the cluster of pvc:// is reached (default: as kubectl does)")
	f.StringVar(&x.kubectx, "context", "", "the kubeconfig's context (default: its current one)")
	f.StringVar(&x.image, "image", "", "image of the pod that mounts the claim of pvc://")
	f.StringVar(&x.rate, "rate", "", "how much is read from the source in a second at most: 20M")
	f.StringVar(&x.batch, "batch", "32M", "how much a batch of files is about: what is under way when a copy is killed is sent again")
	f.StringSliceVar(&x.without, "without", nil, "what may be lost where the target can't keep it: owner, xattr, acl, times, holes")
	f.IntVar(&x.parallel, "parallel", 4, "batches of files that are under way at once")
	f.BoolVar(&x.delete, "delete", false, "take away what the target has and the source hasn't")
}

// places reads the two arguments.
func places(cmd *cobra.Command, args []string) (source, target place.Place, err error) {
	var bad []error
	read := func(s string) place.Place {
		p, err := place.Parse(s)
		if err != nil {
			bad = append(bad, err)
		}
		return p
	}
	source, target = read(args[0]), read(args[1])
	if bad == nil && source.Kind == target.Kind && nested(source, target) {
		bad = append(bad, fmt.Errorf("%s and %s: one of them is in the other", source, target))
	}
	if bad != nil {
		return source, target, &usageError{errors.Join(bad...), cmd.CommandPath()}
	}
	return source, target, nil
}

func nested(a, b place.Place) bool {
	x, y := a.Path, b.Path
	a.Path, b.Path = "", ""
	x, y = strings.Trim(x, "/")+"/", strings.Trim(y, "/")+"/"
	return a == b && (x == "/" || y == "/" || strings.HasPrefix(x, y) || strings.HasPrefix(y, x))
}

// read reads arguments and flags. All that is wrong with the call is told at once.
func (x *filesFlags) read(cmd *cobra.Command, args []string) (err error) {
	var bad []error
	x.source, x.target, err = places(cmd, args)
	if u := (*usageError)(nil); errors.As(err, &u) {
		bad = append(bad, u.err)
	}
	for _, w := range x.without {
		if !slices.Contains(pass.Features, pass.Feature(w)) {
			bad = append(bad, fmt.Errorf("--without %s: one of owner, xattr, acl, times, holes", w))
		}
		x.features = append(x.features, pass.Feature(w))
	}
	size := func(flag, text string) int64 {
		n, err := parseSize(text)
		if err != nil {
			bad = append(bad, fmt.Errorf("--%s %s: %w", flag, text, err))
		}
		return n
	}
	if x.batchBytes = size("batch", x.batch); x.rate != "" {
		x.bytesPerSecond = size("rate", x.rate)
	}
	if x.parallel < 1 || x.parallel > 32 {
		bad = append(bad, fmt.Errorf("--parallel %d: from 1 to 32", x.parallel))
	}
	if bad != nil {
		return &usageError{errors.Join(bad...), cmd.CommandPath()}
	}
	return nil
}

// parseSize reads a number of bytes with a letter for its unit: 500K, 20M, 1G.
func parseSize(s string) (int64, error) {
	digits, unit := s, int64(1)
	for i, letter := range []string{"K", "M", "G"} {
		if d, ok := strings.CutSuffix(s, letter); ok {
			digits, unit = d, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || n < 1 {
		return 0, errors.New("a number of bytes, such as 500K, 20M or 1G")
	}
	return n * unit, nil
}

// options are how a pass is made with these flags.
func (x *filesFlags) options(verify bool, t *filesTeller) pass.Options {
	return pass.Options{Delete: x.delete, Verify: verify, Without: x.features, Parallel: x.parallel, Batch: pass.Batch{Bytes: x.batchBytes}, Meter: &t.meter, Tell: t.say}
}

// filesState is the directory of what is known of the copy of one place to another.
func (p *program) filesState(source, target place.Place) (string, error) {
	base := p.stateDir
	if base == "" {
		base = os.Getenv("XDG_STATE_HOME")
		if base == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", &configError{fmt.Errorf("nowhere to keep what is known of the copy: %w; say where: --state DIR", err)}
			}
			base = filepath.Join(home, ".local", "state")
		}
		base = filepath.Join(base, "slipway")
	}
	sum := sha256.Sum256([]byte(source.String() + "\x00" + target.String()))
	return filepath.Join(base, "files", hex.EncodeToString(sum[:8])), nil
}

// filesDesk is the two ends and what is known of them, open.
type filesDesk struct {
	source, target tree.Target
	state          *pass.State
	open           []io.Closer
}

// openFiles opens the state first: of two processes the second doesn't get to the places.
func (p *program) openFiles(ctx context.Context, x *filesFlags) (d *filesDesk, err error) {
	d = &filesDesk{}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	dir, err := p.filesState(x.source, x.target)
	if err != nil {
		return d, err
	}
	if d.state, err = pass.OpenState(dir, x.source.String(), x.target.String()); err != nil {
		return d, err
	}
	d.open = append(d.open, d.state)
	open := func(at place.Place, o place.Options) (tree.Target, error) {
		t, c, err := place.Open(ctx, at, o)
		if err != nil {
			return nil, &unopened{err}
		}
		d.open = append(d.open, c)
		return t, nil
	}
	o := place.Options{Sessions: x.parallel + 1, AgentDir: p.agentDir, SSHOptions: sshHands(x.identity, x.knownHosts),
		KubeOptions: place.KubeOptions{Kubeconfig: x.kubeconfig, Context: x.kubectx, Image: x.image, UserAgent: "slipway/" + version}}
	from := o
	from.ReadOnly, from.Rate = true, x.bytesPerSecond
	from.Note = func(note string) {
		if p.output == text {
			fmt.Fprintln(p.err, note)
		}
	}
	if d.source, err = open(x.source, from); err != nil {
		return d, err
	}
	d.target, err = open(x.target, o)
	return d, err
}

// close closes what is open, the last first.
func (d *filesDesk) close() error {
	var errs []error
	for _, c := range slices.Backward(d.open) {
		errs = append(errs, c.Close())
	}
	d.open = nil
	return errors.Join(errs...)
}

// unopened: one of the places could not be reached. Nothing was begun.
type unopened struct{ error }

func (e *unopened) Unwrap() error { return e.error }

// interruptible ends with Ctrl-C; a second one kills.
func interruptible(ctx context.Context) (context.Context, func()) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	again := context.AfterFunc(ctx, stop)
	return ctx, func() { again(); stop() }
}

// filesFailed says how a verb ends, and what to type.
func filesFailed(err error, verb string) error {
	if err == nil {
		return nil
	}
	var (
		locked   *pass.LockedError
		extra    *pass.ExtraError
		vanished *pass.VanishedError
		unkept   *pass.UnkeptError
		room     *pass.RoomError
		un       *unopened
	)
	again := "type slipway files " + verb + " again"
	switch {
	case errors.Is(err, context.Canceled):
		return hint(errors.New("it was interrupted; what is recorded stays"), "%s: it goes on", again)
	case errors.As(err, &locked):
		return hint(&errOvertaken{err}, "wait until that process is done, or end it")
	case errors.Is(err, pass.ErrDamaged):
		return hint(&errPerson{err}, "take that directory away, and %s: what the target has already is compared, and isn't sent again", again)
	case errors.Is(err, pass.ErrOther):
		return hint(&configError{err}, "give another directory: --state DIR")
	case errors.As(err, &extra), errors.As(err, &vanished), errors.As(err, &room):
		return hint(&configError{err}, "look whether both places are the right ones; then %s, with what is said above", again)
	case errors.As(err, &unkept):
		return hint(&configError{err}, "%s with that flag, or take a target that keeps it", again)
	case errors.Is(err, tree.ErrFull):
		return hint(err, "give the target more room, and %s: it goes on", again)
	case errors.As(err, &un), errors.Is(err, tree.ErrNoTree), errors.Is(err, agent.ErrOtherRoot):
		return hint(&configError{err}, "correct the place, or make the directory; then %s", again)
	}
	return hint(err, "when that is mended, %s: it goes on", again)
}
