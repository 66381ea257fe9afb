package journal

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
)

// Each byte of the journal of a whole rehearsal, changed in three ways, is found in its record or in the one after, and
// is never taken for a torn tail. The decoder is set down at the record before, because reading from the beginning
// 60,000 times takes minutes.
func TestEveryByteOfARealJournal(t *testing.T) {
	b, err := os.ReadFile("../testdata/journals/v1-rehearsal.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	whole := NewDecoder(bytes.NewReader(b))
	c := bytes.Clone(b)
	for {
		start := *whole // where the next record begins
		_, err := whole.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := start.off; i < whole.off; i++ {
			for _, x := range []byte{1, 0x20, b[i]} { // the last makes it a zero byte
				c[i] ^= x
				d := Decoder{r: bufio.NewReaderSize(bytes.NewReader(c[start.off:]), 512), seq: start.seq, prev: start.prev, off: start.off}
				_, err := d.Next()
				if err == nil {
					_, err = d.Next()
				}
				if !errors.Is(err, ErrCorrupt) {
					t.Fatalf("byte %d ^ %#x: %v", i, x, err)
				}
				c[i] = b[i]
			}
		}
	}
	t.Logf("%d records, %d bytes, 3 changes each", whole.seq, len(b))
}
