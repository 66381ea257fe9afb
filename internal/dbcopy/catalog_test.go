package dbcopy

import (
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

func TestPrintKey(t *testing.T) {
	cs := []value.Column{{Name: "a", Kind: value.Number}, {Name: "b", Kind: value.Short}, {Name: "c", Kind: value.Short}, {Name: "d", Kind: value.Short}}
	vals := [][]byte{[]byte("1"), []byte("x\ny"), nil, []byte(strings.Repeat("z", 100))}
	for _, c := range []struct {
		primary, key []string
		want         string
	}{
		{[]string{"a"}, nil, "`a`=1"}, {nil, []string{"b", "c"}, "`b`=\"x\\ny\", `c`=NULL"}, {[]string{"d"}, nil, "`d`=\"" + strings.Repeat("z", 64) + "\"… (100 bytes)"}, {nil, nil, "`a`=1, `b`=\"x\\ny\", `c`=NULL"},
	} {
		if got := printKey(&Table{Columns: cs, Primary: c.primary, Key: c.key}, vals); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestVersion(t *testing.T) {
	for in, want := range map[string]int{"9.7.4-2": 90704, "8.0.41-google": 80041, "8.4.0": 80400, "10": 100000, "": 0, "x.y": 0} {
		if got := Version(in); got != want {
			t.Errorf("%q is %d, want %d", in, got, want)
		}
	}
}

// TestCatalogRefused: an artifact of other checksums, kinds or keys than this program's isn't gone by.
func TestCatalogRefused(t *testing.T) {
	good := func() Catalog {
		return Catalog{Checksum: value.ChecksumName, Schemas: []Schema{{Name: "s", Tables: []Table{{Name: "t", Key: []string{"id"}, Columns: []value.Column{{Name: "id", Type: "int", Kind: value.Number}}}}}}}
	}
	c := good()
	if err := c.check(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Catalog){
		"checksum": func(c *Catalog) { c.Checksum = "md5" },
		"kind":     func(c *Catalog) { c.Schemas[0].Tables[0].Columns[0].Kind = "shiny" },
		"type":     func(c *Catalog) { c.Schemas[0].Tables[0].Columns[0].Type = "vector" },
		"key":      func(c *Catalog) { c.Schemas[0].Tables[0].Key = []string{"gone"} },
	} {
		c := good()
		spoil(&c)
		if err := c.check(); err == nil {
			t.Errorf("taken with another %s", name)
		}
	}
}
