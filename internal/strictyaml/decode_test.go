package strictyaml_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/strictyaml"
)

type doc struct {
	Name  string              `yaml:"name,required"`
	Count int                 `yaml:"count"`
	On    bool                `yaml:"on"`
	Size  strictyaml.Size     `yaml:"size"`
	Wait  strictyaml.Duration `yaml:"wait"`
	At    netip.Addr          `yaml:"at"`
	List  []inner             `yaml:"list"`
	Maybe *inner              `yaml:"maybe"`
	More  strictyaml.Pairs    `yaml:"more"`
	Not   string
}
type inner struct {
	Key string `yaml:"key"`
}

func TestDecode(t *testing.T) {
	d := doc{Count: 7}
	f := strictyaml.Decode("f.yaml", []byte("name: n\non: true\nsize: 64KiB\nwait: 1m30s\nat: 10.0.0.1\nlist: [{key: a}, {}]\nmaybe: {key: b}\nmore: {z: \"1\", a: two}\n"), &d)
	if err := f.Err(); err != nil {
		t.Fatal(err)
	}
	if d.Name != "n" || d.Count != 7 || !d.On || d.Size != 65536 || time.Duration(d.Wait) != 90*time.Second || d.At.String() != "10.0.0.1" || len(d.List) != 2 || d.Maybe.Key != "b" {
		t.Errorf("%+v", d)
	}
	if len(d.More) != 2 || d.More[0] != (strictyaml.Pair{Key: "z", Value: "1"}) {
		t.Errorf("%v is not in the file's order", d.More)
	}
	for path, want := range map[string]string{"list[1]": "f.yaml:6:18", "maybe.key": "f.yaml:7:14", "maybe.none": "f.yaml:7:8", "nothing": "f.yaml:1:1", "list[9].key": "f.yaml:6:7"} {
		if got := f.Place(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "f: the file is empty"},
		{"# only a comment\n", "f: the file is empty"},
		{"name: n\n---\nname: m\n", "f: there is more than one document in the file"},
		{"name: [\n", "f:1:1: not YAML: "},
		{"name: n\n\tcount: 1\n", "not YAML: "},
		{"- a\n", "f:1:1: a list where keys are expected"},
		{"nmae: n\n", "f:1:1: name: the key is missing"},
		{"nmae: n\n", "f:1:1: nmae: unknown key; did you mean name"},
		{"name: n\nzebra: 1\n", "known here: name, count, on"},
		{"name: n\nname: m\n", "f:2:1: name: the key is there already, in line 1"},
		{"name: \"\"\n", "there is no value"},
		{"name:\n", "there is no value"},
		{"name: 12\n", "put it in quotes: \"12\""},
		{"name: yes\ncount: 1.5\n", "count: a number where a whole number is expected"},
		{"name: n\ncount: 010\n", "not a plain decimal number"},
		{"name: n\ncount: 99999999999999999999\n", "count: "},
		{"name: n\non: 1\n", "a number where true or false is expected"},
		{"name: n\nsize: 64\n", "not a size"},
		{"name: n\nsize: -1KiB\n", "not a size"},
		{"name: n\nsize: 99999999TiB\n", "not a size"},
		{"name: n\nwait: 30\n", "not a length of time"},
		{"name: n\nwait: -5s\n", "not a length of time"},
		{"name: n\nat: 10.0.0.300\n", "is not an IP address"},
		{"name: n\nlist: {key: a}\n", "keys where a list is expected"},
		{"name: n\nlist: [{kye: a}]\n", "f:2:9: list[0].kye: unknown key; did you mean key"},
		{"name: n\nmore: {a: 1}\n", "more.a: a number where a text is expected"},
		{"name: n\nmore: {a: x, a: y}\n", "more.a: the key is there already"},
		{"name: &x n\nlist: [{key: *x}]\n", "anchors and aliases"},
		{"name: n\nmaybe:\n  <<: {key: a}\n", "a key must be a plain word"},
		{"name: !!str 1\n", "tags (!!str)"},
	} {
		err := strictyaml.Decode("f", []byte(c.text), &doc{}).Err()
		var ps strictyaml.Problems
		if !errors.As(err, &ps) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestOneProblemAPath(t *testing.T) {
	f := strictyaml.Decode("f", []byte("name: 1\n"), &doc{})
	f.Problem("name", "what follows from it", "")
	f.Problem("count", "another", "")
	var ps strictyaml.Problems
	if errors.As(f.Err(), &ps); len(ps) != 2 {
		t.Errorf("%v", ps)
	}
}

func TestSizeString(t *testing.T) {
	for n, want := range map[strictyaml.Size]string{0: "0B", 1: "1B", 1024: "1KiB", 1000: "1kB", 50 << 30: "50GiB", 10e9: "10GB", 1<<40 + 1: "1099511627777B"} {
		if n.String() != want {
			t.Errorf("%d: %s, want %s", n, n, want)
		}
		var back strictyaml.Size
		if err := back.UnmarshalText([]byte(n.String())); err != nil || back != n {
			t.Errorf("%s: %d, %v", n, back, err)
		}
	}
}

func TestSuggest(t *testing.T) {
	for got, want := range map[string]string{"kyes": "did you mean keys", "Keys": "did you mean keys", "usr": "did you mean user", "zzzzzz": "known here: user, keys", "u": "known here: user, keys"} {
		if s := strictyaml.Suggest(got, []string{"user", "keys"}); s != want {
			t.Errorf("%s: %s", got, s)
		}
	}
}
