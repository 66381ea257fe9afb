package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/config"
	"github.com/slipway-dev/slipway/inventory"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

// soon bounds every wait of these tests.
const soon = time.Minute

// bench is a directory in which real processes of the program run, with the runbook of book_test.go.
type bench struct {
	*testing.T
	dir string
}

func newBench(t *testing.T, files ...string) bench {
	p := bench{t, t.TempDir()}
	p.put("slipway.yaml", config.Example)
	p.put("inventory.yaml", inventory.Example)
	for _, f := range files {
		p.put(f, "")
	}
	return p
}

func (p bench) put(name, text string) {
	p.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
		p.Fatal(err)
	}
}

func (p bench) remove(name string) {
	p.Helper()
	if err := os.Remove(filepath.Join(p.dir, name)); err != nil {
		p.Fatal(err)
	}
}

func (p bench) there(name string) bool {
	_, err := os.Stat(filepath.Join(p.dir, name))
	return err == nil
}

func (p bench) until(what string, ok func() bool) {
	p.Helper()
	for since := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(since) > soon {
			p.Fatalf("waited %s for: %s", soon, what)
		}
	}
}

// shared is what a process writes, readable while it writes.
type shared struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}
func (s *shared) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.buf.String() }

// child is one process of the program.
type child struct {
	bench
	cmd      *exec.Cmd
	out, err shared
	keys     *os.File // what it is typed at its terminal; nil where it has none
	ended    chan struct{}
}

// begin starts slipway-book; at a terminal of its own, on which it also shows the run, where tty says so.
func (p bench) begin(tty bool, args ...string) *child {
	p.Helper()
	c := &child{bench: p, cmd: exec.Command("slipway-book", args...), ended: make(chan struct{})}
	c.cmd.Dir, c.cmd.Stdout, c.cmd.Stderr = p.dir, &c.out, &c.err
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var slave *os.File
	read := make(chan struct{}) // all that stands on the screen, which is known when nobody writes there any more
	if tty {
		c.keys, slave = p.terminal()
		c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = slave, slave, slave
		c.cmd.SysProcAttr.Setsid, c.cmd.SysProcAttr.Setctty = true, true
		go func() {
			defer close(read)
			b := make([]byte, 4096)
			for {
				n, err := c.keys.Read(b)
				_, _ = c.out.Write(b[:n])
				if err != nil {
					return
				}
			}
		}()
	}
	if err := c.cmd.Start(); err != nil {
		p.Fatal(err)
	}
	if slave != nil {
		_ = slave.Close()
	} else {
		close(read)
	}
	go func() {
		_ = c.cmd.Wait() // code tells
		<-read
		close(c.ended)
	}()
	p.Cleanup(func() { c.kill() })
	return c
}

// terminal makes a pseudo-terminal of 120 columns.
func (p bench) terminal() (master, slave *os.File) {
	p.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = master.Close() })
	raw, err := master.SyscallConn()
	if err != nil {
		p.Fatal(err)
	}
	n := 0
	if cerr := raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			if n, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN); err == nil {
				err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 120})
			}
		}
	}); cerr != nil || err != nil {
		p.Fatal(cerr, err)
	}
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		p.Fatal(err)
	}
	return master, slave
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	<-c.ended
}

func (c *child) signal(s os.Signal) {
	c.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.Fatal(err)
	}
}

func (c *child) kind(keys string) {
	c.Helper()
	if _, err := c.keys.WriteString(keys); err != nil {
		c.Fatal(err)
	}
}

// shows waits until the process has written something that matches.
func (c *child) shows(pattern string) {
	c.Helper()
	re := regexp.MustCompile(pattern)
	c.until(fmt.Sprintf("%q in\n%s%s", pattern, c.out.String(), c.err.String()), func() bool {
		return re.MatchString(c.out.String() + c.err.String())
	})
}

// ends waits for the process's end, which must have that exit code.
func (c *child) ends(code int) string {
	c.Helper()
	select {
	case <-c.ended:
	case <-time.After(soon):
		c.kill()
		c.Fatalf("slipway %v has not ended:\n%s%s", c.cmd.Args[1:], c.out.String(), c.err.String())
	}
	if got := c.cmd.ProcessState.ExitCode(); got != code {
		c.Fatalf("slipway %v: exit code %d, want %d\n%s%s", c.cmd.Args[1:], got, code, c.out.String(), c.err.String())
	}
	return c.out.String() + c.err.String()
}

var begun = regexp.MustCompile(`run ([-0-9a-f]+), a rehearsal; journal: `)

// run is the run that the process has begun.
func (c *child) run() string {
	c.Helper()
	c.shows(begun.String())
	return begun.FindStringSubmatch(c.out.String())[1]
}

func (p bench) history(id string) *migrate.History {
	p.Helper()
	dir, err := journal.OpenDir(filepath.Join(p.dir, ".slipway", "runs", id))
	if err != nil {
		p.Fatal(err)
	}
	h, err := migrate.ReadHistory(dir)
	if err != nil {
		p.Fatal(err)
	}
	return h
}

// step fails unless a step of a run stands there.
func (p bench) step(id string, step migrate.StepID, state migrate.StepState, attempts int) {
	p.Helper()
	if s, _ := p.history(id).Step(step); s.State != state || s.Attempts != attempts {
		p.Errorf("step %s is %q after %d attempts, want %q after %d", step, s.State, s.Attempts, state, attempts)
	}
}

func says(t *testing.T, text string, patterns ...string) {
	t.Helper()
	for _, x := range patterns {
		if !regexp.MustCompile(x).MatchString(text) {
			t.Errorf("it does not say %q:\n%s", x, text)
		}
	}
}

// A second process on a run is refused with who holds it, since when and on which host; the first goes on. The lock goes with
// its process, however that ends.
func TestOneWriter(t *testing.T) {
	p := newBench(t, "slow.wait")
	first := p.begin(false, "rehearse", "--yes-to", "go")
	id := first.run()
	p.until("the slow step", func() bool { return p.there("slow.began") })
	who, host, err := whoAmI()
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"resume", id}, {"rollback", id}} {
		says(t, p.begin(false, command...).ends(exitLocked),
			`error: open run: run is held by another process: `+regexp.QuoteMeta(who+"@"+host)+fmt.Sprintf(` \(process %d on %s, since 20..-..-..T..:..:..Z\)`, first.cmd.Process.Pid, regexp.QuoteMeta(host)))
	}
	says(t, p.begin(false, "status", id).ends(exitDone), fmt.Sprintf(`held by .*process %d `, first.cmd.Process.Pid))
	first.kill()
	p.remove("slow.wait")
	p.begin(false, "resume", id, "--yes-to", "go").ends(exitDone)
	if h := p.history(id); h.State(false) != migrate.StateDone || h.Lives != 2 {
		t.Errorf("the run is %s after %d processes", h.State(false), h.Lives)
	}
}

// Ctrl-C once: nothing new starts, and what runs may finish.
func TestCtrlCOnce(t *testing.T) {
	p := newBench(t, "slow.wait")
	c := p.begin(false, "rehearse", "--yes-to", "go")
	id := c.run()
	p.until("the slow step", func() bool { return p.there("slow.began") })
	c.signal(os.Interrupt)
	c.shows("interrupt: stops at the next safe point, when what runs has finished; again to stop at once")
	time.Sleep(300 * time.Millisecond)
	if p.there("slow.done") {
		t.Error("the step did not wait")
	}
	p.remove("slow.wait")
	says(t, c.ends(exitFailed), "error: run .*: paused", "hint: .*slipway resume "+id)
	p.step(id, "standup.slow", migrate.StepIsVerified, 1)
	p.step(id, "follow.rows", migrate.StepPending, 0)
	p.begin(false, "resume", id, "--yes-to", "go").ends(exitDone)
	p.step(id, "standup.slow", migrate.StepIsUndone, 1)
}

// Ctrl-C twice: the process ends at once, and resume handles it as any other crash.
func TestCtrlCTwice(t *testing.T) {
	p := newBench(t, "slow.wait", "slow.deaf")
	c := p.begin(false, "rehearse", "--yes-to", "go")
	id := c.run()
	p.until("the slow step", func() bool { return p.there("slow.began") })
	c.signal(os.Interrupt)
	c.shows("again to stop at once")
	began := time.Now()
	c.signal(os.Interrupt)
	says(t, c.ends(exitFailed), "interrupt again: stopped at once; to go on: slipway resume "+id)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("at once took %s", took)
	}
	p.step(id, "standup.slow", migrate.StepBegun, 1)
	p.remove("slow.wait")
	p.begin(false, "resume", id, "--yes-to", "go").ends(exitDone)
	p.step(id, "standup.slow", migrate.StepIsUndone, 2)
}

// At a terminal a person is asked, with all that counts; only the gate's name passes it, and Enter looks again.
func TestPrompt(t *testing.T) {
	p := newBench(t)
	p.put("lag", "1m")
	c := p.begin(true, "rehearse")
	c.shows(`gate go: make the last file\s+stand up +[0-9.]+ s[^\n]*\s+follow +[0-9.]+ s[^\n]*\s+follow.rows +up, lag 1m00s\s+it waits until .*, (59|60)m..s from now; then the run goes back\s+type go to pass it, abort to turn the run back, Enter to look again: `)
	id := c.run()
	c.kind("yes\n")
	c.shows(`"yes" is neither the gate's name nor abort`)
	c.kind("go\n")
	c.shows(`why, for the journal \(Enter for nothing\): `)
	c.kind("in a hurry\n")
	c.shows(`the pass was refused: follow.rows lags by 1m0s, and may by 1s`)
	p.put("lag", "20ms")
	time.Sleep(200 * time.Millisecond)
	c.kind("\n")
	c.shows(`follow.rows +up, lag 0.02 s`)
	c.kind("go\n")
	c.until("the second reason", func() bool { return strings.Count(c.out.String(), "why, for the journal") == 2 })
	c.kind("lag is gone\n")
	c.ends(exitDone)
	text, err := os.ReadFile(filepath.Join(p.dir, ".slipway", "runs", id, journal.Name))
	if err != nil {
		t.Fatal(err)
	}
	says(t, string(text), `"decision":"pass",[^}]*"from":"/dev/pts/[0-9]+","why":"lag is gone"`)
	if strings.Contains(string(text), "in a hurry") {
		t.Error("a pass that was refused is in the journal")
	}
}

// A word from another terminal ends the prompt, and the command there prints the answer.
func TestAnotherTerminal(t *testing.T) {
	for _, word := range []string{"pass", "abort"} {
		p := newBench(t)
		c := p.begin(true, "rehearse")
		c.shows("type go to pass it")
		id := c.run()
		p.put("lag", "1m")
		time.Sleep(200 * time.Millisecond)
		if word == "pass" {
			says(t, p.begin(false, "gate", "pass", id, "go", "--why", "now").ends(exitFailed),
				"error: run "+id+": pass gate go: refused: follow.rows lags by 1m0s, and may by 1s")
			p.remove("lag")
			time.Sleep(200 * time.Millisecond)
		}
		says(t, p.begin(false, "status", id).ends(exitDone), "a process holds it, at gate go until .*: slipway gate pass "+id+" go   to go back: slipway gate abort "+id+" go")
		says(t, p.begin(false, "gate", word, id, "--why", "from here").ends(exitDone), "run "+id+": "+word+" gate go: done, and on record")
		says(t, c.ends(map[string]int{"pass": exitDone, "abort": exitRolledBack}[word]), `gate `+word+` by .*: from here`)
	}
}

// A gate's deadline turns the run back while somebody is asked; Ctrl-C and the end of what is typed leave it waiting.
func TestPromptEnds(t *testing.T) {
	p := newBench(t)
	p.put("within", "2s")
	c := p.begin(true, "rehearse")
	c.shows("type go to pass it")
	says(t, c.ends(exitRolledBack), "the run goes back: gate go: expired")

	p.remove("within")
	c = p.begin(true, "rehearse")
	c.shows("type go to pass it")
	c.kind("\x04") // Ctrl-D
	says(t, c.ends(exitWaiting), "go: waiting at a gate")
	id := c.run()
	c = p.begin(true, "resume", id)
	c.shows("type go to pass it")
	c.kind("\x03") // Ctrl-C
	says(t, c.ends(exitFailed), "paused")
	p.step(id, "go", migrate.GateWaits, 0)
}

// slipway abort turns a run back that a process works on, slipway pause stops it at the next safe point.
func TestAbortAndPause(t *testing.T) {
	p := newBench(t, "slow.wait")
	c := p.begin(false, "rehearse")
	id := c.run()
	p.until("the slow step", func() bool { return p.there("slow.began") })
	says(t, p.begin(false, "abort", id, "--why", "enough").ends(exitDone), "run "+id+": the run has turned back")
	says(t, c.ends(exitRolledBack), `asks to turn the run back: enough`, "the run goes back: enough")
	if h := p.history(id); h.State(false) != migrate.StateRolledBack || h.Why != "enough" || h.TurnedBy == "" {
		t.Errorf("%s, %s, %s", h.State(false), h.Why, h.TurnedBy)
	}

	p.remove("slow.began")
	c = p.begin(false, "rehearse", "--yes-to", "go")
	p.until("the slow step", func() bool { return p.there("slow.began") })
	id = c.run()
	says(t, p.begin(false, "pause", id).ends(exitDone), "the run stops at the next safe point")
	p.remove("slow.wait")
	says(t, c.ends(exitFailed), "asks to pause", "paused")
	p.begin(false, "resume", id, "--yes-to", "go").ends(exitDone)
}

// A request that the process was killed over is carried out by the next one, before it starts anything, and once.
func TestRequestSurvivesTheProcess(t *testing.T) {
	p := newBench(t, "slow.wait", "slow.deaf")
	c := p.begin(false, "rehearse")
	id := c.run()
	p.until("the slow step", func() bool { return p.there("slow.began") })
	asker := p.begin(false, "abort", id, "--why", "enough")
	c.shows("asks to turn the run back: enough")
	time.Sleep(500 * time.Millisecond)
	c.kill()
	if n := strings.Count(c.out.String(), "asks to turn the run back"); n != 1 {
		t.Errorf("told %d times", n)
	}
	says(t, asker.ends(exitDone), "turn the run back: recorded", "it counts when the run is resumed: slipway resume "+id)
	p.remove("slow.wait")
	p.begin(false, "resume", id, "--yes-to", "go").ends(exitRolledBack)
	p.step(id, "standup.slow", migrate.StepIsUndone, 1)
	if h := p.history(id); h.Why != "enough" {
		t.Errorf("turned because: %s", h.Why)
	}
	p.begin(false, "resume", id, "--yes-to", "go").ends(exitRolledBack)
}

var wordSeed = flag.Uint64("word-seed", uint64(time.Now().UnixNano()), "of the instants at which a process is killed over a gate's word")

// A word for a gate that a process is killed over, at any instant, counts once: the next one goes on with it.
func TestKilledOverAWord(t *testing.T) {
	t.Logf("-word-seed %d", *wordSeed)
	rnd := rand.New(rand.NewPCG(*wordSeed, 0))
	where := map[migrate.StepState]int{}
	for range 12 {
		p := newBench(t)
		c := p.begin(false, "rehearse")
		id := c.run()
		c.ends(exitWaiting)
		p.begin(false, "gate", "pass", id).ends(exitDone)
		c = p.begin(false, "resume", id)
		time.Sleep(time.Duration(rnd.IntN(200)) * time.Millisecond)
		c.kill()
		g, _ := p.history(id).Step("go")
		where[g.State]++
		p.begin(false, "resume", id).ends(exitDone)
		text, err := os.ReadFile(filepath.Join(p.dir, ".slipway", "runs", id, journal.Name))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), `"decision":"pass"`); n != 1 {
			t.Errorf("run %s: the gate was passed %d times", id, n)
		}
		answers, err := filepath.Glob(filepath.Join(p.dir, ".slipway", "runs", id, "requests", "*.answer.json"))
		if err != nil || len(answers) != 1 {
			t.Fatalf("answers %q %v", answers, err)
		}
		if text, err = os.ReadFile(answers[0]); err != nil || !strings.Contains(string(text), `"accepted":true`) {
			t.Errorf("answered %s %v", text, err)
		}
	}
	t.Logf("killed with the gate %v", where)
}

// status --follow shows the run whichever process works on it, each event once, and ends when the run is closed.
func TestStatusFollow(t *testing.T) {
	p := newBench(t, "slow.wait")
	c := p.begin(false, "rehearse")
	id := c.run()
	p.until("the slow step", func() bool { return p.there("slow.began") })
	follower, onScreen := p.begin(false, "status", id, "--follow", "-o", "json"), p.begin(true, "status", id, "--follow")
	follower.shows(`"event":"run-held",.*"held":true`)
	onScreen.shows(`standup.slow +… run, [0-9.]+ s`)
	c.kill()
	follower.shows(`"event":"run-held",.*"held":false`)
	onScreen.shows("no process holds the run")
	p.remove("slow.wait")
	p.begin(false, "resume", id, "--yes-to", "go").ends(exitDone)
	says(t, onScreen.ends(exitDone), fmt.Sprintf(`held by .*process %d `, c.cmd.Process.Pid), "no process holds the run",
		`taken up again by .* \(process 2 on it\)`, "slow +done in", "run is done", "the run is over; nothing to type")

	var names, want []string
	for line := range strings.Lines(follower.ends(exitDone)) {
		var e struct {
			Event string
			Seq   uint64
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if e.Event != "run-held" {
			names = append(names, fmt.Sprint(e.Seq, e.Event))
		}
	}
	dir, err := journal.OpenDir(filepath.Join(p.dir, ".slipway", "runs", id))
	err = errors.Join(err, migrate.ReadEvents(dir, func(e migrate.Event) error {
		want = append(want, fmt.Sprint(migrate.EventWhen(e).Seq, e.Name()))
		return nil
	}))
	if want = append(want, "0report"); err != nil || strings.Join(names, " ") != strings.Join(want, " ") {
		t.Errorf("%v\n%s\nnot\n%s", err, names, want)
	}
}
