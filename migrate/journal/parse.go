package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
)

// errTrailing: a line is one object and nothing else.
var errTrailing = errors.New("something follows the object")

// parse reads a framed line. Nearly every line is exactly as encode writes it, and quick takes it; what quick is not sure
// about is encoding/json's to judge, with no field that Record doesn't have.
func (d *Decoder) parse(line []byte) (Record, error) {
	if r, ok := d.quick(line); ok {
		return r, nil
	}
	return slow(line)
}

func slow(line []byte) (r Record, err error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	err = dec.Decode(&struct {
		*Record
		CRC string `json:"crc"`
	}{Record: &r})
	if err == nil && dec.InputOffset() != int64(len(line)) {
		err = errTrailing
	}
	return r, err
}

// longestQuick is how long data may be for quick, in bytes. encoding/json refuses what is nested 10,000 deep, which takes
// 20,000 bytes: whether the object around the data makes it too deep is then never the question.
const longestQuick = 16 << 10

// quick reads a line with Record's fields in their order, without white space between them, without an escape or a byte
// beyond ASCII in their texts, and with an object as data. It takes nothing that slow refuses, and reads all that it takes
// as slow does: FuzzParse holds it to that.
func (d *Decoder) quick(line []byte) (r Record, ok bool) {
	n := len(line) - framing // framed: crcLead and crcTail stand there
	if n < 0 {
		return r, false
	}
	s := scanner{rest: line[:n], ok: true}
	r.Seq = s.number(`{"seq":`)
	r.Prev = again(d.prev, s.text(`,"prev":"`))
	r.Run = again(d.run, s.text(`,"run":"`))
	r.Fence = s.number(`,"fence":`)
	if s.at(`,"step":"`) {
		r.Step = string(s.text(`,"step":"`))
	}
	if s.at(`,"attempt":`) {
		r.Attempt = int(s.number(`,"attempt":`))
	}
	r.Kind = kindOf(s.text(`,"kind":"`))
	if at := s.text(`,"time":"`); s.ok && r.Time.UnmarshalText(at) != nil {
		return r, false
	}
	if s.at(`,"who":"`) {
		r.Who = again(d.who, s.text(`,"who":"`))
	}
	if s.at(`,"data":`) {
		data := s.rest[len(`,"data":`):]
		if len(data) > longestQuick || len(data) < 2 || data[0] != '{' || data[len(data)-1] != '}' || !json.Valid(data) {
			return r, false
		}
		r.Data, s.rest = bytes.Clone(data), nil
	}
	return r, s.ok && len(s.rest) == 0
}

// scanner takes a line apart from its beginning. Once it has met something else than it was told, ok is false for good.
type scanner struct {
	rest []byte
	ok   bool
}

func (s *scanner) at(lead string) bool {
	return s.ok && len(s.rest) >= len(lead) && string(s.rest[:len(lead)]) == lead
}

// text is what stands between lead and the next quote.
func (s *scanner) text(lead string) []byte {
	if s.ok = s.at(lead); !s.ok {
		return nil
	}
	s.rest = s.rest[len(lead):]
	for i, c := range s.rest {
		switch {
		case c == '"':
			t := s.rest[:i]
			s.rest = s.rest[i+1:]
			return t
		case c < ' ' || c > '~' || c == '\\':
			s.ok = false
			return nil
		}
	}
	s.ok = false
	return nil
}

// number is a whole number as JSON has it: without a leading zero. It must fit every integer field of a record.
func (s *scanner) number(lead string) uint64 {
	if s.ok = s.at(lead); !s.ok {
		return 0
	}
	s.rest = s.rest[len(lead):]
	n := 0
	for n < len(s.rest) && s.rest[n] >= '0' && s.rest[n] <= '9' {
		n++
	}
	v, err := strconv.ParseUint(string(s.rest[:n]), 10, 31)
	s.ok = err == nil && (s.rest[0] != '0' || n == 1)
	s.rest = s.rest[n:]
	return v
}

// again is s as a string: the one from before, where it is the same.
func again(before string, s []byte) string {
	if before == string(s) {
		return before
	}
	return string(s)
}

// kindOf is the same for kinds.
func kindOf(s []byte) Kind {
	switch Kind(s) {
	case Intent:
		return Intent
	case Done:
		return Done
	case Verified:
		return Verified
	case UndoIntent:
		return UndoIntent
	case Undone:
		return Undone
	}
	return Kind(s)
}
