package shop

import (
	"encoding/binary"
	"hash/adler32"
	"hash/crc32"
	"math/rand/v2"
)

// picture is a valid PNG of about size bytes: a gradient under noise, in deflate blocks that are stored and not
// compressed, so that making one costs little more than its bytes (RFC 1950, RFC 1951, PNG specification).
func picture(r *rand.Rand, size int) []byte {
	width := 160
	if size < 4096 {
		width = 16
	}
	line := 1 + 3*width
	height := max(1, (size-80)/line)
	pixels := make([]byte, height*line)
	red, green, blue := r.Uint32(), r.Uint32(), r.Uint32()
	for y := range height {
		row := pixels[y*line+1 : (y+1)*line]
		for x := 0; x < width; x++ {
			n := r.Uint64()
			shade := uint32((x + y) / 2)
			row[3*x], row[3*x+1], row[3*x+2] = byte(red+shade)&^31|byte(n&31), byte(green+shade)&^31|byte(n>>8&31), byte(blue+shade)&^31|byte(n>>16&31)
		}
	}
	out := make([]byte, 0, len(pixels)+120)
	out = append(out, "\x89PNG\r\n\x1a\n"...)
	head := make([]byte, 13)
	binary.BigEndian.PutUint32(head, uint32(width))
	binary.BigEndian.PutUint32(head[4:], uint32(height))
	head[8], head[9] = 8, 2 // 8 bits of each of red, green and blue
	out = chunk(out, "IHDR", head)
	data := []byte{0x78, 0x01}
	for rest := pixels; len(rest) > 0; {
		n := min(len(rest), 65535)
		var final byte
		if n == len(rest) {
			final = 1
		}
		data = append(data, final, byte(n), byte(n>>8), ^byte(n), ^byte(n>>8))
		data, rest = append(data, rest[:n]...), rest[n:]
	}
	data = binary.BigEndian.AppendUint32(data, adler32.Checksum(pixels))
	out = chunk(out, "IDAT", data)
	return chunk(out, "IEND", nil)
}

func chunk(out []byte, kind string, data []byte) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(len(data)))
	from := len(out)
	out = append(append(out, kind...), data...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[from:]))
}
