package agent

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// An agent that hears nothing any more ends, and what goes on at it is told to stop; one that is pinged doesn't, however long it works.
func TestSilence(t *testing.T) {
	f := &fake{hang: make(chan struct{})}
	m := &machine{f: f, patience: 100 * time.Millisecond}
	in, far := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- m.start(t.Context(), 0, in, io.Discard) }()
	mouth := newMouth(far)
	for _, b := range [][]byte{(&Hello{}).encode(), nil} {
		if err := mouth.say(map[bool]byte{true: frameHello, false: opSweep}[b != nil], b); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-ended:
		if !errors.Is(err, ErrSilent) || !errors.Is(f.asked(), ErrSilent) {
			t.Errorf("%v; the tree was stopped by %v", err, f.asked())
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it lives")
	}
	f = &fake{hang: make(chan struct{})}
	m = &machine{f: f, patience: 200 * time.Millisecond}
	tr := m.open(t, Options{patience: 200 * time.Millisecond})
	time.AfterFunc(time.Second, func() { close(f.hang) })
	if err := tr.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	time.Sleep(500 * time.Millisecond) // nor one that has nothing to do
	if err := tr.Sweep(t.Context()); err != nil || m.started.Load() != 1 {
		t.Errorf("%d agents: %v", m.started.Load(), err)
	}
}

// Somebody who doesn't take the input for long isn't taken for somebody who doesn't hear any.
func TestSlowTreeIsNoSilence(t *testing.T) {
	f := &fake{hang: make(chan struct{}), early: true}
	m := &machine{f: f, patience: 100 * time.Millisecond}
	tr := m.open(t, Options{patience: time.Hour}) // no pings
	time.AfterFunc(500*time.Millisecond, func() { close(f.hang) })
	if err := tr.Write(t.Context(), strings.NewReader(strings.Repeat("x", 1<<20)), nil); err != nil {
		t.Error(err)
	}
}

// The session's end stops what goes on, and is no error.
func TestEndOfInputStopsTheAgent(t *testing.T) {
	f := &fake{hang: make(chan struct{})}
	in, far := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- (&machine{f: f}).start(t.Context(), 0, in, io.Discard) }()
	mouth := newMouth(far)
	_ = mouth.say(frameHello, (&Hello{}).encode())
	_ = mouth.say(opSweep, nil)
	eventually(t, "it works", func() bool { return f.running.Load() == 1 })
	_ = far.Close()
	select {
	case err := <-ended:
		if err != nil || f.asked() == nil {
			t.Errorf("%v; the tree was stopped by %v", err, f.asked())
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it lives")
	}
}

// What a login shell prints is passed over; an agent of another version is refused, and so is what never greets.
func TestGreeting(t *testing.T) {
	m := &machine{f: &fake{}, noise: "Welcome to files1!\nThis is not slipway-agent/0\nYou have mail" + strings.Repeat("x", 300)}
	tr := m.open(t, Options{})
	if err := tr.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	for said, want := range map[string]struct {
		err  error
		text string
	}{
		"\nslipway-agent/2 7 v0.9\n":            {ErrVersion, "(build v0.9) speaks version 2 and this program version 1"},
		"\nslipway-agent/x\n":                   {ErrProtocol, `"x"`},
		strings.Repeat("motd\n", mostNoise/5+1): {ErrProtocol, "no greeting"},
		"":                                      {tree.ErrLost, "has ended"},
		greet(1, "b") + "o\x00":                 {ErrProtocol, "in place of a welcome"},
		greet(1, "b") + "k\x01\x01":             {ErrProtocol, "welcome"},
		greet(1, "b") + "k\xff\xff\xff\xff\x01": {ErrProtocol, "bytes"},
		greet(1, "b") + "x\x00":                 {ErrProtocol, "without a kind"},
		greet(1, "b") + "x\x05\xfflost":         {nil, "lost"},
		greet(1, "b") + "k\x02\x01\x01?\x00":    {nil, ""},
	} {
		tr, err := Open(t.Context(), Options{}, func(_ context.Context, _ int, in io.Reader, out io.Writer) error {
			_, _ = io.WriteString(out, said)
			if said != "" {
				_, _ = io.Copy(io.Discard, in)
			}
			return nil
		})
		if tr != nil {
			if err = tr.Sweep(t.Context()); !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), `'?'`) {
				t.Errorf("%q: %v", said, err)
			}
			if err := tr.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		if want.err != nil && !errors.Is(err, want.err) || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%.40q: %v", said, err)
		}
	}
}

// A root that isn't there is said as such, and costs no more than one agent.
func TestNoTree(t *testing.T) {
	m := &machine{f: &fake{}}
	if _, err := Open(t.Context(), Options{Name: "x", Hello: Hello{Root: "/nowhere"}}, m.start); !errors.Is(err, tree.ErrNoTree) || m.started.Load() != 1 || m.running.Load() != 0 {
		t.Errorf("%v; %d agents, of which %d run", err, m.started.Load(), m.running.Load())
	}
}

// Whatever comes, an agent ends, does nothing that it wasn't asked, and gives no path that leads out to its tree.
func FuzzServe(f *testing.F) {
	frame := func(kind byte, b string) string {
		return string(append(binary.AppendUvarint([]byte{kind}, uint64(len(b))), b...))
	}
	hello := frame(frameHello, string((&Hello{Root: "/"}).encode()))
	path := string(tree.AppendPath(nil, "a"))
	f.Add([]byte(hello + frame(opList, "") + frame(frameEnd, "")))
	f.Add([]byte(hello + frame(opRead, "") + frame(frameInput, string(rune(len(path)))+path) + frame(frameEnd, "") + frame(framePing, "")))
	f.Add([]byte(hello + frame(opWrite, "") + frame(frameInput, "xyz") + frame(frameBroken, "") + frame(opSweep, "")))
	f.Fuzz(func(t *testing.T, b []byte) {
		fk := &fake{}
		s := Server{Patience: time.Minute, Open: func(Hello) (tree.Target, Identity, error) { return fk, Identity{}, nil }}
		_ = s.Serve(t.Context(), strings.NewReader(string(b)), io.Discard) // errors are fine; hanging and panics aren't
		for _, p := range fk.paths {
			if err := p.Check(); err != nil {
				t.Error(err)
			}
		}
	})
}

// asked gives what a List has told, and its error, where the agent answers so.
func asked(t *testing.T, answer string) (told []tree.Stat, err error) {
	s := &session{mouth: newMouth(io.Discard), ear: &ear{r: bufio.NewReader(strings.NewReader(answer))}}
	s.c = connect(t.Context(), func(context.Context, int, io.Reader, io.Writer) error { return nil }, 0)
	_, err = s.do(t.Context(), task{kind: opList, recv: func(r io.Reader) error { return eachRecord(r, tree.DecodeStat, gather(&told)) }})
	return told, err
}

func TestAnswersThatAreNone(t *testing.T) {
	st := string(tree.AppendStat(nil, &tree.Stat{Path: "a"}))
	record := string(rune(len(st))) + st
	for answer, want := range map[string]error{
		"o\x06\xff\xff\xff\xff\xff\x0fz\x00":                                    ErrProtocol,         // a record of many GB
		"o" + string(rune(len(st))) + record[:len(st)] + "z\x00":                io.ErrUnexpectedEOF, // one that is cut off, in an answer that isn't
		"o" + string(rune(len(record))) + record:                                tree.ErrLost,        // an answer that is cut off behind a record
		"o\x02\x01fz\x00":                                                       ErrProtocol,         // a record that isn't one
		"o" + string(rune(len(st)+2)) + string(rune(len(st)+1)) + st + "?z\x00": ErrProtocol,         // one with a byte too many
	} {
		if _, err := asked(t, answer); !errors.Is(err, want) {
			t.Errorf("%q: %v", answer, err)
		}
	}
	if told, err := asked(t, "o"+string(rune(len(record)))+record+"z\x00"); err != nil || len(told) != 1 || told[0].Path != "a" {
		t.Errorf("%v, %v", told, err)
	}
}

// Whatever an agent answers, a call ends, with the whole or with an error.
func FuzzAnswer(f *testing.F) {
	st := tree.AppendStat(nil, &tree.Stat{Path: "a"})
	rec := append(binary.AppendUvarint(nil, uint64(len(st))), st...)
	f.Add([]byte(fmt.Sprintf("o%c%sz\x00", len(rec), rec)))
	f.Add([]byte("o\x01\x00z\x00"))
	f.Add([]byte("x\x02\x04a"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := asked(t, string(b))
		if err == nil && !strings.Contains(string(b), "z") {
			t.Error("it was taken for the whole")
		}
	})
}
