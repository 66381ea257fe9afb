package smoke_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/web"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/steptest"
	"github.com/slipway-dev/slipway/steps/smoke"
)

const password = "correct horse battery staple"

// shop is the world: a small shop with sessions, forms with CSRF tokens, and orders.
type shop struct {
	p      *steptest.Process
	orders int
	early  int // answers of 503 before the first good one
	spoil  string
}

func page(status int, body string, header ...string) web.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return web.Response{Status: status, Header: h, Body: []byte(body), Took: 3 * time.Millisecond}
}

func cookie(r web.Request, name string) string {
	for _, c := range r.Cookies {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func (s *shop) Fetch(_ context.Context, address string, r web.Request) (web.Response, error) {
	if err := s.p.Look(); err != nil {
		return web.Response{}, err
	}
	if address != "10.77.3.1" || r.URL.Host != "www.shop.example" {
		return web.Response{}, errors.New("connection refused")
	}
	if s.early > 0 {
		s.early--
		return page(503, "not yet"), nil
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /product/1":
		if s.spoil == "page" {
			return page(500, "oops"), nil
		}
		return page(200, `<h1>Caf&eacute; &amp; Crème</h1><b class="sku">SKU-1</b><b class="price">12.50</b> Tom &amp; Jerry's <img class="picture" src="/assets/a%20b/1.jpg">`), nil
	case "GET /assets/a b/1.jpg":
		if s.spoil == "image" {
			return page(200, "jpeg bytez"), nil
		}
		return page(200, "jpeg bytes"), nil
	case "GET /login":
		return page(200, `<input name="csrf" value="tok&amp;en">`, "Set-Cookie", "sid=s1; Path=/; Secure"), nil
	case "POST /login":
		if cookie(r, "sid") != "s1" || r.Form.Get("csrf") != "tok&en" || r.Form.Get("password") != password {
			return page(403, "wrong, you sent "+r.Form.Get("password")), nil
		}
		return page(303, "", "Location", "https://www.shop.example/cart", "Set-Cookie", "sid=s2; Path=/; Secure"), nil
	case "POST /order":
		if cookie(r, "sid") != "s2" {
			return page(403, "log in first"), nil
		}
		s.orders++
		return page(303, "", "Location", fmt.Sprintf("/order/%d", s.orders), "X-Order-Number", fmt.Sprint(s.orders)), nil
	}
	var n int
	if _, err := fmt.Sscanf(r.URL.Path, "/order/%d", &n); err == nil && n <= s.orders && cookie(r, "sid") == "s2" {
		return page(200, fmt.Sprintf("thank you for order %d", n)), nil
	}
	return page(404, "no such page"), nil
}

func (s *shop) Row(_ context.Context, query string, args []string) ([]string, error) {
	if s.spoil == "row" {
		return []string{"SKU-1", "99.99"}, s.p.Look()
	}
	if !slices.Equal(args, []string{"SKU-1"}) {
		return nil, s.p.Look()
	}
	return []string{"SKU-1", "12.50", "Tom & Jerry's"}, s.p.Look()
}

func (s *shop) Digest(_ context.Context, asset string) (string, error) {
	if asset != "a%20b/1.jpg" {
		return "", errors.New("not in the manifest: " + asset)
	}
	sum := sha256.Sum256([]byte("jpeg bytes"))
	return hex.EncodeToString(sum[:]), s.p.Look()
}

func checks(t *testing.T) []smoke.Check {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	ref, err := secret.ParseRef("file:" + file)
	if err != nil {
		t.Fatal(err)
	}
	return []smoke.Check{
		{Name: "product page", Path: "/product/1", Contains: []string{"Crème"}, Capture: []smoke.Capture{
			{Name: "sku", Pattern: `class="sku">([^<]+)`}, {Name: "picture", Pattern: `class="picture" src="/assets/([^"]+)"`}}},
		{Name: "product row", Path: "/product/1", Row: &smoke.Row{Query: "SELECT sku, price, name FROM products WHERE sku = ?", Args: []string{"{sku}"}}},
		{Name: "image", Path: "/assets/{picture}", Asset: "{picture}"},
		{Name: "login form", Path: "/login", Capture: []smoke.Capture{{Name: "csrf", Pattern: `name="csrf" value="([^"]+)"`}}},
		{Name: "login", Method: "POST", Path: "/login", Status: 303, Location: "/cart", Form: []smoke.Field{{Name: "csrf", Value: "{csrf}"}, {Name: "password", From: ref}}},
		{Name: "order", Method: "POST", Path: "/order", Status: 303, Location: "/order/", Capture: []smoke.Capture{{Name: "number", Header: "X-Order-Number", Pattern: `^(\d+)$`}}},
		{Name: "order page", Path: "/order/{number}", Contains: []string{"order {number}"}},
	}
}

func add(s *shop, st smoke.Smoke) func(*migrate.Runbook[migrate.Rehearsal]) {
	return func(rb *migrate.Runbook[migrate.Rehearsal]) {
		st := st
		st.Release = steptest.Given(rb, "standup.release", kube.Release{Name: "shop", Address: "10.77.3.1"})
		eye := migrate.Look("the new side", smoke.OnlyVisitor(s))
		migrate.Add(rb, st, eye, migrate.NoHands[migrate.Rehearsal](eye))
	}
}

func TestSmoke(t *testing.T) {
	st := smoke.Smoke{Host: "www.shop.example", Checks: checks(t)}
	steptest.Run(t, steptest.Case{New: func(t *testing.T, p *steptest.Process) steptest.World {
		s := &shop{p: p}
		return steptest.World{
			Add: add(s, st),
			// Orders that were placed go with the target: Undo leaves them on purpose, and a visit that was cut short is made
			// anew. So the suite doesn't hear of them.
			State:   func() string { return "" },
			Found:   true,
			Secrets: []string{password},
			Spoil: []steptest.Spoil{
				{Name: "the page fails", Do: func() { s.spoil = "page" }},
				{Name: "the image is another", Do: func() { s.spoil = "image" }},
				{Name: "the row is another", Do: func() { s.spoil = "row" }},
			},
		}
	}})
}

func run(t *testing.T, s *shop, st smoke.Smoke) error {
	t.Helper()
	const id = "20261123-010203-0001"
	dir, err := journal.MakeDir(t.TempDir(), id)
	if err != nil {
		t.Fatal(err)
	}
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.Phase("open")
	add(s, st)(rb)
	r, err := migrate.Begin(dir, id, rb, migrate.Options{Tool: "test", Who: "test", Parallel: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	return r.Resume(context.Background())
}

// Each failure says which check, which address, which status, and what was seen instead.
func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*shop, []smoke.Check)
		want  string
	}{
		"status":     {func(s *shop, _ []smoke.Check) { s.spoil = "page" }, `smoke check "product page": GET https://www.shop.example/product/1 at 10.77.3.1 answers 500: not 200; it begins "oops"`},
		"text":       {func(_ *shop, cs []smoke.Check) { cs[0].Contains = []string{"Tea"} }, `"Tea" is not in it; it begins "<h1>Caf`},
		"row":        {func(s *shop, _ []smoke.Check) { s.spoil = "row" }, `column 2 of the target's row, "99.99", is not in it`},
		"no row":     {func(_ *shop, cs []smoke.Check) { cs[1].Row.Args = []string{"nope"} }, "the target's database has no such row"},
		"image":      {func(s *shop, _ []smoke.Check) { s.spoil = "image" }, "its 10 bytes have SHA-256"},
		"no asset":   {func(_ *shop, cs []smoke.Check) { cs[2].Asset = "x" }, "not in the manifest"},
		"no capture": {func(_ *shop, cs []smoke.Check) { cs[3].Capture[0].Pattern = `name="nope" value="([^"]+)"` }, "capture csrf: nothing matches"},
		"location":   {func(_ *shop, cs []smoke.Check) { cs[4].Location = "/home" }, `it leads to "https://www.shop.example/cart", not to "/home"`},
		"leads away": {func(_ *shop, cs []smoke.Check) {
			cs[2].Path = "{picture}"
			cs[0].Capture[1].Pattern = `(h1)`
			cs[2].Path = "//evil.example/{picture}"
		}, "leads away from www.shop.example"},
		"a session":  {func(_ *shop, cs []smoke.Check) { cs[4].Form[0].Value = "no" }, "answers 403"},
		"order":      {func(_ *shop, cs []smoke.Check) { cs[5].Capture[0].Header = "X-Nope" }, "capture number: nothing matches"},
		"order page": {func(_ *shop, cs []smoke.Check) { cs[6].Contains = []string{"order 2"} }, `"order 2" is not in it; it begins "thank you for order 1"`},
		"nothing":    {func(*shop, []smoke.Check) {}, ""},
	} {
		s, cs := &shop{p: &steptest.Process{}}, checks(t)
		c.spoil(s, cs)
		err := run(t, s, smoke.Smoke{Host: "www.shop.example", Checks: cs})
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
}

// A LoadBalancer's first seconds are waited for, but not for ever.
func TestPatience(t *testing.T) {
	st := smoke.Smoke{Host: "www.shop.example", Checks: checks(t)[:1], Patience: time.Second}
	if err := run(t, &shop{p: &steptest.Process{}, early: 1}, st); err != nil {
		t.Error(err)
	}
	st.Patience = time.Millisecond
	if err := run(t, &shop{p: &steptest.Process{}, early: 9}, st); err == nil || !strings.Contains(err.Error(), "answers 503") {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	err := smoke.Validate([]smoke.Check{
		{Name: "a", Path: "x"},
		{Name: "a", Path: "/{nope}"},
		{Name: "c", Path: "/", Form: []smoke.Field{{Name: "f", Value: "v"}}},
		{Name: "d", Path: "/", Capture: []smoke.Capture{{Name: "k", Pattern: "("}, {Name: "l", Pattern: "x"}}},
		{Name: "e", Path: "/{k}/{{ok}}", Contains: []string{"}"}},
	})
	for _, want := range []string{`path "x" doesn't begin`, "missing or used twice", "nothing captured {nope}", "a GET has no form", "error parsing regexp", "0 groups, not one", `"}": a brace that stands for nothing`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
	if err := smoke.Validate(checks(t)); err != nil {
		t.Error(err)
	}
}
