package treecopy

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Bytes is a name, a path or a link's target: any bytes but NUL. In JSON it is a text where it is valid UTF-8, and {"base64": "..."} where
// it isn't, so that no name is changed on the way.
type Bytes string

// String quotes it for messages, whatever it contains.
func (b Bytes) String() string { return strconv.Quote(string(b)) }

type encoded struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON keeps every byte.
func (b Bytes) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(b)) {
		return json.Marshal(string(b))
	}
	return json.Marshal(encoded{[]byte(b)})
}

// UnmarshalJSON is MarshalJSON's inverse.
func (b *Bytes) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte("{")) {
		var e encoded
		if err := json.Unmarshal(text, &e); err != nil {
			return err
		}
		*b = Bytes(e.Base64)
		return nil
	}
	return json.Unmarshal(text, (*string)(b))
}

// Time is a file's time: whole seconds since 1970, UTC, and the nanoseconds after them. Its text has nine digits after the point, and counts
// forward from the second below it also before 1970, as find -printf %T@ does.
type Time struct {
	Sec  int64
	Nsec int64
}

func timeOf(t time.Time) Time { return Time{t.Unix(), int64(t.Nanosecond())} }

// String is the time as find prints it.
func (t Time) String() string { return fmt.Sprintf("%d.%09d", t.Sec, t.Nsec) }

// MarshalText is String.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads seconds, a point, and nine digits or more, of which those after the ninth are zero in what find prints.
func (t *Time) UnmarshalText(text []byte) (err error) {
	sec, frac, ok := strings.Cut(string(text), ".")
	if !ok || len(frac) < 9 {
		return fmt.Errorf("%q is not a time in seconds with nanoseconds", text)
	}
	if t.Sec, err = strconv.ParseInt(sec, 10, 64); err == nil {
		t.Nsec, err = strconv.ParseInt(frac[:9], 10, 64)
	}
	if err == nil && t.Nsec < 0 {
		err = fmt.Errorf("%q is not a time in seconds with nanoseconds", text)
	}
	return err
}

// base64Text is how attributes' values, which may hold any byte, stand in JSON.
type base64Text string

func (v base64Text) MarshalText() ([]byte, error) {
	return []byte(base64.StdEncoding.EncodeToString([]byte(v))), nil
}

func (v *base64Text) UnmarshalText(text []byte) error {
	raw, err := base64.StdEncoding.DecodeString(string(text))
	*v = base64Text(raw)
	return err
}
