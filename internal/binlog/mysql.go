package binlog

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// MySQL is a GTID set of MySQL, as in @@gtid_executed: for each origin (a server's UUID, since 8.3 with an optional
// tag) the intervals of transaction numbers
// (https://dev.mysql.com/doc/refman/en/replication-gtids-concepts.html).
type MySQL struct {
	sets []originSet // by uuid, then tag; none is empty
}

type origin struct {
	uuid [16]byte
	tag  string // lower case; "": none
}

type originSet struct {
	origin
	in []interval // ascending, neither overlapping nor touching
}

// interval is first..last, both included.
type interval struct{ first, last uint64 }

// maxNumber is the highest transaction number that MySQL gives out (GNO_END - 1 in its source, 2^63 - 2).
const maxNumber = math.MaxInt64 - 1

// maxTag is the longest tag (MySQL manual, "GTID format").
const maxTag = 32

// ParseMySQL reads a set in any form that MySQL takes: elements in any order, overlapping intervals, line ends after
// commas, capitals. The empty text is the empty set.
func ParseMySQL(text string) (MySQL, error) {
	if strings.TrimSpace(text) == "" {
		return MySQL{}, nil
	}
	var sets []originSet
	for part := range strings.SplitSeq(text, ",") {
		more, err := parseOrigin(strings.TrimSpace(part))
		if err != nil {
			return MySQL{}, fmt.Errorf("gtid set %q: %w", text, err)
		}
		sets = append(sets, more...)
	}
	return MySQL{normal(sets)}, nil
}

// parseOrigin reads "uuid:1-5:7:tag:1-3".
func parseOrigin(part string) ([]originSet, error) {
	fields := strings.Split(part, ":")
	uuid, err := parseUUID(strings.TrimSpace(fields[0]))
	if err != nil {
		return nil, err
	}
	var out []originSet
	cur := originSet{origin: origin{uuid: uuid}}
	flush := func() error {
		if len(cur.in) == 0 {
			return fmt.Errorf("%q has no interval for %s: %w", part, cur.origin, ErrSyntax)
		}
		out = append(out, cur)
		return nil
	}
	for i, f := range fields[1:] {
		f = strings.TrimSpace(f)
		if isTag(f) {
			if i > 0 {
				if err := flush(); err != nil {
					return nil, err
				}
			}
			cur = originSet{origin: origin{uuid, strings.ToLower(f)}}
			continue
		}
		iv, err := parseInterval(f)
		if err != nil {
			return nil, err
		}
		cur.in = append(cur.in, iv)
	}
	return out, flush()
}

func parseUUID(s string) (u [16]byte, err error) {
	// MySQL prints 8-4-4-4-12 and takes nothing else.
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return u, fmt.Errorf("%q is not a server's uuid: %w", s, ErrSyntax)
	}
	if _, err := hex.Decode(u[:], []byte(s[:8]+s[9:13]+s[14:18]+s[19:23]+s[24:])); err != nil {
		return u, fmt.Errorf("%q is not a server's uuid: %w", s, ErrSyntax)
	}
	return u, nil
}

func isTag(s string) bool {
	if s == "" || len(s) > maxTag || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
	})
}

func parseInterval(s string) (interval, error) {
	a, b, ranged := strings.Cut(s, "-")
	if !ranged {
		b = a
	}
	first, err := decimal(a, 63)
	if err != nil {
		return interval{}, err
	}
	last, err := decimal(b, 63)
	if err != nil {
		return interval{}, err
	}
	if first < 1 || last < first || last > maxNumber {
		return interval{}, fmt.Errorf("%q is not an interval of transaction numbers from 1 to %d: %w", s, uint64(maxNumber), ErrSyntax)
	}
	return interval{first, last}, nil
}

// normal sorts, joins what belongs together, and leaves out what is empty.
func normal(sets []originSet) []originSet {
	slices.SortStableFunc(sets, func(a, b originSet) int { return a.compare(b.origin) })
	var out []originSet
	for _, s := range sets {
		if n := len(out); n > 0 && out[n-1].origin == s.origin {
			out[n-1].in = append(out[n-1].in, s.in...)
			continue
		}
		out = append(out, originSet{s.origin, slices.Clone(s.in)})
	}
	for i := range out {
		in := out[i].in
		slices.SortFunc(in, func(a, b interval) int { return cmp.Compare(a.first, b.first) })
		n := 0
		for _, iv := range in[1:] {
			if iv.first <= in[n].last+1 {
				in[n].last = max(in[n].last, iv.last)
				continue
			}
			n++
			in[n] = iv
		}
		out[i].in = in[:n+1]
	}
	return out
}

func (o origin) compare(p origin) int {
	return cmp.Or(slices.Compare(o.uuid[:], p.uuid[:]), cmp.Compare(o.tag, p.tag))
}

func (o origin) String() string {
	h := hex.EncodeToString(o.uuid[:])
	s := h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
	if o.tag != "" {
		s += ":" + o.tag
	}
	return s
}

// IsZero: the set has no transaction.
func (s MySQL) IsZero() bool { return len(s.sets) == 0 }

// String is the set in MySQL's own normal form, but on one line.
func (s MySQL) String() string {
	var b strings.Builder
	for i, o := range s.sets {
		switch {
		case i == 0:
			b.WriteString(o.origin.String())
		case s.sets[i-1].uuid == o.uuid:
			b.WriteString(":" + o.tag)
		default:
			b.WriteString("," + o.origin.String())
		}
		for _, iv := range o.in {
			b.WriteString(":" + strconv.FormatUint(iv.first, 10))
			if iv.last > iv.first {
				b.WriteString("-" + strconv.FormatUint(iv.last, 10))
			}
		}
	}
	return b.String()
}

// Compare: Before when t has all of s's transactions and more; ErrDiverged when each has what the other lacks.
func (s MySQL) Compare(t MySQL) (Order, error) {
	sInT, tInS := s.within(t), t.within(s)
	switch {
	case sInT && tInS:
		return Same, nil
	case sInT:
		return Before, nil
	case tInS:
		return After, nil
	}
	return 0, fmt.Errorf("%q and %q: %w", s, t, ErrDiverged)
}

// within: each transaction of s is in t.
func (s MySQL) within(t MySQL) bool {
	for _, o := range s.sets {
		i, found := slices.BinarySearchFunc(t.sets, o.origin, func(x originSet, y origin) int { return x.compare(y) })
		if !found {
			return false
		}
		in := t.sets[i].in
		for _, iv := range o.in {
			// The last interval of t that doesn't begin after iv must hold all of it, because t's don't touch.
			k, found := slices.BinarySearchFunc(in, iv.first, func(x interval, n uint64) int { return cmp.Compare(x.first, n) })
			if !found {
				k--
			}
			if k < 0 || in[k].last < iv.last {
				return false
			}
		}
	}
	return true
}

// Union is every transaction of either.
func (s MySQL) Union(t MySQL) MySQL {
	return MySQL{normal(append(slices.Clone(s.sets), t.sets...))}
}

// MarshalText makes a set one string in JSON.
func (s MySQL) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *MySQL) UnmarshalText(b []byte) (err error) { *s, err = ParseMySQL(string(b)); return err }
