package remote

import (
	"errors"
	"strings"
)

// ErrNUL is returned for an argument with a NUL byte, which no process can be given. To fix in the caller.
var ErrNUL = errors.New("an argument can't contain a NUL byte")

// Quote makes of an argument vector the one string that SSH carries (RFC 4254, 6.5), such that a POSIX shell reads the
// same vector out of it. Every word is in single quotes, also where it needn't be: so that no word is ever a reserved
// word, an alias, an assignment, a tilde or a pattern, and there is no list of safe characters to get wrong.
func Quote(argv ...string) (string, error) {
	if len(argv) == 0 {
		return "", errors.New("no command to quote")
	}
	var b strings.Builder
	for i, a := range argv {
		if strings.IndexByte(a, 0) >= 0 {
			return "", ErrNUL
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteByte('\'')
		b.WriteString(strings.ReplaceAll(a, `'`, `'\''`))
		b.WriteByte('\'')
	}
	return b.String(), nil
}
