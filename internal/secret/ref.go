package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxFile bounds what a file: reference may hold, in bytes. The longest secret in use is a service-account key (2.4 KB).
const maxFile = 64 << 10

var (
	// ErrRef means that a text isn't a reference. To fix in the configuration.
	ErrRef = errors.New("not a reference: write env:NAME or file:PATH")
	// ErrMissing means that what a reference names isn't there or is empty. To fix in the environment or the file.
	ErrMissing = errors.New("secret is missing")
	// ErrReadable means that a file with a secret can be read by others than its owner. The message has the chmod to type.
	ErrReadable = errors.New("secret can be read by others")
)

// Ref says where a secret is to be found. It may be printed, encoded and compared. The zero Ref is no reference.
type Ref struct{ kind, name string }

// ParseRef reads "env:NAME" or "file:PATH". A text that is neither is ErrRef, and its text is not in the error: it may
// well be the secret itself.
func ParseRef(text string) (Ref, error) {
	kind, name, ok := strings.Cut(text, ":")
	if !ok || name == "" || strings.ContainsRune(name, 0) {
		return Ref{}, ErrRef
	}
	switch kind {
	case "env":
		if strings.ContainsAny(name, "= \t\n") {
			return Ref{}, ErrRef
		}
	case "file":
	default:
		return Ref{}, ErrRef
	}
	return Ref{kind, name}, nil
}

// IsZero says that there is no reference.
func (r Ref) IsZero() bool { return r.kind == "" }

// String gives the reference as it is written in slipway.yaml; "" for none.
func (r Ref) String() string {
	if r.IsZero() {
		return ""
	}
	return r.kind + ":" + r.name
}

// MarshalText gives String's text.
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what ParseRef reads, or "" for none.
func (r *Ref) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 {
		*r = Ref{}
		return nil
	}
	*r, err = ParseRef(string(b))
	return err
}

// In resolves a relative file path against dir; other references are returned as they are.
func (r Ref) In(dir string) Ref {
	if r.kind == "file" && !filepath.IsAbs(r.name) {
		r.name = filepath.Join(dir, r.name)
	}
	return r
}

// Path is the file of a file: reference, and "" for others.
func (r Ref) Path() string {
	if r.kind != "file" {
		return ""
	}
	return r.name
}

// Resolve reads the secret. One newline at the end is not part of it. Errors: ErrRef (zero Ref), ErrMissing, ErrReadable,
// or the operating system's.
func (r Ref) Resolve() (String, error) {
	var s String
	var err error
	switch r.kind {
	case "env":
		s = New(os.Getenv(r.name))
		if s.IsZero() {
			err = fmt.Errorf("environment variable %s is unset or empty: %w", r.name, ErrMissing)
		}
	case "file":
		s, err = fromFile(r.name)
	default:
		err = ErrRef
	}
	return s, err
}

func fromFile(path string) (String, error) {
	b, err := ReadPrivate(path)
	if err != nil {
		return String{}, err
	}
	if int64(len(b)) > maxFile {
		return String{}, fmt.Errorf("%s has more than %d bytes: %w", path, maxFile, ErrRef)
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if len(b) == 0 {
		return String{}, fmt.Errorf("file %s is empty: %w", path, ErrMissing)
	}
	return New(string(b)), nil
}

// ReadPrivate reads a file (at most 64 KiB and one byte) that only its owner may read. Mode and owner are looked at
// through the open file, so that it can't be changed for another in between. A file that belongs to neither this user nor
// root, that group or world can read or write (ErrReadable), or that isn't a regular file, is refused.
func ReadPrivate(path string) ([]byte, error) {
	// O_NONBLOCK: a FIFO without a writer is refused below, instead of waited for.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("file %s does not exist: %w", path, ErrMissing)
	}
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file: %w", path, ErrMissing)
	}
	if m := fi.Mode().Perm(); m&0o077 != 0 {
		return nil, fmt.Errorf("file %s has mode %04o, type: chmod 600 %s: %w", path, m, path, ErrReadable)
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("file %s belongs to user %d, type: chown %d %s: %w", path, st.Uid, os.Geteuid(), path, ErrReadable)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	return b, nil
}
