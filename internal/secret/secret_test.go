package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/slipway-dev/slipway/internal/secret"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.yaml.in/yaml/v3"
)

const plain = "hunter2-\"quoted\" &p%q"

type outer struct {
	Name   string
	Pass   secret.String
	hidden secret.String
	list   []secret.String
	byName map[string]secret.String
	ptr    *secret.String
	any    any
}

type pair struct {
	S secret.String
	P *secret.String
}

func newOuter() outer {
	s := secret.New(plain)
	return outer{"n", s, s, []secret.String{s}, map[string]secret.String{"k": s}, &s, s}
}

func TestNothingPrintsIt(t *testing.T) {
	s, o := secret.New(plain), newOuter()
	var out bytes.Buffer
	for _, v := range []any{s, &s, o, &o, []secret.String{s}, map[string]any{"k": s}, [1]outer{o}, fmt.Errorf("x: %v", s), errors.Join(fmt.Errorf("%s", s))} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v", "%10.3s", "%t"} {
			args := []any{v, v}
			fmt.Fprintf(&out, verb+"\n", args[:strings.Count(verb, "%")]...)
		}
	}
	for _, enc := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal, func(v any) ([]byte, error) { return xml.Marshal(v) }} {
		b, err := enc(pair{s, &s})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(b, []byte(secret.Mask)) {
			t.Errorf("no mask in %s", b)
		}
		out.Write(b)
	}
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&out), zap.DebugLevel)
	z := zap.New(core)
	z.Info("m", zap.Any("a", s), zap.Reflect("r", o), zap.Stringer("s", s), zap.Any("ps", &s), zap.Any("l", []secret.String{s}), zap.Error(fmt.Errorf("with %v", o)))
	z.Sugar().Infow("m", "k", s, "o", o)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "s", s, "o", o, "g", slog.AnyValue(s))
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "s", s, "o", o)

	for _, leak := range []string{"hunter2", "68756e74657232", "[104 117", "104, 117"} {
		if strings.Contains(strings.ToLower(out.String()), leak) {
			t.Errorf("%q in what was printed:\n%s", leak, out.String())
		}
	}
	if strings.Count(out.String(), secret.Mask) < 100 {
		t.Errorf("few masks, is anything printed at all?\n%s", out.String())
	}
}

func TestRevealAndEqual(t *testing.T) {
	if secret.New(plain).Reveal() != plain || !secret.New(plain).Equal(secret.New(plain)) || secret.New(plain).Equal(secret.New("x")) {
		t.Error("reveal or equal is wrong")
	}
	if !(secret.String{}).IsZero() || !secret.New("").IsZero() || secret.New("x").IsZero() || (secret.String{}).Reveal() != "" {
		t.Error("zero is wrong")
	}
}

func TestDecodingIsRefused(t *testing.T) {
	var v struct {
		S secret.String `json:"s" yaml:"s"`
	}
	for _, err := range []error{json.Unmarshal([]byte(`{"s":"`+secret.Mask+`"}`), &v), yaml.Unmarshal([]byte("s: x\n"), &v)} {
		if err == nil || !v.S.IsZero() {
			t.Errorf("a secret was decoded: %v", err)
		}
	}
}

func TestMarker(t *testing.T) {
	var v any = secret.String{}
	if _, ok := v.(interface{ NeverJournaled() }); !ok {
		t.Error("the engine would not know a secret")
	}
}

func TestRedact(t *testing.T) {
	s := secret.New(plain)
	inner := &fs.PathError{Op: "dial", Path: "slipway:" + plain + "@tcp(db1)", Err: fs.ErrPermission}
	err := secret.Redact(fmt.Errorf("open %q then %w", plain, inner), s, secret.New("hunter2"), secret.String{})
	for _, text := range []string{err.Error(), fmt.Sprintf("%v %+v %#v %q", err, err, err, err)} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "&p%q") {
			t.Errorf("leaks: %s", text)
		}
	}
	var pe *fs.PathError
	if !errors.Is(err, fs.ErrPermission) || !errors.As(err, &pe) {
		t.Error("the chain is lost")
	}
	if e := errors.New("nothing"); secret.Redact(e, s) != e || secret.Redact(nil, s) != nil {
		t.Error("an innocent error is changed")
	}
}

func TestParseRef(t *testing.T) {
	for _, c := range []struct {
		text string
		ok   bool
	}{
		{"env:A", true}, {"file:/x", true}, {"file:rel/x", true}, {"file:a:b", true},
		{"", false}, {"env:", false}, {"file:", false}, {"hunter2", false}, {"ENV:A", false}, {"env:A=B", false}, {"env:A B", false}, {"vault:x", false}, {"file:a\x00", false},
	} {
		r, err := secret.ParseRef(c.text)
		if (err == nil) != c.ok {
			t.Errorf("%q: %v", c.text, err)
		}
		if c.ok && r.String() != c.text {
			t.Errorf("%q became %q", c.text, r)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error quotes what may be the secret: %v", err)
		}
	}
}

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
	}
	write("good", "pw\n", 0o600)
	write("crlf", "pw\r\n", 0o400)
	write("two", "pw\n\n", 0o600)
	write("empty", "\n", 0o600)
	write("group", "pw", 0o640)
	write("world", "pw", 0o604)
	write("write", "pw", 0o620)
	write("big", strings.Repeat("x", 70<<10), 0o600)
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("good", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("group", filepath.Join(dir, "badlink")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SLIPWAY_TEST_SECRET", "from env")
	t.Setenv("SLIPWAY_TEST_EMPTY", "")
	for _, c := range []struct {
		ref, want string
		is        error
		says      string
	}{
		{"file:good", "pw", nil, ""},
		{"file:crlf", "pw", nil, ""},
		{"file:two", "pw\n", nil, ""},
		{"file:link", "pw", nil, ""},
		{"file:empty", "", secret.ErrMissing, "empty"},
		{"file:group", "", secret.ErrReadable, "chmod 600 " + dir},
		{"file:badlink", "", secret.ErrReadable, "chmod 600"},
		{"file:world", "", secret.ErrReadable, "0604"},
		{"file:write", "", secret.ErrReadable, "0620"},
		{"file:big", "", secret.ErrRef, "bytes"},
		{"file:none", "", secret.ErrMissing, "does not exist"},
		{"file:.", "", secret.ErrMissing, "regular"},
		{"file:fifo", "", secret.ErrMissing, "regular"},
		{"env:SLIPWAY_TEST_SECRET", "from env", nil, ""},
		{"env:SLIPWAY_TEST_EMPTY", "", secret.ErrMissing, "SLIPWAY_TEST_EMPTY"},
		{"env:SLIPWAY_TEST_NONE", "", secret.ErrMissing, "SLIPWAY_TEST_NONE"},
	} {
		r, err := secret.ParseRef(c.ref)
		if err != nil {
			t.Fatal(err)
		}
		s, err := r.In(dir).Resolve()
		if s.Reveal() != c.want || !errors.Is(err, c.is) || (err == nil) != (c.is == nil) {
			t.Errorf("%s: %q, %v", c.ref, s.Reveal(), err)
		}
		if err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v does not say %q", c.ref, err, c.says)
		}
	}
	if _, err := (secret.Ref{}).Resolve(); !errors.Is(err, secret.ErrRef) {
		t.Errorf("the zero reference: %v", err)
	}
}

func TestRefIsPlainText(t *testing.T) {
	r, err := secret.ParseRef("file:k")
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(struct{ R secret.Ref }{r})
	if err != nil || string(b) != `{"R":"file:k"}` {
		t.Errorf("%s, %v", b, err)
	}
	if r.In("/etc").String() != "file:/etc/k" || r.In("/etc").Path() != "/etc/k" {
		t.Error(r.In("/etc"))
	}
	var back struct{ R secret.Ref }
	if err := json.Unmarshal(b, &back); err != nil || back.R != r {
		t.Errorf("%v, %v", back, err)
	}
}
