package treecopy_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/treecopy"
)

const run snapshot.ID = "20261123-010203-7f3a"

func store(t testing.TB) *snapshot.Store {
	t.Helper()
	s, err := snapshot.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hostile makes a tree of everything that a copy has gone wrong on, and says which kinds are in it.
func hostile(t testing.TB, root string, seed uint64) (kinds map[string]bool) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	kinds = map[string]bool{}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	when := func(path string) {
		ts := unix.NsecToTimespec(r.Int64N(2_000_000_000)*1e9 + r.Int64N(1e9))
		if r.IntN(20) == 0 {
			ts = unix.Timespec{Sec: -r.Int64N(1e9), Nsec: r.Int64N(1e9)}
			kinds["before 1970"] = true
		}
		must(unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
	}
	dirs := []string{root}
	names := []struct {
		kind string
		name func(i int) string
	}{
		{"newline", func(i int) string { return fmt.Sprintf("new\nline\n%d", i) }},
		{"quotes", func(i int) string { return fmt.Sprintf("it's \"%d\"`", i) }},
		{"leading dash", func(i int) string { return fmt.Sprintf("-rf%d", i) }},
		{"double dash", func(i int) string { return fmt.Sprintf("--files-from=%d", i) }},
		{"backslash", func(i int) string { return fmt.Sprintf(`\141\n%d\`, i) }},
		{"not UTF-8", func(i int) string { return fmt.Sprintf("\xff\xfe%d\x80", i) }},
		{"control characters", func(i int) string { return fmt.Sprintf("\x01\x1b[31m\x7f\r%d", i) }},
		{"255 bytes", func(i int) string { return fmt.Sprintf("%03d%s", i, strings.Repeat("n", 252)) }},
		{"pattern", func(i int) string { return fmt.Sprintf("*?[a]{b}%d", i) }},
		{"spaces", func(i int) string { return fmt.Sprintf("  %d  ", i) }},
		{"UTF-8", func(i int) string { return fmt.Sprintf("жë日%d\u2028", i) }},
		{"dollar", func(i int) string { return fmt.Sprintf("$(touch x)%d;#", i) }},
		{"plain", func(i int) string { return fmt.Sprintf("f%d.png", i) }},
		{"dots", func(i int) string { return fmt.Sprintf("..%d..", i) }},
	}
	var files []string
	for i := range 160 {
		n := names[r.IntN(len(names))]
		dir := dirs[r.IntN(len(dirs))]
		path := filepath.Join(dir, n.name(i))
		if len(path)-len(root) > 3000 {
			continue
		}
		kinds["name: "+n.kind] = true
		switch k := r.IntN(20); {
		case k < 4:
			must(os.Mkdir(path, 0o755))
			dirs = append(dirs, path)
			kinds["directory"] = true
		case k < 6:
			to := []string{"nowhere at all", "/etc", "../../..", ".", "\xff", filepath.Base(path)}[r.IntN(6)]
			must(os.Symlink(to, path))
			kinds["symlink to "+fmt.Sprintf("%q", strings.TrimSuffix(to, filepath.Base(path)))] = true
		case k < 8 && len(files) > 0:
			must(os.Link(files[r.IntN(len(files))], path))
			kinds["hard link"] = true
		case k == 8:
			f, err := os.Create(path)
			must(err)
			_, err = f.WriteAt([]byte("end"), 3<<20+int64(r.IntN(9999)))
			must(err)
			_, err = f.WriteAt([]byte("middle"), 1<<20)
			must(err)
			must(f.Close())
			files = append(files, path)
			kinds["sparse"] = true
		case k == 9:
			must(unix.Mkfifo(path, 0o600))
			kinds["FIFO"] = true
		default:
			size := []int{0, 1, 511, 512, 513, 10240, 100_000}[r.IntN(7)]
			b := make([]byte, size)
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			must(os.WriteFile(path, b, 0o644))
			kinds[fmt.Sprintf("file of %d bytes", size)] = true
			if unix.Lsetxattr(path, "user.mime", []byte("a\x00b=\n\xff"), 0) == nil {
				kinds["extended attribute"] = true
			}
			modes := []os.FileMode{0o644, 0o600, 0o755 | os.ModeSetuid, 0o755 | os.ModeSetgid, 0o444}
			if os.Getuid() != 0 {
				modes = modes[:4] // only root gives attributes to a file that may not be written
			}
			if os.Getuid() == 0 {
				must(os.Lchown(path, r.IntN(3)*33, r.IntN(3)*33))
			}
			must(os.Chmod(path, modes[r.IntN(len(modes))]))
			files = append(files, path)
		}
	}
	must(filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error { return err }))
	all := slices.Concat(dirs)
	must(filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			when(path)
		}
		return err
	}))
	slices.Reverse(all)
	for _, d := range all {
		if r.IntN(3) == 0 {
			must(os.Chmod(d, 0o755|os.ModeSetgid|os.ModeSticky))
		}
		when(d)
	}
	return kinds
}

// oracle says of two trees, in words of its own, where they differ. It shares nothing with the copier.
func oracle(t testing.TB, a, b string) string {
	t.Helper()
	show := func(root string) string {
		script := `cd "$0" && find . -name lost+found -prune -o -type p -prune -o \( -type d -printf '%P|%m|%U|%G|%T@\0' \) -o -type l -printf '%P|%U|%G|%T@|%l\0' -o -printf '%P|%m|%U|%G|%T@|%s|%n\0' | sort -z | tr '\0\n' '\n?';
find . -type f -print0 | sort -z | xargs -0 md5sum --zero | tr '\0\n' '\n?'; find . -type f -print0 | sort -z | xargs -0 getfattr --absolute-names -d -m user 2>/dev/null; exit 0`
		out, err := exec.CommandContext(t.Context(), "sh", "-c", script, root).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	x, y := strings.Split(show(a), "\n"), strings.Split(show(b), "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("%q\n%q", x[i], y[i])
		}
	}
	if len(x) != len(y) {
		return fmt.Sprintf("%d lines and %d", len(x), len(y))
	}
	return ""
}

var small = treecopy.Options{Tool: "test", From: "volume", BatchFiles: 20, BatchBytes: 100_000, Readers: 3}

func take(t testing.TB, src treecopy.Source, s *snapshot.Store, o treecopy.Options) *treecopy.Index {
	t.Helper()
	art, err := treecopy.Take(t.Context(), src, s, run, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := art.Verify(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	x, err := treecopy.Open(t.Context(), art)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func all(x *treecopy.Index) []int {
	out := make([]int, len(x.Entries))
	for i := range out {
		out[i] = i
	}
	return out
}

func fill(t testing.TB, x *treecopy.Index, dir string) {
	t.Helper()
	if _, err := x.Send(t.Context(), treecopy.Fill(onThisMachine, dir), all(x), 3, nil); err != nil {
		t.Fatal(err)
	}
}

func compare(t testing.TB, x *treecopy.Index, dir string) *treecopy.Compared {
	t.Helper()
	c, err := x.Compare(t.Context(), treecopy.Look(onThisMachine, dir), treecopy.Contents, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHostileTrees(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(6) {
		t.Logf("seed %d", seed)
		from, to := t.TempDir(), t.TempDir()
		for k := range hostile(t, from, seed) {
			seen[k] = true
		}
		x := take(t, &local{t: t, dir: from}, store(t), small)
		if c := compare(t, x, to); len(c.Missing) != len(x.Entries) {
			t.Errorf("seed %d: an empty target lacks %d of %d entries", seed, len(c.Missing), len(x.Entries))
		}
		if err := os.Mkdir(filepath.Join(to, "lost+found"), 0o700); err != nil {
			t.Fatal(err)
		}
		fill(t, x, to)
		if d := oracle(t, from, to); d != "" {
			t.Errorf("seed %d: %s", seed, d)
		}
		if err := compare(t, x, to).Err(); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
	kinds := slices.Sorted(maps.Keys(seen))
	t.Logf("%d kinds: %q", len(kinds), kinds)
	for _, k := range []string{"name: newline", "name: quotes", "name: leading dash", "name: double dash", "name: backslash", "name: not UTF-8", "name: control characters", "name: 255 bytes",
		"name: pattern", "name: spaces", "name: UTF-8", "name: dollar", "name: dots", "before 1970", "directory", "hard link", "sparse", "FIFO", "file of 0 bytes", "file of 512 bytes",
		`symlink to "nowhere at all"`, `symlink to "/etc"`, `symlink to "../../.."`, `symlink to "."`, `symlink to "\xff"`} {
		if !seen[k] {
			t.Errorf("no seed has made a %s", k)
		}
	}
	// On a file system without them the lab's test is the one that tries them.
	if probe := filepath.Join(t.TempDir(), "f"); os.WriteFile(probe, nil, 0o600) == nil && setAttr(probe, "user.a", "b") == nil && !seen["extended attribute"] {
		t.Error("no seed has made an extended attribute")
	}
}
