package migrate

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// neverJournaled is what a type says of itself that must not be written to a journal: a secret. The engine looks for
// the method in every Out, and imports no such type.
type neverJournaled interface{ NeverJournaled() }

var (
	typeNever     = reflect.TypeFor[neverJournaled]()
	typeJSON      = reflect.TypeFor[json.Marshaler]()
	typeUnJSON    = reflect.TypeFor[json.Unmarshaler]()
	typeText      = reflect.TypeFor[encoding.TextMarshaler]()
	typeUnText    = reflect.TypeFor[encoding.TextUnmarshaler]()
	typeRawObject = reflect.TypeFor[json.RawMessage]()
)

// checkOut says what keeps values of an Out type from coming back from a journal as they were, or from being written to
// it at all. All of it is ErrNotData.
func checkOut(t reflect.Type) error {
	w := outWalk{seen: map[reflect.Type]bool{}}
	w.walk(t, t.String())
	return w.bad.orNil()
}

type outWalk struct {
	seen map[reflect.Type]bool
	bad  problems
}

func (w *outWalk) refuse(path, why string) { w.bad.add("%s %s: %w", path, why, ErrNotData) }

func (w *outWalk) walk(t reflect.Type, path string) {
	if w.seen[t] {
		return
	}
	w.seen[t] = true
	if t.Implements(typeNever) || reflect.PointerTo(t).Implements(typeNever) {
		w.refuse(path, "is a secret and must never be journaled")
		return
	}
	if t == typeRawObject {
		w.refuse(path, "is raw JSON and hides its type")
		return
	}
	if opaque(t) {
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			w.field(t.Field(i), path)
		}
	case reflect.Pointer, reflect.Slice, reflect.Array:
		w.walk(t.Elem(), path)
	case reflect.Map:
		if k := t.Key(); !opaque(k) && (k.Kind() > reflect.Uint64 || k.Kind() == reflect.Bool) && k.Kind() != reflect.String {
			w.refuse(path, "has keys of type "+k.String())
		}
		w.walk(t.Key(), path)
		w.walk(t.Elem(), path)
	case reflect.Interface:
		w.refuse(path, "is an interface and would not come back as what it was")
	case reflect.Func, reflect.Chan, reflect.UnsafePointer, reflect.Uintptr, reflect.Complex64, reflect.Complex128:
		w.refuse(path, "is a "+t.Kind().String())
	}
}

func (w *outWalk) field(f reflect.StructField, path string) {
	path += "." + f.Name
	tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	switch {
	case tag == "-":
		w.refuse(path, `is left out by json:"-" and would be lost`)
	case !f.IsExported() && f.Type.Size() > 0: // a zero-length marker field holds nothing
		w.refuse(path, "is unexported and would be lost")
	default:
		w.walk(f.Type, path)
	}
}

// opaque types write and read themselves: time.Time, netip.Addr, a GTID.
func opaque(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(typeJSON) && p.Implements(typeUnJSON) || p.Implements(typeText) && p.Implements(typeUnText)
}

// shape names an Out's fields and types, so that a changed Out can be told from the one that a journal holds.
func shape(t reflect.Type) string {
	var b strings.Builder
	writeShape(&b, t, nil)
	return b.String()
}

func writeShape(b *strings.Builder, t reflect.Type, above []reflect.Type) {
	for _, x := range above {
		if x == t {
			b.WriteString("^") // recursive
			return
		}
	}
	above = append(above, t)
	if opaque(t) {
		b.WriteString(t.String())
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		b.WriteByte('{')
		for i := range t.NumField() {
			f := t.Field(i)
			if !f.IsExported() && f.Type.Size() == 0 {
				continue
			}
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" {
				name = f.Name
			}
			b.WriteString(name + ":")
			writeShape(b, f.Type, above)
			b.WriteByte(';')
		}
		b.WriteByte('}')
	case reflect.Pointer:
		b.WriteByte('*')
		writeShape(b, t.Elem(), above)
	case reflect.Slice, reflect.Array:
		b.WriteString("[]")
		writeShape(b, t.Elem(), above)
	case reflect.Map:
		b.WriteString("map[")
		writeShape(b, t.Key(), above)
		b.WriteByte(']')
		writeShape(b, t.Elem(), above)
	default:
		b.WriteString(t.Kind().String())
	}
}

// encodeOut gives the bytes that are journaled, and fails when they would not come back as the same value.
func encodeOut[T any](v T) (json.RawMessage, error) {
	raw, err := compact(v)
	if err != nil {
		return nil, fmt.Errorf("%T: %w: %w", v, ErrNotData, err)
	}
	var back T
	if err := json.Unmarshal(raw, &back); err != nil {
		return nil, fmt.Errorf("%T does not come back: %w: %w", v, ErrNotData, err)
	}
	again, err := compact(back)
	if err != nil || !bytes.Equal(raw, again) {
		return nil, fmt.Errorf("%T comes back as %s, not as %s: %w", v, again, raw, ErrNotData)
	}
	return raw, nil
}

// compact is JSON as the journal writes it: no newline, no HTML escapes.
func compact(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
