package binlog

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// File is a place in one server's log: the file's name and the offset of the next event in bytes. Both servers print
// it as two columns (SHOW BINARY LOG STATUS; Binlog_snapshot_file and Binlog_snapshot_position); as text it is
// "name.000012:345".
//
// A File means something on the server it was read from only, and only until that server's log is reset.
type File struct {
	Name   string
	Offset uint64
}

// IsZero: no place; a log has no file without a name.
func (f File) IsZero() bool { return f == File{} }

func (f File) String() string {
	if f.IsZero() {
		return ""
	}
	return f.Name + ":" + strconv.FormatUint(f.Offset, 10)
}

// ParseFile reads what String prints. The name must end in the number by which the server orders its files.
func ParseFile(text string) (File, error) {
	if text == "" {
		return File{}, nil
	}
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return File{}, fmt.Errorf("binlog position %q: no offset after a colon: %w", text, ErrSyntax)
	}
	off, err := decimal(text[i+1:], 64)
	if err != nil {
		return File{}, fmt.Errorf("binlog position %q: offset: %w", text, err)
	}
	f := File{Name: text[:i], Offset: off}
	if _, _, err := f.split(); err != nil {
		return File{}, err
	}
	return f, nil
}

// Compare orders two places of one log: by the number in the file's name, then by offset. ErrOtherLog when the names
// differ in more than their number, or one is the zero value.
func (f File) Compare(g File) (Order, error) {
	if f == g {
		return Same, nil
	}
	fb, fn, err := f.split()
	if err != nil {
		return 0, err
	}
	gb, gn, err := g.split()
	if err != nil {
		return 0, err
	}
	if fb != gb {
		return 0, fmt.Errorf("%s and %s: %w", f, g, ErrOtherLog)
	}
	return Order(cmp.Or(cmp.Compare(fn, gn), cmp.Compare(f.Offset, g.Offset))), nil
}

// split parts "mariadb-bin.000012" into "mariadb-bin" and 12. The servers pad to six digits and go on past them.
func (f File) split() (base string, number uint64, err error) {
	i := strings.LastIndexByte(f.Name, '.')
	if i <= 0 {
		return "", 0, fmt.Errorf("binlog file %q: no number at its end: %w", f.Name, ErrSyntax)
	}
	digits := f.Name[i+1:]
	number, err = strconv.ParseUint(digits, 10, 63)
	if err != nil || digits[0] == '+' || fmt.Sprintf("%06d", number) != digits {
		return "", 0, fmt.Errorf("binlog file %q: %q is not a log's number: %w", f.Name, digits, ErrSyntax)
	}
	return f.Name[:i], number, nil
}

// MarshalText makes a File one string in JSON.
func (f File) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (f *File) UnmarshalText(b []byte) (err error) { *f, err = ParseFile(string(b)); return err }

// decimal reads an unsigned number as the servers print it: digits only, no sign, no leading zero.
func decimal(s string, bits int) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, bits)
	if err != nil || s[0] == '+' || len(s) > 1 && s[0] == '0' {
		return 0, fmt.Errorf("%q is not a number of at most %d bits: %w", s, bits, ErrSyntax)
	}
	return n, nil
}
