package changes

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
)

// mostEvent bounds one event, in bytes: the servers' own limit (max_allowed_packet is at most 1 GiB).
const mostEvent = 1 << 30

// inflate reads what MariaDB's log_bin_compress wrote: a byte whose lower three bits say how many bytes of length follow, the length (big-endian), zlib
// (MariaDB sql/log_event.cc, binlog_buf_uncompress).
func inflate(b []byte) ([]byte, error) {
	if len(b) < 1 || len(b) < 1+int(b[0]&7) {
		return nil, errShort
	}
	if b[0]&0x70 != 0 {
		return nil, fmt.Errorf("a compressed event of algorithm %d", b[0]&0x70>>4)
	}
	lead := 1 + int(b[0]&7)
	size := big(b[1:lead])
	if size > mostEvent {
		return nil, fmt.Errorf("a compressed event of %d bytes", size)
	}
	z, err := zlib.NewReader(bytes.NewReader(b[lead:]))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	out, err := fill(z, nil, int(size))
	if err != nil {
		return nil, err
	}
	if n, err := z.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		return nil, errors.Join(errors.New("a compressed event is longer than it says"), err)
	}
	return out, nil
}

// fill reads n bytes behind to, taking memory as they come: a damaged length must not take what it claims.
func fill(r io.Reader, to []byte, n int) ([]byte, error) {
	for n > 0 {
		k := min(n, 1<<20)
		from := len(to)
		to = append(to, make([]byte, k)...)
		if _, err := io.ReadFull(r, to[from:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		n -= k
	}
	return to, nil
}

// payloadOf gives the compressed part of a MySQL transaction payload event: fields of type, length, value (lengths as MySQL packs
// integers), ended by type 0 (MySQL libs/mysql/binlog/event/codecs/binary.cpp).
func payloadOf(b []byte) ([]byte, error) {
	take := func() (uint64, bool) {
		if len(b) == 0 {
			return 0, false
		}
		n := 0
		switch b[0] {
		case 0xfc:
			n = 2
		case 0xfd:
			n = 3
		case 0xfe:
			n = 8
		}
		if len(b) < 1+n {
			return 0, false
		}
		v := uint64(b[0])
		if n > 0 {
			v = little(b[1 : 1+n])
		}
		b = b[1+n:]
		return v, true
	}
	for {
		typ, ok := take()
		if !ok {
			return nil, errShort
		}
		if typ == 0 {
			return b, nil
		}
		n, ok := take()
		if !ok || n > uint64(len(b)) {
			return nil, errShort
		}
		v := b[:n]
		b = b[n:]
		if typ == 2 { // how it is compressed
			if len(v) != 1 || v[0] != 0 {
				return nil, fmt.Errorf("compressed by method %x, which isn't zstd", v)
			}
		}
	}
}
