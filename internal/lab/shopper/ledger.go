package shopper

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A Kind says what became of an order.
type Kind string

// An order is attempted before it is sent; what the shop answered, if anything, is a second entry with its token.
const (
	Attempted    Kind = "attempted"
	Acknowledged Kind = "acknowledged" // the shop gave a number: it must never be lost
	Refused      Kind = "refused"      // it was never sent, or the shop said no: it must not be there
	Unknown      Kind = "unknown"      // sent, and no answer that says what became of it: it may be there
)

// An Entry is one line of the ledger.
type Entry struct {
	Seq      int       `json:"seq"`
	Kind     Kind      `json:"kind"`
	Time     time.Time `json:"time"`
	Token    string    `json:"token"` // 32 hex digits; the shop keeps it with the order
	Customer int       `json:"customer"`
	Number   string    `json:"number,omitempty"`   // acknowledged
	Checksum string    `json:"checksum,omitempty"` // acknowledged: as the shop gave it
	Total    string    `json:"total,omitempty"`    // acknowledged
	Why      string    `json:"why,omitempty"`      // refused, unknown
}

// ErrDamaged means that a line before the ledger's last can't be what was written: what it proves is lost. Stop, and
// look at the disk.
var ErrDamaged = errors.New("the ledger is damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// disk is the part of a file that appending needs.
type disk interface {
	io.WriteCloser
	Sync() error
}

// A Ledger is an open ledger that takes entries. One process writes a ledger.
type Ledger struct {
	mu     sync.Mutex
	f      disk
	seq    int
	broken error
}

// OpenLedger opens the ledger at path to append to it, or makes it. A last line that was cut short by a crash was
// never counted: it is cut off, and its bytes are returned. Damage elsewhere is ErrDamaged.
func OpenLedger(path string) (*Ledger, []byte, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open the ledger: %w", err)
	}
	l, torn, err := openLedger(f)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open the ledger %s: %w", path, err), f.Close())
	}
	return l, torn, nil
}

func openLedger(f *os.File) (*Ledger, []byte, error) {
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, nil, err
	}
	entries, torn, err := decode(data)
	if err != nil {
		return nil, nil, err
	}
	end := int64(len(data) - len(torn))
	if err := f.Truncate(end); err != nil {
		return nil, nil, err
	}
	if _, err := f.Seek(end, io.SeekStart); err != nil {
		return nil, nil, err
	}
	dir, err := os.Open(filepath.Dir(f.Name()))
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(f.Sync(), dir.Sync(), dir.Close()); err != nil {
		return nil, nil, err
	}
	return &Ledger{f: f, seq: len(entries)}, torn, nil
}

// Append writes an entry and returns when it is on disk; only then it counts. It gives the entry its number in
// sequence. After a failure the ledger takes no more: what is on the disk is then not known.
func (l *Ledger) Append(e Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return l.broken
	}
	e.Seq = l.seq + 1
	line, err := encode(e)
	if err != nil {
		return err
	}
	if _, err := l.f.Write(line); err != nil {
		l.broken = fmt.Errorf("write the ledger: %w", err)
		return l.broken
	}
	if err := l.f.Sync(); err != nil {
		l.broken = fmt.Errorf("sync the ledger: %w", err)
		return l.broken
	}
	l.seq++
	return nil
}

// Close closes the file. Everything that was appended is on disk already.
func (l *Ledger) Close() error { return l.f.Close() }

// ReadLedger reads a ledger, also one that is being written. Bytes of a last line that isn't whole are returned
// beside the entries; damage elsewhere is ErrDamaged.
func ReadLedger(path string) ([]Entry, []byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read the ledger: %w", err)
	}
	entries, torn, err := decode(data)
	if err != nil {
		return nil, nil, fmt.Errorf("read the ledger %s: %w", path, err)
	}
	return entries, torn, nil
}

// encode is the entry's JSON with one more key at the end, crc: CRC-32C in hex over the bytes before it.
func encode(e Entry) ([]byte, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode a ledger entry: %w", err)
	}
	body = body[:len(body)-1]
	return fmt.Appendf(body, `,"crc":"%08x"}`+"\n", crc32.Checksum(body, castagnoli)), nil
}

const crcLength = len(`,"crc":"00000000"}`)

func decode(data []byte) (entries []Entry, torn []byte, err error) {
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			return last(entries, data)
		}
		e, err := decodeLine(data[:end])
		if err == nil && e.Seq != len(entries)+1 {
			err = fmt.Errorf("it has number %d", e.Seq)
		}
		if err != nil {
			if end == len(data)-1 {
				return last(entries, data) // blocks of one write may reach the disk in any order
			}
			return nil, nil, fmt.Errorf("%w: line %d: %w", ErrDamaged, len(entries)+1, err)
		}
		entries, data = append(entries, e), data[end+1:]
	}
	return entries, nil, nil
}

// last takes what is left at the end for torn, unless an entry ends within it: each was synced before the next was
// begun, so that no more than one can be torn.
func last(entries []Entry, tail []byte) ([]Entry, []byte, error) {
	if at := bytes.Index(tail, []byte(`,"crc":"`)); at >= 0 && len(tail) > at+crcLength+1 { // one more: its newline
		return nil, nil, fmt.Errorf("%w: line %d: it holds more than one entry", ErrDamaged, len(entries)+1)
	}
	return entries, tail, nil
}

func decodeLine(line []byte) (Entry, error) {
	var e Entry
	if len(line) < crcLength {
		return e, errors.New("it is too short")
	}
	body := line[:len(line)-crcLength]
	if want := fmt.Sprintf(`,"crc":"%08x"}`, crc32.Checksum(body, castagnoli)); string(line[len(body):]) != want {
		return e, errors.New("its checksum is wrong")
	}
	d := json.NewDecoder(bytes.NewReader(line))
	if err := d.Decode(&e); err != nil {
		return e, err
	}
	return e, nil
}
