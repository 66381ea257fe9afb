package changes

import (
	"encoding/binary"
	"fmt"
)

// flagNoForeignKeys of a rows event: foreign_key_checks was 0 (NO_FOREIGN_KEY_CHECKS_F of both servers).
const flagNoForeignKeys = 2

// rowsReader turns the rows of one event into records of a transaction.
type rowsReader struct {
	t       *table
	l       *layout
	kind    Kind
	noKeys  bool
	before  []byte // columns that the images have, a bit each
	after   []byte
	scratch []byte
	rec     []byte
}

// read calls put with a record for each row. body is what stands behind the event's own headers.
func (r *rowsReader) read(body []byte, put func(rec []byte) error) error {
	for len(body) > 0 {
		head := byte(r.kind)
		if r.noKeys {
			head |= recNoKeys
		}
		r.rec = binary.AppendUvarint(append(r.rec[:0], head), uint64(r.t.no))
		n, err := r.image(body, r.before)
		if err != nil {
			return err
		}
		body = body[n:]
		if r.kind == Update {
			if n, err = r.image(body, r.after); err != nil {
				return err
			}
			body = body[n:]
		}
		if n == 0 {
			return errShort // a row takes at least its NULL bits
		}
		if err := put(r.rec); err != nil {
			return err
		}
	}
	return nil
}

// image appends one row image to the record and says how long it was.
func (r *rowsReader) image(data, has []byte) (n int, err error) {
	present := 0
	for i := range r.l.fields {
		if bit(has, i) {
			present++
		} else if !r.t.Columns[i].Generated {
			return 0, &problem{StopImage, fmt.Sprintf("a row in the log is without column %s: a session wrote it with binlog_row_image other than FULL", r.t.Columns[i].Name),
				"the row can't be known from the log: SET GLOBAL binlog_row_image = 'FULL' at the source, see that no session sets another, and copy anew"}
		}
	}
	n = (present + 7) / 8
	if len(data) < n {
		return 0, errShort
	}
	null := data[:n]
	k := 0
	for i := range r.l.fields {
		f := &r.l.fields[i]
		if !bit(has, i) {
			r.rec = append(r.rec, 0)
			continue
		}
		k++
		if bit(null, k-1) {
			r.rec = append(r.rec, 0)
			continue
		}
		v, m, err := f.decode(r.scratch, data[n:])
		if err != nil {
			return 0, fmt.Errorf("column %s: %w", f.col.Name, err)
		}
		r.rec = append(binary.AppendUvarint(r.rec, uint64(len(v))+1), v...)
		if cap(v) > cap(r.scratch) && f.typ < typeVarchar {
			r.scratch = v[:0]
		}
		n += m
	}
	return n, nil
}

func bit(b []byte, i int) bool { return i/8 < len(b) && b[i/8]>>(i%8)&1 == 1 }
