package binlog

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// GTID is one transaction in MariaDB's numbering, "domain-server-sequence"
// (https://mariadb.com/kb/en/gtid/#the-global-transaction-id).
type GTID struct {
	Domain, Server uint32
	Seq            uint64
}

func (g GTID) String() string {
	b := strconv.AppendUint(nil, uint64(g.Domain), 10)
	b = strconv.AppendUint(append(b, '-'), uint64(g.Server), 10)
	return string(strconv.AppendUint(append(b, '-'), g.Seq, 10))
}

// ParseGTID reads "0-1-42".
func ParseGTID(text string) (GTID, error) {
	parts := strings.Split(text, "-")
	if len(parts) != 3 {
		return GTID{}, fmt.Errorf("gtid %q: want domain-server-sequence: %w", text, ErrSyntax)
	}
	var n [3]uint64
	for i, bits := range [3]int{32, 32, 64} {
		var err error
		if n[i], err = decimal(parts[i], bits); err != nil {
			return GTID{}, fmt.Errorf("gtid %q: %w", text, err)
		}
	}
	return GTID{uint32(n[0]), uint32(n[1]), n[2]}, nil
}

// MariaDB is a GTID position of MariaDB: the last transaction of each replication domain, as in @@gtid_binlog_pos and
// @@gtid_slave_pos. It is not @@gtid_binlog_state, which has one per domain and server.
//
// Its order relies on MariaDB's rule that sequence numbers rise within a domain. Two masters that both write in one
// domain break that rule; who follows such servers must refuse them first.
type MariaDB struct {
	last []GTID // by domain, ascending, each domain once
}

// NewMariaDB makes a position of one GTID per domain, in any order.
func NewMariaDB(last ...GTID) (MariaDB, error) {
	s := slices.Clone(last)
	slices.SortFunc(s, func(a, b GTID) int { return cmp.Compare(a.Domain, b.Domain) })
	for i := 1; i < len(s); i++ {
		if s[i].Domain == s[i-1].Domain {
			return MariaDB{}, fmt.Errorf("gtid position has domain %d twice, %s and %s: %w", s[i].Domain, s[i-1], s[i], ErrSyntax)
		}
	}
	return MariaDB{s}, nil
}

// ParseMariaDB reads a comma-separated list; the empty text is the position before the first transaction. Space and
// line ends around an element are dropped.
func ParseMariaDB(text string) (MariaDB, error) {
	if strings.TrimSpace(text) == "" {
		return MariaDB{}, nil
	}
	var last []GTID
	for part := range strings.SplitSeq(text, ",") {
		g, err := ParseGTID(strings.TrimSpace(part))
		if err != nil {
			return MariaDB{}, fmt.Errorf("gtid position %q: %w", text, err)
		}
		last = append(last, g)
	}
	p, err := NewMariaDB(last...)
	if err != nil {
		return MariaDB{}, fmt.Errorf("gtid position %q: %w", text, err)
	}
	return p, nil
}

// IsZero: nothing has been logged.
func (p MariaDB) IsZero() bool { return len(p.last) == 0 }

// Last is the last transaction of each domain, by domain.
func (p MariaDB) Last() []GTID { return slices.Clone(p.last) }

func (p MariaDB) String() string {
	parts := make([]string, len(p.last))
	for i, g := range p.last {
		parts[i] = g.String()
	}
	return strings.Join(parts, ",")
}

// Compare: Before when q has all of p's transactions and more. ErrDiverged when each has what the other lacks, or
// when one sequence number of a domain was given out by two servers.
func (p MariaDB) Compare(q MariaDB) (Order, error) {
	whole, i, j := Same, 0, 0
	for i < len(p.last) || j < len(q.last) {
		var part Order
		switch {
		case j == len(q.last) || i < len(p.last) && p.last[i].Domain < q.last[j].Domain:
			part = After
			i++
		case i == len(p.last) || q.last[j].Domain < p.last[i].Domain:
			part = Before
			j++
		default:
			a, b := p.last[i], q.last[j]
			if a.Seq == b.Seq && a.Server != b.Server {
				return 0, fmt.Errorf("%s and %s are one number given out by two servers: %w", a, b, ErrDiverged)
			}
			part = Order(cmp.Compare(a.Seq, b.Seq))
			i++
			j++
		}
		var ok bool
		if whole, ok = merge(whole, part); !ok {
			return 0, fmt.Errorf("%q and %q: %w", p, q, ErrDiverged)
		}
	}
	return whole, nil
}

// MarshalText makes a position one string in JSON.
func (p MariaDB) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (p *MariaDB) UnmarshalText(b []byte) (err error) { *p, err = ParseMariaDB(string(b)); return err }
