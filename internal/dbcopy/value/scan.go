package value

import "database/sql"

// Scanner reads rows of ReadAll into canonical values, valid until the next row.
type Scanner struct {
	cs   []Column
	vals [][]byte
	raw  []sql.RawBytes
	ptrs []any
}

// NewScanner reads rows of these columns.
func NewScanner(cs []Column) *Scanner {
	s := &Scanner{cs, make([][]byte, len(cs)), make([]sql.RawBytes, len(cs)), make([]any, len(cs))}
	for i := range s.raw {
		s.ptrs[i] = &s.raw[i]
	}
	return s
}

// Scan reads the row that rows stands at.
func (s *Scanner) Scan(rows *sql.Rows) (_ [][]byte, err error) {
	if err := rows.Scan(s.ptrs...); err != nil {
		return nil, err
	}
	for i, c := range s.cs {
		if s.vals[i] = s.raw[i]; s.raw[i] == nil {
			continue
		}
		if s.vals[i], err = c.Canonical(s.raw[i]); err != nil {
			return nil, err
		}
	}
	return s.vals, nil
}
