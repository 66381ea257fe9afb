package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// maxBody bounds a JSON request: 4 MiB, well over any that the product makes.
const maxBody = 4 << 20

// Object is a decoded JSON object whose fields have been checked against a
// message; it says which fields the caller sent, which a Go struct can't.
type Object map[string]any

// Has reports whether the field at the path, as ("settings", "tier"), was sent.
func (o Object) Has(path ...string) bool {
	var at any = map[string]any(o)
	for _, name := range path {
		m, ok := at.(map[string]any)
		if !ok {
			return false
		}
		if at, ok = m[name]; !ok {
			return false
		}
	}
	return true
}

// Decode reads a request's JSON body into message, a pointer to a struct of a
// google.golang.org/api package. A field that the message does not have, a
// value of the wrong type, or more than one document is Google's 400. As at
// Google, a number is accepted in quotes and without.
func Decode(body io.Reader, message any) (Object, *Error) {
	raw, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err != nil {
		return nil, Invalid("", "the body could not be read: %v", err)
	}
	if len(raw) > maxBody {
		return nil, &Error{Code: 413, Message: "Request Entity Too Large", Status: "INVALID_ARGUMENT", Reason: "requestTooLarge"}
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return Object{}, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var object map[string]any
	if err := dec.Decode(&object); err != nil {
		return nil, Invalid("", "Invalid JSON payload received. %v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, Invalid("", "Invalid JSON payload received. Expected end of string.")
	}
	if e := conform(object, reflect.TypeOf(message).Elem(), ""); e != nil {
		return nil, e
	}
	return object, Fill(object, message)
}

// Fill decodes an object that was checked before into message.
func Fill(object Object, message any) *Error {
	fixed, err := json.Marshal(map[string]any(object))
	if err != nil {
		return Internal(err)
	}
	if err := json.Unmarshal(fixed, message); err != nil {
		return Invalid("", "Invalid JSON payload received. %v", err)
	}
	return nil
}

// conform checks an object's fields against a struct's JSON names, exactly and
// with regard to case, and brings numbers into the form that encoding/json wants.
func conform(object map[string]any, t reflect.Type, path string) *Error {
	fields := jsonFields(t)
	for _, name := range slices.Sorted(maps.Keys(object)) {
		value := object[name]
		field, ok := fields[name]
		if !ok {
			if path != "" {
				return Invalid(path, "Invalid JSON payload received. Unknown name %q at '%s': Cannot find field.", name, path)
			}
			return Invalid("", "Invalid JSON payload received. Unknown name %q: Cannot find field.", name)
		}
		fixed, e := conformValue(value, field.typ, field.quoted, join(path, name))
		if e != nil {
			return e
		}
		object[name] = fixed
	}
	return nil
}

func conformValue(value any, t reflect.Type, quoted bool, path string) (any, *Error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if value == nil {
		return nil, nil
	}
	switch t.Kind() {
	case reflect.Struct:
		m, ok := value.(map[string]any)
		if !ok {
			return nil, wrongType(path)
		}
		return m, conform(m, t, path)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return value, nil
		}
		list, ok := value.([]any)
		if !ok {
			return nil, wrongType(path)
		}
		for i := range list {
			fixed, e := conformValue(list[i], t.Elem(), false, path+"["+strconv.Itoa(i)+"]")
			if e != nil {
				return nil, e
			}
			list[i] = fixed
		}
		return list, nil
	case reflect.Map:
		m, ok := value.(map[string]any)
		if !ok {
			return nil, wrongType(path)
		}
		for _, k := range slices.Sorted(maps.Keys(m)) {
			fixed, e := conformValue(m[k], t.Elem(), false, join(path, k))
			if e != nil {
				return nil, e
			}
			m[k] = fixed
		}
		return m, nil
	case reflect.String:
		if _, ok := value.(string); !ok {
			return nil, wrongType(path)
		}
	case reflect.Bool:
		if _, ok := value.(bool); !ok {
			return nil, wrongType(path)
		}
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint32, reflect.Uint64, reflect.Float64:
		return conformNumber(value, t, quoted, path)
	}
	return value, nil
}

func conformNumber(value any, t reflect.Type, quoted bool, path string) (any, *Error) {
	var text string
	switch v := value.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = v
	default:
		return nil, wrongType(path)
	}
	if t.Kind() == reflect.Float64 {
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			return nil, wrongType(path)
		}
	} else if _, err := strconv.ParseInt(text, 10, 64); err != nil {
		return nil, wrongType(path)
	}
	if quoted {
		return text, nil
	}
	return json.Number(text), nil
}

func wrongType(path string) *Error {
	return Invalid(path, "Invalid value at '%s'", path)
}

type jsonField struct {
	typ    reflect.Type
	quoted bool // the option ",string"
}

func jsonFields(t reflect.Type) map[string]jsonField {
	fields := make(map[string]jsonField, t.NumField())
	for i := range t.NumField() {
		tag := t.Field(i).Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if name == "" || name == "-" {
			continue
		}
		fields[name] = jsonField{typ: t.Field(i).Type, quoted: strings.Contains(","+options+",", ",string,")}
	}
	return fields
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
