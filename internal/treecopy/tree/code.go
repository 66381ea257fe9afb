package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// errShort: a record ends before its last field.
var errShort = errors.New("the record is cut off")

// MaxRecord bounds an encoded entry in bytes: a path and a link's target of 4096 each, and attributes, of which the kernel hands out 64 KiB of
// names and 64 KiB for each value. What is longer is not ours.
const MaxRecord = 4 << 20

// AppendStat appends an entry's encoding. Integers are varints of encoding/binary; texts have their length before them.
func AppendStat(b []byte, s *Stat) []byte {
	b = append(b, byte(s.Kind))
	b = appendText(b, string(s.Path))
	b = binary.AppendVarint(b, s.Size)
	b = binary.AppendUvarint(b, uint64(s.Mode))
	b = binary.AppendUvarint(b, uint64(s.UID))
	b = binary.AppendUvarint(b, uint64(s.GID))
	b = appendTime(b, s.MTime)
	b = appendTime(b, s.CTime)
	b = binary.AppendUvarint(b, s.Inode)
	b = binary.AppendUvarint(b, s.Names)
	b = binary.AppendVarint(b, s.Blocks)
	return appendText(b, string(s.Link))
}

// DecodeStat takes an entry off the front of a record.
func DecodeStat(b []byte, s *Stat) (rest []byte, err error) {
	r := record{b: b}
	s.Kind = Kind(r.byte())
	s.Path = Path(r.text())
	s.Size = r.varint()
	s.Mode = uint32(r.uvarint())
	s.UID = uint32(r.uvarint())
	s.GID = uint32(r.uvarint())
	s.MTime = r.time()
	s.CTime = r.time()
	s.Inode = r.uvarint()
	s.Names = r.uvarint()
	s.Blocks = r.varint()
	s.Link = Path(r.text())
	if r.short {
		return nil, errShort
	}
	return r.b, nil
}

// AppendMember appends a member's encoding.
func AppendMember(b []byte, m *Member) []byte {
	b = AppendStat(b, &m.Stat)
	b = appendText(b, string(m.SameAs))
	b = binary.AppendUvarint(b, uint64(len(m.Attrs)))
	for _, a := range m.Attrs {
		b = appendText(appendText(b, a.Name), a.Value)
	}
	return b
}

// DecodeMember takes a member off the front of a record.
func DecodeMember(b []byte, m *Member) (rest []byte, err error) {
	if b, err = DecodeStat(b, &m.Stat); err != nil {
		return nil, err
	}
	r := record{b: b}
	m.SameAs = Path(r.text())
	n := r.uvarint()
	if n > uint64(len(r.b)) { // each has two bytes at least
		return nil, errShort
	}
	m.Attrs = nil
	for range n {
		m.Attrs = append(m.Attrs, Attr{r.text(), r.text()})
	}
	if r.short {
		return nil, errShort
	}
	return r.b, nil
}

// AppendEnd appends an end's encoding.
func AppendEnd(b []byte, e *End) []byte {
	b = append(b, byte(e.State))
	b = append(b, e.Sum[:]...)
	return appendText(appendTime(b, e.At), e.Why)
}

// DecodeEnd takes an end off the front of a record.
func DecodeEnd(b []byte, e *End) (rest []byte, err error) {
	r := record{b: b}
	e.State = State(r.byte())
	copy(e.Sum[:], r.take(len(e.Sum)))
	e.At = r.time()
	e.Why = r.text()
	if r.short {
		return nil, errShort
	}
	switch e.State {
	case Stable, Changed, Gone, Unreadable, Failed, Doubtful:
		return r.b, nil
	}
	return nil, fmt.Errorf("state %q is not known", byte(e.State))
}

// AppendSum appends a sum's encoding.
func AppendSum(b []byte, s *Sum) []byte { return AppendEnd(AppendMember(b, &s.Member), &s.End) }

// DecodeSum takes a sum off the front of a record.
func DecodeSum(b []byte, s *Sum) (rest []byte, err error) {
	if b, err = DecodeMember(b, &s.Member); err != nil {
		return nil, err
	}
	return DecodeEnd(b, &s.End)
}

// AppendWritten appends the encoding of what became of a member.
func AppendWritten(b []byte, w *Written) []byte {
	return AppendEnd(appendText(b, string(w.Path)), &End{State: w.State, Sum: w.Sum, Why: w.Why})
}

// DecodeWritten takes what became of a member off the front of a record.
func DecodeWritten(b []byte, w *Written) (rest []byte, err error) {
	r := record{b: b}
	w.Path = Path(r.text())
	if r.short {
		return nil, errShort
	}
	var e End
	rest, err = DecodeEnd(r.b, &e)
	w.State, w.Sum, w.Why = e.State, e.Sum, e.Why
	return rest, err
}

// AppendKeeps appends the encoding of what a target keeps.
func AppendKeeps(b []byte, k *Keeps) []byte {
	var flags byte
	for i, f := range []bool{k.Owners, k.Attrs, k.ACLs, k.Holes} {
		if f {
			flags |= 1 << i
		}
	}
	b = append(b, flags)
	for _, n := range []int64{k.Grain, k.Bytes, k.Inodes, int64(k.UID), int64(k.GID)} {
		b = binary.AppendVarint(b, n)
	}
	return appendText(b, k.Root)
}

// DecodeKeeps takes what a target keeps off the front of a record.
func DecodeKeeps(b []byte, k *Keeps) (rest []byte, err error) {
	r := record{b: b}
	flags := r.byte()
	k.Owners, k.Attrs, k.ACLs, k.Holes = flags&1 != 0, flags&2 != 0, flags&4 != 0, flags&8 != 0
	k.Grain, k.Bytes, k.Inodes = r.varint(), r.varint(), r.varint()
	k.UID, k.GID = uint32(r.varint()), uint32(r.varint())
	k.Root = r.text()
	if r.short {
		return nil, errShort
	}
	return r.b, nil
}

// AppendPath appends a path's encoding.
func AppendPath(b []byte, p Path) []byte { return appendText(b, string(p)) }

// DecodePath takes a path off the front of a record, and refuses one that could lead out of the tree.
func DecodePath(b []byte, p *Path) (rest []byte, err error) {
	r := record{b: b}
	*p = Path(r.text())
	if r.short {
		return nil, errShort
	}
	return r.b, p.Check()
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendTime(b []byte, t Time) []byte {
	return binary.AppendUvarint(binary.AppendVarint(b, t.Sec), uint64(t.Nsec))
}

// record is read from its front; once it was too short it stays so.
type record struct {
	b     []byte
	short bool
}

func (r *record) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.b, r.short = nil, true
		return nil
	}
	got := r.b[:n]
	r.b = r.b[n:]
	return got
}

func (r *record) byte() byte {
	if got := r.take(1); got != nil {
		return got[0]
	}
	return 0
}

func (r *record) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.short = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *record) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.b, r.short = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *record) text() string {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.b, r.short = nil, true
		return ""
	}
	return string(r.take(int(n)))
}

func (r *record) time() Time { return Time{r.varint(), int64(r.uvarint())} }
