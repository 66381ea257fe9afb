package treecopy

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

const block = 512 // of tar

// counter counts what passes.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// scan reads a tar to its end, hashes every member's contents, and gives each with its place. A hard link gets what the member that it
// leads to has; chunk is written into the places. tell is given the bytes of contents as they pass.
func scan(r io.Reader, chunk string, tell func(bytes int64), each func(Entry) error) error {
	in := &counter{r: r}
	tr := tar.NewReader(in)
	first := map[Bytes]Entry{}
	sum, buf := sha256.New(), make([]byte, 256<<10)
	for {
		at := up(in.n)
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			_, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{in}, buf) // tar fills up its last record
			return err
		}
		if err != nil {
			return fmt.Errorf("tar, after byte %d: %w", in.n, err)
		}
		e, err := entryOf(h)
		if err != nil {
			return fmt.Errorf("tar, %s: %w", Bytes(h.Name), err)
		}
		switch {
		case h.Typeflag == tar.TypeLink:
			was, ok := first[inTree(h.Linkname)]
			if !ok {
				return fmt.Errorf("tar, %s: it is a hard link to %s, which isn't before it", e.Path, Bytes(h.Linkname))
			}
			e.Kind, e.Size, e.SHA256 = File, was.Size, was.SHA256
			e.Attrs = was.Attrs
		case e.Kind == File:
			sum.Reset()
			n, err := copyTo(sum, tr, buf, tell)
			if err != nil {
				return fmt.Errorf("tar, %s: %w", e.Path, err)
			}
			if n != h.Size {
				return fmt.Errorf("tar, %s: %d bytes of %d: %w", e.Path, n, h.Size, io.ErrUnexpectedEOF)
			}
			e.Size, e.SHA256 = n, hex.EncodeToString(sum.Sum(nil))
			first[e.Path] = e
		}
		e.Place = Place{chunk, at, up(in.n) - at}
		if err := each(e); err != nil {
			return err
		}
	}
}

func copyTo(w io.Writer, r io.Reader, buf []byte, tell func(int64)) (total int64, err error) {
	for {
		n, err := r.Read(buf)
		if n > 0 {
			_, _ = w.Write(buf[:n]) // a hash doesn't fail
			total += int64(n)
			tell(int64(n))
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// up rounds up to tar's blocks.
func up(n int64) int64 { return (n + block - 1) / block * block }

// inTree is a member's name as a path below the root.
func inTree(name string) Bytes {
	return Bytes(strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(name, "."), "/"), "/"))
}

// The names under which pax headers carry extended attributes and ACLs.
const (
	xattrPrefix = "SCHILY.xattr."
	aclPrefix   = "SCHILY.acl."
)

func entryOf(h *tar.Header) (Entry, error) {
	e := Entry{Path: inTree(h.Name), Mode: uint32(h.Mode) & 0o7777, UID: uint32(h.Uid), GID: uint32(h.Gid), MTime: timeOf(h.ModTime), CTime: timeOf(h.ChangeTime)}
	if !strings.HasPrefix(h.Name, "./") {
		return e, errors.New("its name doesn't begin with ./")
	}
	if h.ChangeTime.IsZero() {
		return e, errors.New("it comes without its time of change: the host's tar isn't GNU tar")
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeLink:
		e.Kind = File
	case tar.TypeDir:
		e.Kind = Directory
	case tar.TypeSymlink:
		e.Kind, e.Link = Symlink, Bytes(h.Linkname)
	default:
		return e, fmt.Errorf("it is of type %q", h.Typeflag)
	}
	for k, v := range h.PAXRecords {
		if strings.HasPrefix(k, xattrPrefix) || strings.HasPrefix(k, aclPrefix) {
			e.Attrs = append(e.Attrs, Attr{Bytes(k), base64Text(v)})
		}
	}
	slices.SortFunc(e.Attrs, func(a, b Attr) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return e, nil
}
