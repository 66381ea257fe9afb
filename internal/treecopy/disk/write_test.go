package disk

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

func sized64(s sent, size int64) sent { s.Size = size; return s }
func at(s sent, at int64) sent        { s.at = at; return s }
func state(s sent, st tree.State) sent {
	s.state = st
	return s
}
func attr(s sent, name, value string) sent {
	s.Attrs = append(s.Attrs, tree.Attr{Name: name, Value: value})
	return s
}

// TestWriteEntries writes to a small tree what an honest source sends, and what it doesn't. Whatever becomes of it: nothing outside is touched,
// nothing half made stays, and the entry that was there before does, unless the new one is told to be there.
func TestWriteEntries(t *testing.T) {
	lie := file("file", "new")
	lie.sum = "else"
	for _, x := range []struct {
		name  string
		send  []sent
		tells string // the states
		why   string // of the last
		shows string // the path of the last, afterwards
	}{
		{"new", []sent{file("dir/new", "data")}, "s", "", "data"},
		{"replaced", []sent{file("file", "new")}, "s", "", "new"},
		{"empty", []sent{file("file", "")}, "s", "", ""},
		{"hole at the end", []sent{sized64(file("file", "x"), 5)}, "s", "", "x\x00\x00\x00\x00"},
		{"hole before", []sent{at(sized64(file("file", "x"), 5), 3)}, "s", "", "\x00\x00\x00x\x00"},
		{"over a link to outside", []sent{file("link", "new")}, "s", "", "new"},
		{"over an empty directory", []sent{file("none", "new")}, "s", "", "new"},
		{"over a directory", []sent{file("dir", "new")}, "x", "a directory is in its place: directory not empty", ""},
		{"link over a file", []sent{entry("file", tree.Symlink)}, "s", "", "-> to"},
		{"link over a directory", []sent{entry("dir", tree.Symlink)}, "x", "a directory is in its place: directory not empty", ""},
		{"directory over a file", []sent{entry("file", tree.Directory), file("file/in", "x")}, "ss", "", "x"},
		{"directory over a link", []sent{entry("link", tree.Directory), file("link/in", "x")}, "ss", "", "x"},
		{"directory that is there", []sent{entry("dir", tree.Directory), file("dir/in", "x")}, "ss", "", "x"},
		{"the root", []sent{entry("", tree.Directory), file("x", "x")}, "ss", "", "x"},
		{"a file in the root's place", []sent{file("", "x")}, "x", "the path could lead out of the tree", ""},
		{"no directory", []sent{file("absent/x", "x")}, "x", "no such file or directory", ""},
		{"below a file", []sent{file("file/x", "x")}, "x", "its directory is none, or a symbolic link", ""},
		{"through a link", []sent{file("out/x", "x")}, "x", "its directory is none, or a symbolic link", ""},
		{"directory through a link", []sent{entry("out/x", tree.Directory)}, "x", "its directory is none, or a symbolic link", ""},
		{"below a mount", []sent{file("mounted/x", "x")}, "x", "another file system is mounted there", ""},
		{"changed", []sent{state(file("file", "new"), tree.Changed)}, "c", "", "old"},
		{"gone", []sent{state(file("file", ""), tree.Gone)}, "g", "", "old"},
		{"unreadable", []sent{state(file("file", "new"), tree.Unreadable), state(entry("dir", tree.Symlink), tree.Unreadable)}, "uu", "", ""},
		{"another sum", []sent{lie}, "x", "what arrived isn't what was read", "old"},
		{"a device", []sent{entry("file", tree.CharDevice)}, "x", "a character device is not carried", "old"},
		{"a label", []sent{attr(file("file", "new"), "security.capability", "x")}, "x", `attribute "security.capability" is not carried`, "old"},
		{"a trusted attribute", []sent{attr(file("file", "new"), "trusted.x", "x")}, "x", `attribute "trusted.x" is not carried`, "old"},
		{"a further name", []sent{file("dir/one", "data"), further("two", "dir/one", "data")}, "ss", "", "data"},
		{"a further name of what was there", []sent{file("dir/one", "data"), further("two", "dir/one", "data"), further("file", "dir/one", "data")}, "sss", "", "data"},
		{"a further name, again", []sent{file("one", "data"), further("two", "one", "data"), further("two", "one", "data")}, "sss", "", "data"},
		{"a further name of one that failed", []sent{state(file("file", "older"), tree.Changed), further("two", "file", "old")}, "cx", `its file "file" was not written`, ""},
		{"a further name of another file", []sent{further("two", "file", "older")}, "x", `its file "file" isn't the one that was read: its time of modification`, ""},
		{"a further name of nothing", []sent{further("two", "absent", "x")}, "x", `its file "absent": no such file or directory`, ""},
		{"a further name of a link to outside", []sent{further("two", "link", "x")}, "x", "it is a symbolic link and should be a file", ""},
		{"a further name of what is outside", []sent{further("two", "out/secret", "x")}, "x", `its file "out/secret": its directory is none, or a symbolic link`, ""},
		{"the others", []sent{file("absent/x", "x"), file("file", "new")}, "xs", "", "new"},
	} {
		t.Run(x.name, func(t *testing.T) {
			root, outside := t.TempDir(), t.TempDir()
			put(t, outside, "secret", "secret")
			put(t, root, "file", "old")
			put(t, root, "dir/kept", "kept")
			must(t, os.Symlink(outside+"/secret", filepath.Join(root, "link")))
			must(t, os.Symlink(outside, filepath.Join(root, "out")))
			must(t, os.Mkdir(filepath.Join(root, "none"), 0o755))
			must(t, os.Mkdir(filepath.Join(root, "mounted"), 0o755))
			d := withMount(t, root, filepath.Join(root, "mounted"))

			told, err := write(t, d, stream(t, x.send...))
			must(t, err)
			tells := ""
			for i, w := range told {
				tells += string(w.State)
				if w.Path != x.send[i].Path {
					t.Errorf("told of %s in the place of %s", w.Path, x.send[i].Path)
				}
				if set := w.Sum != [32]byte{}; set != (w.State == tree.Stable && x.send[i].Kind == tree.File) {
					t.Errorf("%s is %c: its sum is %x", w.Path, w.State, w.Sum)
				}
			}
			last := told[len(told)-1]
			if tells != x.tells || !strings.Contains(last.Why, x.why) || (x.why == "") != (last.Why == "") {
				t.Errorf("told %q: %q", tells, last.Why)
			}
			if x.shows != "" {
				if got := shows(filepath.Join(root, string(last.Path))); got != x.shows {
					t.Errorf("%s has %q, want %q", last.Path, got, x.shows)
				}
			}
			if got := leftovers(t, d); got != nil {
				t.Errorf("half made: %q", got)
			}
			if got := walk(t, outside); !slices.Equal(got, []string{"", "secret"}) || shows(outside+"/secret") != "secret" {
				t.Errorf("outside is %q", got)
			}
			if got := shows(filepath.Join(root, "dir/kept")); got != "kept" {
				t.Errorf("what was there is %q", got)
			}
		})
	}
}

// shows is a file's contents, or a link's target.
func shows(p string) string {
	if to, err := os.Readlink(p); err == nil {
		return "-> " + to
	}
	b, err := os.ReadFile(p)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// TestWriteRefused sends streams that no honest source sends: nothing of them is there afterwards.
func TestWriteRefused(t *testing.T) {
	good := stream(t, file("good", strings.Repeat("good", 200_000)))
	overlap := file("file", "12345678")
	overlap.sum = "any"
	for _, x := range []struct {
		name string
		in   io.Reader
		want error
	}{
		{"cut off", bytes.NewReader(good.Bytes()[:good.Len()-1]), io.ErrUnexpectedEOF},
		{"cut off in its contents", bytes.NewReader(good.Bytes()[:good.Len()/2]), io.ErrUnexpectedEOF},
		{"up", stream(t, file("good", "x"), file("../out", "x")), tree.ErrUnsafe},
		{"up further down", stream(t, file("dir/../../out", "x")), tree.ErrUnsafe},
		{"absolute", stream(t, file("/out", "x")), tree.ErrUnsafe},
		{"a further name of what is up", stream(t, further("x", "../out", "x")), tree.ErrUnsafe},
		{"a temporary name", stream(t, file(tree.TempPrefix+"x", "x")), tree.ErrUnsafe},
		{"in a temporary directory", stream(t, entry(tree.TempPrefix+"x/y", tree.Directory)), tree.ErrUnsafe},
		{"contents beyond the size", stream(t, sized64(overlap, 7)), tree.ErrStream},
		{"contents before the start", stream(t, at(overlap, -1)), tree.ErrStream},
		{"contents of a directory", stream(t, sent{Member: entry("dir", tree.Directory).Member, data: "x"}), tree.ErrStream},
		{"contents of a further name", stream(t, sent{Member: further("x", "good", "").Member, data: "x"}), tree.ErrStream},
	} {
		t.Run(x.name, func(t *testing.T) {
			d := open(t, t.TempDir())
			told, err := write(t, d, x.in)
			if !errors.Is(err, x.want) {
				t.Errorf("%v, want %v", err, x.want)
			}
			if told != nil {
				t.Errorf("told of %v", told)
			}
			if got := walk(t, d.Name()); len(got) != 1 {
				t.Errorf("there is %q", got)
			}
		})
	}
}

// TestWriteOverlap sends pieces by hand that the writer of streams in these tests can't make.
func TestWriteOverlap(t *testing.T) {
	var b bytes.Buffer
	w := tree.NewStreamWriter(&b)
	m := file("file", "1234").Member
	must(t, w.Begin(&m))
	must(t, w.Data(0, []byte("123")))
	must(t, w.Data(2, []byte("34")))
	must(t, w.End(&tree.End{State: tree.Stable}))
	must(t, w.Close())
	if _, err := write(t, open(t, t.TempDir()), &b); !errors.Is(err, tree.ErrStream) {
		t.Error(err)
	}
}

// TestWriteSwapped writes, makes directories, finishes and removes while the directory is swapped for a link to what is outside.
func TestWriteSwapped(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	put(t, outside, "kept", "kept")
	put(t, outside, "sub/kept", "kept")
	must(t, os.Chmod(outside, 0o751))
	must(t, os.Mkdir(filepath.Join(root, "dir"), 0o755))
	must(t, os.Symlink(outside, filepath.Join(root, "link")))
	d := open(t, root)
	seen := map[tree.State]int{}
	before := show(t, open(t, outside))
	during(t, func() {
		a, b := filepath.Join(root, "dir"), filepath.Join(root, "link")
		unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	}, func() {
		told, err := write(t, d, stream(t, entry("dir/new", tree.Directory), file("dir/file", "x"), entry("dir/link", tree.Symlink), file("own", "x"), further("dir/kept", "own", "x")))
		must(t, err)
		for _, w := range told {
			seen[w.State]++
		}
		m := entry("dir", tree.Directory).Member
		if err := d.Finish(t.Context(), []tree.Member{m}); err != nil && !errors.Is(err, unix.ELOOP) && !errors.Is(err, unix.ENOTDIR) {
			t.Fatal(err)
		}
		must(t, d.Remove(t.Context(), []tree.Path{"dir/new", "dir/file", "dir/kept", "dir/sub/kept"}))
	})
	if got := show(t, open(t, outside)); got != before {
		t.Errorf("outside was\n%s\nand is\n%s", before, got)
	}
	if seen[tree.Stable] == 0 || seen[tree.Failed] == 0 {
		t.Errorf("not everything was hit: %v", seen)
	}
	if got := leftovers(t, d); got != nil {
		t.Errorf("half made: %q", got)
	}
}

// TestWriteInherits writes where directories hand down ACLs and groups: the entries have their own.
func TestWriteInherits(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	put(t, from, "plain", "x")
	put(t, from, "dir/plain", "x")
	put(t, from, "acl", "x")
	must(t, unix.Setxattr(filepath.Join(from, "acl"), aclAccess, []byte(someACL()), 0))
	must(t, unix.Setxattr(filepath.Join(from, "dir"), aclDefault, []byte(someACL()), 0))
	put(t, to, "dir/plain", "older")
	for _, dir := range []string{to, to + "/dir"} {
		must(t, unix.Setxattr(dir, aclDefault, []byte(someACL()), 0))
		must(t, unix.Setxattr(dir, "user.not-there", nil, 0))
		must(t, os.Chown(dir, 5, 6))
		must(t, os.Chmod(dir, 0o777|os.ModeSetgid))
	}
	src, dst := open(t, from), open(t, to)
	copyAll(t, src, dst)
	if want, got := show(t, src), show(t, dst); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestWriteFull fills file systems that have no room, in bytes and in inodes: the half made is taken away, what was told of stays.
func TestWriteFull(t *testing.T) {
	for _, x := range []struct {
		name, option, value string
		send                []sent
	}{
		{"bytes", "size", "2m", []sent{file("small", "x"), file("large", strings.Repeat("x", 64<<20))}},
		{"inodes of files", "nr_inodes", "4", []sent{file("1", "x"), file("2", "x"), file("3", "x"), file("4", "x"), file("5", "x")}},
		{"inodes of links", "nr_inodes", "4", []sent{entry("1", tree.Symlink), entry("2", tree.Symlink), entry("3", tree.Symlink), entry("4", tree.Symlink)}},
		{"inodes of directories", "nr_inodes", "4", []sent{entry("1", tree.Directory), entry("2", tree.Directory), entry("3", tree.Directory), entry("4", tree.Directory)}},
	} {
		t.Run(x.name, func(t *testing.T) {
			d := open(t, mounted(t, "tmpfs", x.option, x.value))
			_, err := write(t, d, stream(t, file("told", "told")))
			must(t, err)
			in := stream(t, x.send...)
			told, err := write(t, d, in)
			if !errors.Is(err, tree.ErrFull) || told != nil {
				t.Errorf("%v, told of %v", err, told)
			}
			if got := leftovers(t, d); got != nil {
				t.Errorf("half made: %q", got)
			}
			if got := shows(d.Name() + "/told"); got != "told" {
				t.Errorf("what was told of has %q", got)
			}
			if x.option == "size" && in.Len() < 32<<20 {
				t.Errorf("went on reading: %d bytes are left", in.Len())
			}
		})
	}
}

// TestWriteDirectory: a new directory is this process's alone until it is finished, and one that was there keeps what it has.
func TestWriteDirectory(t *testing.T) {
	root := t.TempDir()
	must(t, os.Mkdir(filepath.Join(root, "there"), 0o751))
	d := open(t, root)
	_, err := write(t, d, stream(t, entry("new", tree.Directory), entry("there", tree.Directory)))
	must(t, err)
	if all := list(t, d); all[1].Mode != 0o700 || all[2].Mode != 0o751 {
		t.Errorf("modes are %o and %o", all[1].Mode, all[2].Mode)
	}
	must(t, d.Finish(t.Context(), []tree.Member{entry("new", tree.Directory).Member}))
	if all := list(t, d); all[1].Mode != 0o777 || all[1].MTime != (tree.Time{Sec: 1_700_000_000}) {
		t.Errorf("finished with %o, %v", all[1].Mode, all[1].MTime)
	}
}

// TestAgain: file systems in user space let signals interrupt any call.
func TestAgain(t *testing.T) {
	calls := 0
	err := done(func() error {
		if calls++; calls < 3 {
			return unix.EINTR
		}
		return unix.EIO
	})
	if calls != 3 || !errors.Is(err, unix.EIO) {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// TestWriteManyBatches writes more than becomes durable together, further names across among them.
func TestWriteManyBatches(t *testing.T) {
	all := []sent{file("first", "first")}
	for i := range 2*perSync + 5 {
		all = append(all, further(tree.Path("name-"+strings.Repeat("i", i%200)+string(rune('A'+i/200))), "first", "first"))
	}
	d := open(t, t.TempDir())
	told, err := write(t, d, stream(t, all...))
	must(t, err)
	if len(told) != len(all) {
		t.Fatalf("told of %d of %d", len(told), len(all))
	}
	for i, w := range told {
		if w.Path != all[i].Path || w.State != tree.Stable {
			t.Fatalf("%s, told of %s: %c %s", all[i].Path, w.Path, w.State, w.Why)
		}
	}
	if of, _ := members(t, d, "first"); of[0].Names != uint64(len(all)) {
		t.Errorf("it has %d names", of[0].Names)
	}
}

// TestOldKernel: without openat2 nothing is written.
func TestOldKernel(t *testing.T) {
	d := open(t, t.TempDir())
	d.old = true
	_, probe := d.Probe(t.Context())
	_, written := write(t, d, stream(t, file("x", "x")))
	for i, err := range []error{written, probe, d.Remove(t.Context(), []tree.Path{"x"}), d.Finish(t.Context(), nil), d.Sweep(t.Context())} {
		if !errors.Is(err, errOld) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if got := walk(t, d.Name()); len(got) != 1 {
		t.Errorf("there is %q", got)
	}
}
