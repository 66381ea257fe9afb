package journal

import (
	"errors"
	"io"
)

// Report is what Verify found before the journal's end, or before its first bad record.
type Report struct {
	Records uint64 // good ones
	Bytes   int64  // that they take
	Run     string // of the first record
	Head    string // hash of the last good record: compare it with a copy that was kept elsewhere
}

// Verify reads a journal from r to its end. A torn tail is an error too: a *Damage that is ErrTorn. What Verify cannot
// see is whole records that are missing at the end: for that, keep Report.Head elsewhere.
func Verify(r io.Reader) (Report, error) {
	var rep Report
	d := NewDecoder(r)
	for {
		rec, err := d.Next()
		if errors.Is(err, io.EOF) {
			return rep, nil
		}
		if err != nil {
			return rep, err
		}
		if rep.Records == 0 {
			rep.Run = rec.Run
		}
		if rec.Run != rep.Run {
			return rep, &Damage{Record: rec.Seq, Start: rep.Bytes, Byte: rep.Bytes, What: "belongs to run " + rec.Run, Kind: ErrCorrupt}
		}
		rep.Records, rep.Bytes, rep.Head = rec.Seq, d.Offset(), d.Head()
	}
}
