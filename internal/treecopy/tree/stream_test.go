package tree

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// sent is a member as it goes through a stream.
type sent struct {
	Member Member
	Pieces []piece
	End    End
}

type piece struct {
	Offset int64
	Data   string
}

var anySent = rapid.Custom(func(t *rapid.T) sent {
	s := sent{Member: anyMember.Draw(t, "member"), End: anyEnd.Draw(t, "end")}
	s.Member.Path, s.Member.SameAs = safePath.Draw(t, "path"), safePath.Draw(t, "same")
	for range rapid.IntRange(0, 3).Draw(t, "pieces") {
		s.Pieces = append(s.Pieces, piece{rapid.Int64Range(0, 1<<62).Draw(t, "offset"), anyText.Draw(t, "data")})
	}
	return s
})

func write(t interface{ Fatal(...any) }, w io.Writer, all []sent) {
	s := NewStreamWriter(w)
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range all {
		must(s.Begin(&x.Member))
		for _, p := range x.Pieces {
			must(s.Data(p.Offset, []byte(p.Data)))
		}
		must(s.End(&x.End))
	}
	must(s.Close())
}

// read gives what a stream has, and the error that it ends with, io.EOF where it is whole.
func read(s *StreamReader) (all []sent, err error) {
	for {
		m, err := s.Next()
		if err != nil {
			return all, err
		}
		x := sent{Member: m}
		for {
			off, b, err := s.Data()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return all, err
			}
			x.Pieces = append(x.Pieces, piece{off, string(b)})
		}
		x.End = s.End()
		all = append(all, x)
	}
}

// A stream comes out as it went in, nothing behind it is read, and one that is cut off at any byte is never taken for whole.
func TestStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(anySent, 0, 4).Draw(t, "members")
		var b bytes.Buffer
		write(t, &b, want)
		whole := bytes.Clone(b.Bytes())
		b.WriteString("behind")
		r := bufio.NewReaderSize(&b, 16)
		got, err := read(NewStreamReaderOf(r))
		if err != io.EOF || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) { //nolint:errorlint // io.EOF itself
			t.Fatalf("%+v\ncame out as\n%+v, %v", want, got, err)
		}
		if rest, err := io.ReadAll(r); err != nil || string(rest) != "behind" {
			t.Fatalf("behind it there was %q, %v", rest, err)
		}
		for n := range whole {
			got, err := read(NewStreamReaderOf(bufio.NewReaderSize(bytes.NewReader(whole[:n]), 16)))
			if !errors.Is(err, io.ErrUnexpectedEOF) || len(got) > len(want) {
				t.Fatalf("cut off after %d of %d bytes: %d members, %v", n, len(whole), len(got), err)
			}
		}
	})
}

// A reader that isn't interested in contents passes over them.
func TestNextPassesOver(t *testing.T) {
	var b bytes.Buffer
	want := []sent{{Member: Member{Stat: Stat{Path: "a"}}, Pieces: []piece{{0, "x"}, {9, "y"}}, End: End{State: Stable}}, {Member: Member{Stat: Stat{Path: "b"}}, End: End{State: Gone}}}
	write(t, &b, want)
	s := NewStreamReader(&b)
	for _, x := range want {
		m, err := s.Next()
		if err != nil || m.Path != x.Member.Path {
			t.Fatal(m.Path, err)
		}
	}
	if _, err := s.Next(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

func TestStreamRefuses(t *testing.T) {
	frame := func(kind byte, b []byte) []byte {
		return append(binary.AppendUvarint([]byte{kind}, uint64(len(b))), b...)
	}
	named := func(p, same Path) []byte {
		return frame(frameMember, AppendMember(nil, &Member{Stat: Stat{Path: p}, SameAs: same}))
	}
	member := func(p Path) []byte { return named(p, "") }
	for name, x := range map[string]struct {
		b    []byte
		want error
		says string
	}{
		"a frame that isn't known":    {frame('?', nil), ErrStream, "'?'"},
		"contents without a member":   {frame(frameData, []byte{0}), ErrStream, "between members"},
		"a member in a member":        {append(member("a"), member("b")...), ErrStream, "in a member"},
		"the end in a member":         {append(member("a"), frame(frameClose, nil)...), ErrStream, "in a member"},
		"a path that leads out":       {member("../a"), ErrUnsafe, `"../a"`},
		"a file that leads out":       {named("a", "b/../../c"), ErrUnsafe, `"b/../../c"`},
		"more than a member":          {frame(frameMember, append(AppendMember(nil, &Member{}), 1)), ErrStream, "too many bytes"},
		"a state that isn't known":    {append(member("a"), frame(frameEnd, AppendEnd(nil, &End{State: '?'}))...), ErrStream, "not known"},
		"an offset that is too large": {append(member("a"), frame(frameData, binary.AppendUvarint(nil, 1<<63))...), ErrStream, "a piece"},
		"a record over MaxRecord":     {binary.AppendUvarint([]byte{frameMember}, MaxRecord+1), ErrStream, fmt.Sprint(MaxRecord + 1)},
		"a piece over MaxData":        {append(member("a"), binary.AppendUvarint([]byte{frameData}, MaxData+binary.MaxVarintLen64+1)...), ErrStream, "bytes"},
	} {
		if _, err := read(NewStreamReader(bytes.NewReader(x.b))); !errors.Is(err, x.want) || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// As much as is allowed is.
	long := sent{Member: Member{Stat: Stat{Path: "a"}, Attrs: []Attr{{"user.a", strings.Repeat("x", MaxRecord-100)}}}, Pieces: []piece{{0, strings.Repeat("x", MaxData)}}, End: End{State: Stable}}
	var b bytes.Buffer
	write(t, &b, []sent{long})
	if got, err := read(NewStreamReader(&b)); !errors.Is(err, io.EOF) || !reflect.DeepEqual(got, []sent{long}) {
		t.Errorf("%d members, %v", len(got), err)
	}
}
