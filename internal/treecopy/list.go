package treecopy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// fields is how many NUL-terminated fields a record of remote.TreeFormat has.
const fields = 11

// maxField bounds a field in bytes: a path is at most 4096 for the kernel, but find can go deeper.
const maxField = 1 << 20

// readList takes what find printed in remote.TreeFormat apart. each may keep the entry.
func readList(r io.Reader, each func(Stat) error) error {
	b := bufio.NewReaderSize(r, 256<<10)
	var rec [fields]string
	for n := 0; ; n++ {
		for i := range rec {
			f, err := field(b)
			if errors.Is(err, io.EOF) && i == 0 && f == "" {
				return nil
			}
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				return fmt.Errorf("listing, entry %d: %w", n+1, err)
			}
			rec[i] = f
		}
		s, err := parse(rec)
		if err != nil {
			return fmt.Errorf("listing, entry %d, %q: %w", n+1, rec[9], err)
		}
		if err := each(s); err != nil {
			return err
		}
	}
}

// field reads up to the next NUL.
func field(b *bufio.Reader) (string, error) {
	var long []byte
	for {
		part, err := b.ReadSlice(0)
		if errors.Is(err, bufio.ErrBufferFull) && len(long) < maxField {
			long = append(long, part...)
			continue
		}
		if err != nil {
			return string(append(long, part...)), err
		}
		return string(append(long, part[:len(part)-1]...)), nil
	}
}

func parse(f [fields]string) (Stat, error) {
	s := Stat{Kind: Kind(f[0]), Path: Bytes(f[9]), Link: Bytes(f[10])}
	var errs [8]error
	var mode, uid, gid uint64
	s.Size, errs[0] = strconv.ParseInt(f[1], 10, 64)
	mode, errs[1] = strconv.ParseUint(f[2], 8, 12)
	uid, errs[2] = strconv.ParseUint(f[3], 10, 32)
	gid, errs[3] = strconv.ParseUint(f[4], 10, 32)
	errs[4] = s.MTime.UnmarshalText([]byte(f[5]))
	errs[5] = s.CTime.UnmarshalText([]byte(f[6]))
	s.Inode, errs[6] = strconv.ParseUint(f[7], 10, 64)
	s.Names, errs[7] = strconv.ParseUint(f[8], 10, 64)
	s.Mode, s.UID, s.GID = uint32(mode), uint32(uid), uint32(gid)
	if err := errors.Join(errs[:]...); err != nil {
		return s, err
	}
	switch _, sp := special(s.Kind); {
	case s.Kind == File, s.Kind == Directory, s.Kind == Symlink, sp:
		return s, nil
	}
	return s, fmt.Errorf("find can't tell its type (%q)", f[0])
}
