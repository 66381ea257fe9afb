package tree

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var (
	anyText = rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bytes")) })
	anyTime = rapid.Custom(func(t *rapid.T) Time {
		return Time{rapid.Int64().Draw(t, "sec"), rapid.Int64Range(0, 999_999_999).Draw(t, "nsec")}
	})
	anyStat = rapid.Custom(func(t *rapid.T) Stat {
		return Stat{
			Path: Path(anyText.Draw(t, "path")), Kind: Kind(rapid.Byte().Draw(t, "kind")), Size: rapid.Int64().Draw(t, "size"),
			Mode: rapid.Uint32().Draw(t, "mode"), UID: rapid.Uint32().Draw(t, "uid"), GID: rapid.Uint32().Draw(t, "gid"),
			MTime: anyTime.Draw(t, "mtime"), CTime: anyTime.Draw(t, "ctime"), Inode: rapid.Uint64().Draw(t, "inode"),
			Names: rapid.Uint64().Draw(t, "names"), Blocks: rapid.Int64().Draw(t, "blocks"), Link: Path(anyText.Draw(t, "link")),
		}
	})
	anyAttr   = rapid.Custom(func(t *rapid.T) Attr { return Attr{anyText.Draw(t, "name"), anyText.Draw(t, "value")} })
	anyMember = rapid.Custom(func(t *rapid.T) Member {
		m := Member{Stat: anyStat.Draw(t, "stat"), SameAs: Path(anyText.Draw(t, "same"))}
		if n := rapid.IntRange(0, 4).Draw(t, "attrs"); n > 0 {
			m.Attrs = rapid.SliceOfN(anyAttr, n, n).Draw(t, "attr")
		}
		return m
	})
	anyEnd = rapid.Custom(func(t *rapid.T) End {
		e := End{State: rapid.SampledFrom([]State{Stable, Changed, Gone, Unreadable, Failed}).Draw(t, "state"), At: anyTime.Draw(t, "at"), Why: anyText.Draw(t, "why")}
		copy(e.Sum[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "sum"))
		return e
	})
	anyKeeps = rapid.Custom(func(t *rapid.T) Keeps {
		return Keeps{
			Owners: rapid.Bool().Draw(t, "owners"), Attrs: rapid.Bool().Draw(t, "attrs"), ACLs: rapid.Bool().Draw(t, "acls"), Holes: rapid.Bool().Draw(t, "holes"),
			Grain: rapid.Int64().Draw(t, "grain"), Bytes: rapid.Int64().Draw(t, "bytes"), Inodes: rapid.Int64().Draw(t, "inodes"),
			UID: rapid.Uint32().Draw(t, "uid"), GID: rapid.Uint32().Draw(t, "gid"), Root: anyText.Draw(t, "root"),
		}
	})
	safePath = rapid.Custom(func(t *rapid.T) Path { return Path(strings.Join(rapid.SliceOfN(anyName, 0, 5).Draw(t, "names"), "/")) })
	anyName  = rapid.Custom(func(t *rapid.T) string {
		return string(rapid.SliceOfN(rapid.Byte().Filter(func(b byte) bool { return b != 0 && b != '/' }), 1, 12).Draw(t, "name"))
	}).Filter(func(s string) bool { return s != "." && s != ".." })
)

// What is encoded comes back, nothing of what is behind it is taken, and it is refused when it is cut off at any byte.
func TestCodes(t *testing.T) {
	t.Run("stat", func(t *testing.T) { goesRound(t, anyStat, AppendStat, DecodeStat) })
	t.Run("member", func(t *testing.T) { goesRound(t, anyMember, AppendMember, DecodeMember) })
	t.Run("end", func(t *testing.T) { goesRound(t, anyEnd, AppendEnd, DecodeEnd) })
	t.Run("keeps", func(t *testing.T) { goesRound(t, anyKeeps, AppendKeeps, DecodeKeeps) })
	t.Run("path", func(t *testing.T) {
		goesRound(t, safePath, func(b []byte, p *Path) []byte { return AppendPath(b, *p) }, DecodePath)
	})
	t.Run("sum", func(t *testing.T) {
		goesRound(t, rapid.Custom(func(t *rapid.T) Sum { return Sum{anyMember.Draw(t, "member"), anyEnd.Draw(t, "end")} }), AppendSum, DecodeSum)
	})
	t.Run("written", func(t *testing.T) {
		goesRound(t, rapid.Custom(func(t *rapid.T) Written {
			e := anyEnd.Draw(t, "end")
			return Written{Path(anyText.Draw(t, "path")), e.State, e.Sum, e.Why}
		}), AppendWritten, DecodeWritten)
	})
}

func goesRound[T any](t *testing.T, values *rapid.Generator[T], app func([]byte, *T) []byte, decode func([]byte, *T) ([]byte, error)) {
	rapid.Check(t, func(t *rapid.T) {
		want := values.Draw(t, "value")
		b := app(nil, &want)
		var got T
		rest, err := decode(append(slices.Clone(b), "behind"...), &got)
		if err != nil || string(rest) != "behind" || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v\ncame back as\n%+v, rest %q, %v", want, got, rest, err)
		}
		for n := range b {
			if _, err := decode(b[:n], new(T)); !errors.Is(err, errShort) {
				t.Fatalf("cut off after %d of %d bytes: %v", n, len(b), err)
			}
		}
	})
}

// What isn't an encoding is refused, or is one, and doesn't end the program or take its memory.
func FuzzDecode(f *testing.F) {
	m := Member{Stat: Stat{Path: "a/b", Kind: File}, Attrs: []Attr{{"user.a", "b"}}}
	f.Add(AppendMember(nil, &m))
	f.Add(append(AppendStat(nil, &Stat{}), 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Member
		rest, err := DecodeMember(b, &m)
		if err == nil {
			var again Member
			if _, err := DecodeMember(AppendMember(nil, &m), &again); err != nil || !reflect.DeepEqual(m, again) || len(rest) > len(b) {
				t.Errorf("%+v came back as %+v, %v", m, again, err)
			}
		}
		var s StreamReader = *NewStreamReader(bytes.NewReader(b))
		for n := 0; err == nil; n++ {
			if n > len(b) {
				t.Fatal("more members than bytes")
			}
			_, err = s.Next()
		}
	})
}
