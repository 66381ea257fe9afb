package journal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// MaxLine is the longest line, in bytes. A longer one is refused on writing and is damage on reading.
const MaxLine = 16 << 20

// sector is the smallest unit in which a disk forgets, in bytes: a hole of zeros in a torn record begins at the
// record's start or at a multiple of it, and ends at a multiple of it or at the record's end. A zero byte anywhere
// else is damage.
const sector = 512

const (
	crcLead = `,"crc":"`
	crcTail = `"}`
	// framing is what follows the bytes that the checksum covers.
	framing = len(crcLead) + 8 + len(crcTail)
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode frames r: CRC-32C over the raw bytes before `,"crc"`, so that nothing is ever encoded again to be checked.
// The newline is part of the result.
func encode(r Record) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return nil, err
	}
	line := b.Bytes()[:b.Len()-len("}\n")]
	line = fmt.Appendf(line, "%s%08x%s\n", crcLead, crc32.Checksum(line, castagnoli), crcTail)
	if len(line) > MaxLine {
		return nil, fmt.Errorf("%s record of %q: %d bytes: %w", r.Kind, r.Step, len(line), ErrTooLong)
	}
	return line, nil
}

func hash(line []byte) string {
	h := sha256.Sum256(line)
	return hex.EncodeToString(h[:])
}

// framed says whether line (without its newline) is whole: its checksum is there and right.
func framed(line []byte) bool {
	n := len(line) - framing
	if n < 0 || string(line[n:n+len(crcLead)]) != crcLead {
		return false
	}
	var sum [4]byte
	var tail [8 + len(crcTail)]byte
	binary.BigEndian.PutUint32(sum[:], crc32.Checksum(line[:n], castagnoli))
	hex.Encode(tail[:8], sum[:])
	copy(tail[8:], crcTail)
	return string(tail[:]) == string(line[n+len(crcLead):])
}

// Decoder reads a journal record by record.
type Decoder struct {
	r    *bufio.Reader
	line []byte // what has been read of the record under way
	raw  []byte // the last record's line with its newline
	seq  uint64
	prev string
	run  string // of the last record, as who: the next one's are nearly always the same
	who  string
	off  int64 // bytes of whole records
	bad  error // damage is for good
}

// NewDecoder reads from the journal's first byte.
func NewDecoder(r io.Reader) *Decoder { return &Decoder{r: bufio.NewReaderSize(r, 64<<10)} }

// Offset is the length of the records that Next returned, in bytes.
func (d *Decoder) Offset() int64 { return d.off }

// Head is the hash of the last record that Next returned: the Prev of the one after it.
func (d *Decoder) Head() string { return d.prev }

// Next returns the next record; io.EOF after the last; a *Damage (ErrTorn, ErrCorrupt) where the journal stops being
// one; or the reader's own error. After io.EOF, and after a line that only lacks its end, it may be called again when
// the file has grown.
func (d *Decoder) Next() (Record, error) {
	if d.bad != nil {
		return Record{}, d.bad
	}
	last, err := d.readLine()
	if err != nil {
		return Record{}, err
	}
	line := d.line[:len(d.line)-1]
	if at := bytes.IndexByte(line, 0); at >= 0 {
		if last && isHole(line, d.off) {
			return Record{}, d.damage(ErrTorn, at, "a hole of zero bytes")
		}
		return Record{}, d.damage(ErrCorrupt, at, "a zero byte")
	}
	if !framed(line) {
		return Record{}, d.damage(ErrCorrupt, 0, "checksum does not match")
	}
	r, err := d.parse(line)
	if err != nil {
		return Record{}, d.damage(ErrCorrupt, 0, "not a record: "+err.Error())
	}
	if r.Seq != d.seq+1 {
		return Record{}, d.damage(ErrCorrupt, 0, fmt.Sprintf("sequence number is %d", r.Seq))
	}
	if r.Prev != d.prev {
		return Record{}, d.damage(ErrCorrupt, 0, "does not follow the record before it")
	}
	d.seq, d.prev, d.run, d.who, d.off = r.Seq, hash(line), r.Run, r.Who, d.off+int64(len(d.line))
	d.raw, d.line = d.line, d.raw[:0]
	return r, nil
}

// readLine fills d.line up to its newline and says whether anything follows it.
func (d *Decoder) readLine() (last bool, err error) {
	for {
		part, err := d.r.ReadSlice('\n')
		d.line = append(d.line, part...)
		if len(d.line) > MaxLine {
			return false, d.damage(ErrCorrupt, 0, "line is too long")
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err == nil:
			_, err := d.r.Peek(1)
			if err != nil && !errors.Is(err, io.EOF) {
				return false, err
			}
			return err != nil, nil
		case !errors.Is(err, io.EOF):
			return false, err
		case len(d.line) == 0:
			return false, io.EOF
		default:
			return false, d.unfinished()
		}
	}
}

// unfinished judges a last line without a newline. A whole record with one byte after it is a newline that was
// changed: that record had been acknowledged, and cutting it would lose it.
func (d *Decoder) unfinished() error {
	if n := len(d.line) - 1; framed(d.line[:n]) {
		return d.damage(ErrCorrupt, n, "a record must end with a newline")
	}
	return &Damage{Record: d.seq + 1, Start: d.off, Byte: d.off, Kind: ErrTorn,
		What: fmt.Sprintf("the last record is unfinished after %d bytes", len(d.line))}
}

func (d *Decoder) damage(kind error, at int, what string) error {
	d.bad = &Damage{Record: d.seq + 1, Start: d.off, Byte: d.off + int64(at), What: what, Kind: kind}
	return d.bad
}

// isHole says whether the zero bytes of a line that begins at byte start of the file can be what a crash leaves.
func isHole(line []byte, start int64) bool {
	for i := 0; i < len(line); {
		if line[i] != 0 {
			i++
			continue
		}
		from := i
		for i < len(line) && line[i] == 0 {
			i++
		}
		begins := from == 0 || (start+int64(from))%sector == 0
		ends := i == len(line) || (start+int64(i))%sector == 0
		if !begins || !ends {
			return false
		}
	}
	return true
}
