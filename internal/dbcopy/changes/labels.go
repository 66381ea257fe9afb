package changes

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// labels are those of an ENUM or a SET, as bytes of the column's charset.
type labels struct {
	of  [][]byte
	sep []byte // the comma, in that charset
}

// append prints "number=label".
func (l *labels) append(to []byte, n uint64, set bool) ([]byte, error) {
	to = append(strconv.AppendUint(to, n, 10), '=')
	switch {
	case !set && n == 0: // what is stored for a label that there isn't
	case !set && n <= uint64(len(l.of)):
		to = append(to, l.of[n-1]...)
	case !set, len(l.of) < 64 && n>>len(l.of) != 0:
		return nil, fmt.Errorf("number %d has no label among %d", n, len(l.of))
	default:
		first := true
		for i, label := range l.of {
			if n>>i&1 == 0 {
				continue
			}
			if !first {
				to = append(to, l.sep...)
			}
			to, first = append(to, label...), false
		}
	}
	return to, nil
}

// parseLabels reads the labels out of COLUMN_TYPE: enum('a','it”s'). Both servers double quotes there and escape
// backslash, NUL and line end.
func parseLabels(columnType string) ([]string, error) {
	bad := fmt.Errorf("%q has no list of labels", columnType)
	i := strings.IndexByte(columnType, '(')
	if i < 0 {
		return nil, bad
	}
	var out []string
	s := columnType[i+1:]
	for {
		if !strings.HasPrefix(s, "'") {
			return nil, bad
		}
		var b strings.Builder
		k := 1
		for ; ; k++ {
			if k >= len(s) {
				return nil, bad
			}
			c := s[k]
			if c == '\'' && k+1 < len(s) && s[k+1] == '\'' {
				k++
			} else if c == '\'' {
				break
			} else if c == '\\' && k+1 < len(s) {
				k++
				switch c = s[k]; c {
				case '0':
					c = 0
				case 'n':
					c = '\n'
				case 'r':
					c = '\r'
				}
			}
			b.WriteByte(c)
		}
		out = append(out, b.String())
		s = s[k+1:]
		if strings.HasPrefix(s, ")") {
			return out, nil
		}
		if !strings.HasPrefix(s, ",") {
			return nil, bad
		}
		s = s[1:]
	}
}

// readLabels has the server convert a column's labels, and the comma between those of a SET, to the column's charset.
func readLabels(ctx context.Context, db *sql.DB, c value.Column) (*labels, error) {
	texts, err := parseLabels(c.ColumnType)
	if err != nil {
		return nil, err
	}
	texts = append(texts, ",")
	exprs, vals, ptrs := make([]string, len(texts)), make([]string, len(texts)), make([]any, len(texts))
	for i, t := range texts {
		exprs[i] = fmt.Sprintf("HEX(CONVERT(_utf8mb4 x'%x' USING %s))", t, c.Charset)
		ptrs[i] = &vals[i]
	}
	if err := db.QueryRowContext(ctx, "SELECT "+strings.Join(exprs, ",")).Scan(ptrs...); err != nil {
		return nil, err
	}
	l := &labels{}
	for _, v := range vals {
		b, err := hex.DecodeString(v)
		if err != nil {
			return nil, err
		}
		l.of = append(l.of, b)
	}
	l.sep, l.of = l.of[len(l.of)-1], l.of[:len(l.of)-1]
	return l, nil
}
