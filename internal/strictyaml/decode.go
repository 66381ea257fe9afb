// Package strictyaml reads a YAML file into a struct, says of everything that is wrong with it where it is and what to
// write instead, and remembers where every value stood, so that later checks can say it too.
//
// Strict means: unknown and repeated keys, values of another type (also a bare 8.4 where a text is wanted: YAML takes it
// for a number), keys without a value, anchors, aliases, tags and further documents are all problems, and all problems are
// found at once.
//
// It imports nothing of Slipway.
package strictyaml

import (
	"encoding"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// File is what was read, by position. The zero line and column mean the file as a whole.
type File struct {
	Name     string
	places   map[string]place
	problems Problems
}

type place struct{ line, column int }

// Decode reads a file's text into the struct that into points to; name is for messages. Fields have a tag `yaml:"key"`, and
// `yaml:"key,required"` where the file must have the key. Field types: string, bool, int, int64, types with UnmarshalText,
// structs, pointers to these (for what may be left out), slices, and Pairs. What can't be read stays as it was, so a
// default can be set before. A type of field that isn't listed here panics: that is a defect of the program.
//
// Problems are collected in the File: ask Err when all checks are done.
func Decode(name string, text []byte, into any) *File {
	f := &File{Name: name, places: map[string]place{}}
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		f.add(Problem{File: name, What: "the file is empty"})
		return f
	case err != nil:
		f.add(syntax(name, err))
		return f
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		f.add(Problem{File: name, What: "there is more than one document in the file", Remedy: "take out the line ---"})
	}
	d := decoder{f}
	d.value("", doc.Content[0], reflect.ValueOf(into).Elem())
	return f
}

// yamlLine finds the line in the library's messages: "yaml: line 3: mapping values are not allowed in this context".
var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

func syntax(name string, err error) Problem {
	p := Problem{File: name, What: "not YAML: " + err.Error()}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		p.Line, _ = strconv.Atoi(m[1]) // no number is 0: the file as a whole
		p.What = "not YAML: " + m[2]
		if p.Line > 0 {
			p.Column = 1
		}
	}
	return p
}

type decoder struct{ f *File }

func (d decoder) bad(path string, n *yaml.Node, remedy, format string, args ...any) {
	d.f.add(Problem{d.f.Name, n.Line, n.Column, path, fmt.Sprintf(format, args...), remedy})
}

var textType = reflect.TypeFor[encoding.TextUnmarshaler]()

func (d decoder) value(path string, n *yaml.Node, v reflect.Value) {
	d.f.places[path] = place{n.Line, n.Column}
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.bad(path, n, "write the value out", "anchors and aliases are not read here")
		return
	case n.Style&yaml.TaggedStyle != 0:
		d.bad(path, n, "take the tag out", "tags (%s) are not read here", n.Tag)
		return
	case n.ShortTag() == "!!null":
		d.bad(path, n, "give it one, or take the key out", "there is no value")
		return
	}
	if v.Kind() == reflect.Pointer {
		p := reflect.New(v.Type().Elem())
		d.value(path, n, p.Elem())
		v.Set(p)
		return
	}
	if v.Addr().Type().Implements(textType) {
		d.text(path, n, v)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(path, n, v)
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[Pairs]() {
			d.pairs(path, n, v)
		} else {
			d.list(path, n, v)
		}
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64:
		d.scalar(path, n, v)
	default:
		panic(fmt.Sprintf("strictyaml: %s is of type %s, which can't be read", path, v.Type()))
	}
}

func (d decoder) mapping(path string, n *yaml.Node, v reflect.Value) {
	fields := fieldsOf(v.Type())
	if n.Kind != yaml.MappingNode {
		d.bad(path, n, "give it keys: "+strings.Join(keys(fields), ", "), "%s where keys are expected", kind(n))
		return
	}
	seen := d.eachKey(path, n, func(key, value *yaml.Node) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == key.Value })
		if i < 0 {
			d.bad(Join(path, key.Value), key, suggest(key.Value, keys(fields)), "unknown key")
			return
		}
		d.value(Join(path, key.Value), value, v.Field(fields[i].index))
	})
	for _, f := range fields {
		if _, ok := seen[f.key]; f.required && !ok {
			d.bad(Join(path, f.key), n, "", "the key is missing")
		}
	}
}

// eachKey calls do for every key that isn't a repetition, and gives the keys it saw.
func (d decoder) eachKey(path string, n *yaml.Node, do func(key, value *yaml.Node)) map[string]int {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch line, again := seen[key.Value]; {
		case key.Kind != yaml.ScalarNode || key.Anchor != "" || key.Style&yaml.TaggedStyle != 0 || key.ShortTag() == "!!merge":
			d.bad(path, key, "", "a key must be a plain word")
			continue
		case again:
			d.bad(Join(path, key.Value), key, "take one of the two out", "the key is there already, in line %d", line)
			continue
		}
		seen[key.Value] = key.Line
		do(key, value)
	}
	return seen
}

func (d decoder) list(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.bad(path, n, "write it as a list: [a, b], or a line with a dash for each", "%s where a list is expected", kind(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.value(Index(path, i), item, out.Index(i))
	}
	v.Set(out)
}

// Pairs is a mapping whose keys aren't known beforehand, in the order of the file.
type Pairs []Pair

// Pair is one line of it.
type Pair struct{ Key, Value string }

func (d decoder) pairs(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.bad(path, n, "write it as key: value", "%s where keys are expected", kind(n))
		return
	}
	out := Pairs{}
	d.eachKey(path, n, func(key, value *yaml.Node) {
		p := Pair{Key: key.Value}
		d.value(Join(path, key.Value), value, reflect.ValueOf(&p.Value).Elem())
		out = append(out, p)
	})
	v.Set(reflect.ValueOf(out))
}

func (d decoder) text(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		d.bad(path, n, "", "%s where a single value is expected", kind(n))
		return
	}
	// Any scalar's own spelling will do: 30s and 10.0.0.1 are texts to YAML, 64 is not, and the type says what it lacks.
	err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(n.Value))
	if err == nil {
		return
	}
	switch v.Type() {
	case reflect.TypeFor[netip.Addr]():
		d.bad(path, n, "", "%q is not an IP address", n.Value)
	case reflect.TypeFor[netip.Prefix]():
		d.bad(path, n, "write it with its length, such as 10.0.0.0/8", "%q is not a network", n.Value)
	default:
		d.bad(path, n, "", "%v", err)
	}
}

func (d decoder) scalar(path string, n *yaml.Node, v reflect.Value) {
	want := map[reflect.Kind]string{reflect.String: "!!str", reflect.Bool: "!!bool", reflect.Int: "!!int", reflect.Int64: "!!int"}[v.Kind()]
	words := map[string]string{"!!str": "a text", "!!bool": "true or false", "!!int": "a whole number"}
	if n.Kind != yaml.ScalarNode {
		d.bad(path, n, "", "%s where %s is expected", kind(n), words[want])
		return
	}
	if n.ShortTag() != want {
		remedy := ""
		if want == "!!str" {
			remedy = "put it in quotes: " + strconv.Quote(n.Value)
		}
		d.bad(path, n, remedy, "%s where %s is expected", kind(n), words[want])
		return
	}
	switch v.Kind() {
	case reflect.String:
		if n.Value == "" {
			d.bad(path, n, "give it one, or take the key out", "there is no value")
		}
		v.SetString(n.Value)
	case reflect.Bool:
		v.SetBool(n.Value == "true" || n.Value == "True" || n.Value == "TRUE")
	default:
		// Decimal alone: 0755 and 0o17 are numbers to YAML, and rarely the one that was meant.
		i, err := strconv.ParseInt(n.Value, 10, v.Type().Bits())
		if err != nil || strconv.FormatInt(i, 10) != n.Value {
			d.bad(path, n, "", "%s is not a plain decimal number", n.Value)
			return
		}
		v.SetInt(i)
	}
}

func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!timestamp":
		return "a date"
	}
	return "a text"
}

type field struct {
	key      string
	index    int
	required bool
}

func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		tag, ok := t.Field(i).Tag.Lookup("yaml")
		if !ok || tag == "-" {
			continue
		}
		key, option, _ := strings.Cut(tag, ",")
		out = append(out, field{key, i, option == "required"})
	}
	return out
}

func keys(fields []field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.key
	}
	return out
}

// Join is the path of a key under a path.
func Join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// Index is the path of an item, counted from 0.
func Index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
