package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"

	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/strictyaml"
)

// Digest is a setting's name and the SHA-256, in hex, of its value as it is in force, defaults included. Of a secret it's
// the reference's; of a path it's the path's as it is written.
type Digest struct{ Name, SHA256 string }

// Digests are of every setting that says what a run does, in the order of the file's documentation, and of the contents of
// the files that it names (the chart, the values, the authority). A resume compares them. ssh, limits and state aren't among
// them: they say how this machine gets there, and a run may be resumed from another, or from another directory.
func (c *Config) Digests() []Digest { return slices.Clone(c.digests) }

func digests(out *[]Digest, path string, v reflect.Value) {
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("json")
		switch {
		case name == "", path == "" && (name == "ssh" || name == "limits" || name == "state" || name == "inventory"):
			continue
		}
		at := strictyaml.Join(path, name)
		if own, ok := v.Field(i).Interface().([]Own); ok {
			for _, o := range own { // one by one: a resume says which has changed
				digest(out, at+"."+o.ID, o)
			}
			continue
		}
		if f := v.Field(i); f.Kind() == reflect.Struct && f.Type() != reflect.TypeFor[secret.Ref]() {
			digests(out, at, f)
			continue
		}
		digest(out, at, v.Field(i).Interface())
	}
}

func digest(out *[]Digest, at string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("config: %s: %v", at, err)) // plain data can't fail
	}
	sum := sha256.Sum256(b)
	*out = append(*out, Digest{at, hex.EncodeToString(sum[:])})
}

// named is a path that the file names, with its place in it.
type named struct {
	place string
	path  Path
}

// files are those that will be needed late.
func (c *Config) files() []named {
	list := []named{{"ca_file", c.CAFile}, {"release.chart", c.Release.Chart}}
	for i, v := range c.Release.Values {
		list = append(list, named{strictyaml.Index("release.values", i), v})
	}
	return slices.DeleteFunc(list, func(n named) bool { return n.path == "" })
}

// readFiles looks whether what will be needed late can be read now, and takes its digests. Secrets are not looked at: they
// are resolved when they are used.
func (c *Config) readFiles() {
	for _, n := range c.files() {
		sum, err := contents(string(n.path))
		if err != nil {
			c.file.Problem(n.place, strconv.Quote(string(n.path))+" can't be read: "+errnoText(err), "")
			continue
		}
		c.digests = append(c.digests, Digest{"contents of " + n.place, sum})
	}
}

// contents is the SHA-256 of a file, or of a directory's files with their names.
func contents(path string) (string, error) {
	h := sha256.New()
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(path, p)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%q %d\n", name, len(text))
		_, err = h.Write(text)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), err
}
