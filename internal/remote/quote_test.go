package remote

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shells are the two that /bin/sh is on Debian. Both must be there: a test of quoting without a shell proves nothing.
func shells(t testing.TB) []string {
	t.Helper()
	var out []string
	for _, s := range []string{"dash", "bash"} {
		p, err := exec.LookPath(s)
		if err != nil {
			t.Fatalf("%s is missing; install it: apt-get install %s", s, s)
		}
		out = append(out, p)
	}
	return out
}

func roundTrip(t *testing.T, shell string, args []string) {
	t.Helper()
	line, err := Quote(append([]string{"printf", `%s\0`}, args...)...)
	if err != nil {
		t.Fatalf("quote %q: %v", args, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, shell, "-c", line)
	cmd.Dir = t.TempDir()
	got, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %q: %v: %s", shell, line, err, got)
	}
	if want := []byte(strings.Join(args, "\x00") + "\x00"); !bytes.Equal(got, want) {
		t.Fatalf("%s read %q out of %q, want %q", shell, got, line, want)
	}
}

var awkward = []string{"", " ", "'", "''", "a'b", "\"", "`id`", "$(id)", "$HOME", "${x}", "~", "~root", "*", "?", "[a]", "{a,b}", "a\nb", "\n", "\\", "a\\", "\\'", "!", "!!",
	";", "&", "&&", "|", ">x", "<x", "#x", "-n", "--", "-e", "\x01\x7f", "\xff\xfe", "\xe2\x80", "ü漢🚢", "A=b", "\t", "\r", "%s", "\\0", "(", ")", "=", "if", "x'\"'\"'y"}

func TestQuote(t *testing.T) {
	for _, sh := range shells(t) {
		roundTrip(t, sh, awkward)
		for _, a := range awkward {
			roundTrip(t, sh, []string{a})
		}
	}
	if _, err := Quote("a", "b\x00"); !errors.Is(err, ErrNUL) {
		t.Errorf("NUL: %v", err)
	}
	if _, err := Quote(); err == nil {
		t.Error("nothing was quoted")
	}
}

// The first word must be a command's name whatever it looks like: not a reserved word, an assignment, an alias or a tilde.
func TestQuoteFirstWord(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"if", "A=b", "~x", "!", "{", "[[", "time", "a b", "$x", "-x", "*"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho ran \"$0\"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		line, err := Quote(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, sh := range shells(t) {
			cmd := exec.Command(sh, "-c", line)
			cmd.Env = []string{"PATH=" + dir + ":/usr/bin:/bin"}
			out, err := cmd.CombinedOutput()
			if err != nil || string(out) != "ran "+filepath.Join(dir, name)+"\n" {
				t.Errorf("%s: %q: %q, %v", sh, line, out, err)
			}
		}
	}
}

func FuzzQuote(f *testing.F) {
	for _, a := range awkward {
		f.Add(a, "x"+a+a)
	}
	all := shells(f)
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.ContainsRune(a+b, 0) {
			if _, err := Quote(a, b); !errors.Is(err, ErrNUL) {
				t.Fatalf("NUL: %v", err)
			}
			return
		}
		for _, sh := range all {
			roundTrip(t, sh, []string{a, b})
		}
	})
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{"plain": "plain", "a\x1b[2Jb": "a?[2Jb", "\u202egpj": "?gpj", "\xff": "?", "tab\tx": "tab?x", strings.Repeat("é", 200): strings.Repeat("é", 100) + "..."} {
		if got := Printable(in, 200); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
