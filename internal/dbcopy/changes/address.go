package changes

import (
	"encoding/hex"
	"fmt"
	"strconv"
)

// MariaDB holds UUID, INET4 and INET6 as bytes.

// uuidText prints 16 bytes as MariaDB holds a UUID: versions 1 to 5 with their parts in reverse, so that they sort by time
// (MariaDB sql_type_uuid.h); others, since 10.10.6 and 10.11.5, as they are. old: of before, all in reverse.
func uuidText(b []byte, old bool) []byte {
	m := b
	if old || b[6]&0x80 != 0 && b[8] >= 1 && b[8] <= 0x80 {
		m = make([]byte, 0, 16)
		for _, at := range [5][2]int{{12, 16}, {10, 12}, {8, 10}, {6, 8}, {0, 6}} {
			m = append(m, b[at[0]:at[1]]...)
		}
	}
	h := hex.AppendEncode(nil, m)
	out := append(append([]byte{}, h[:8]...), '-')
	out = append(append(out, h[8:12]...), '-')
	out = append(append(out, h[12:16]...), '-')
	out = append(append(out, h[16:20]...), '-')
	return append(out, h[20:]...)
}

func inet4Text(b []byte) []byte { return fmt.Appendf(nil, "%d.%d.%d.%d", b[0], b[1], b[2], b[3]) }

// inet6Text prints an address as MariaDB does (Inet6::to_string): the first of the longest runs of zero words, be it one word, is "::";
// what may be an IPv4 address is printed as one.
func inet6Text(b []byte) []byte {
	var w [8]uint16
	for i := range w {
		w[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
	}
	pos, length := -1, 0
	for i := 0; i < 8; i++ {
		n := 0
		for i+n < 8 && w[i+n] == 0 {
			n++
		}
		if n > length {
			pos, length = i, n
		}
		i += n
	}
	var out []byte
	for i := 0; i < 8; {
		switch {
		case i == pos:
			if i == 0 {
				out = append(out, ':')
			}
			out = append(out, ':')
			i += length
		case i == 6 && pos == 0 && (length == 6 || length == 5 && w[5] == 0xffff):
			return append(out, inet4Text(b[12:])...)
		default:
			out = strconv.AppendUint(out, uint64(w[i]), 16)
			if i < 7 {
				out = append(out, ':')
			}
			i++
		}
	}
	return out
}
