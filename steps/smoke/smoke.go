package smoke

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/web"
	"github.com/slipway-dev/slipway/migrate"
)

// Smoke makes the checks in their order, with one cookie jar, at the release's address under the public name.
type Smoke struct {
	Release  migrate.Ref[kube.Release]
	Host     string // "www.shop.example"
	Checks   []Check
	Patience time.Duration // an answer that says "not yet" (no connection, 502, 503, 504) to a read is asked for again for so long
	After    []migrate.Dep // the release is open
}

// SmokeOut is what came of the checks.
type SmokeOut struct {
	Address string
	Results []Result
}

// Result is one check that passed.
type Result struct {
	Name   string
	Status int
	Bytes  int
	Millis int64
}

// Spec: what a visit leaves at the target (a cart, an order) goes with the target.
func (st Smoke) Spec() migrate.Spec {
	return migrate.Spec{ID: "open.smoke", Version: 1, Title: "visit the new side as a customer", Timeout: 15 * time.Minute, OnUndoFailure: migrate.GoOn,
		Needs: append([]migrate.Dep{st.Release.Dep()}, st.After...)}
}

// Plan names the visits. Once they have passed they aren't made again: a second order would be one more effect, and what runs is looked
// at by the release's own step.
func (st Smoke) Plan(_ context.Context, s *migrate.Scope[Visitor], rec migrate.Recorded[SmokeOut]) (migrate.Plan[SmokeOut], error) {
	var p migrate.Plan[SmokeOut]
	if rec.Complete {
		return migrate.Done(rec.Out), nil
	}
	if err := Validate(st.Checks); err != nil {
		return p, err
	}
	rel, err := migrate.Value(s, st.Release)
	if err != nil && !errors.Is(err, migrate.ErrNotRecorded) {
		return p, err
	}
	p.Want.Address = rel.Address
	for _, c := range st.Checks {
		verb := "visit"
		if c.writes() {
			verb = "send"
		}
		p.Effects = append(p.Effects, migrate.Effect{Verb: verb, Object: "https://" + st.Host + c.Path, Detail: c.Name})
	}
	return p, nil
}

// Run makes all checks.
func (st Smoke) Run(ctx context.Context, s *migrate.Scope[Visitor], want SmokeOut) (SmokeOut, error) {
	if err := Validate(st.Checks); err != nil {
		return want, err
	}
	results, err := st.walk(ctx, s.C, want.Address, st.Checks, s.Tell)
	want.Results = results
	return want, err
}

// Verify makes those checks again that come before the first one that writes.
func (st Smoke) Verify(ctx context.Context, s *migrate.Scope[Visitor], out SmokeOut) error {
	if len(out.Results) != len(st.Checks) {
		return fmt.Errorf("%d of %d checks have a result", len(out.Results), len(st.Checks))
	}
	reads := st.Checks
	for i, c := range reads {
		if c.writes() {
			reads = reads[:i]
			break
		}
	}
	_, err := st.walk(ctx, s.C, out.Address, reads, s.Tell)
	return err
}

// Undo: what was left at the target goes with it.
func (st Smoke) Undo(context.Context, *migrate.Scope[Visitor], migrate.Recorded[SmokeOut]) error {
	return nil
}

// walk makes checks one after the other, and stops at the first that fails: those after it live on what it leaves.
func (st Smoke) walk(ctx context.Context, v Visitor, address string, checks []Check, tell func(string, int64, int64)) ([]Result, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	w := walk{Smoke: st, v: v, address: address, jar: jar, vars: map[string]string{}}
	var out []Result
	for i, c := range checks {
		tell("smoke: "+c.Name, int64(i), int64(len(checks)))
		r, err := w.check(ctx, c)
		if err != nil {
			return out, fmt.Errorf("smoke check %q: %w", c.Name, err)
		}
		tell(fmt.Sprintf("smoke: %s passed, %d in %d ms", c.Name, r.Status, r.Millis), int64(i+1), int64(len(checks)))
		out = append(out, r)
	}
	return out, nil
}

type walk struct {
	Smoke
	v       Visitor
	address string
	jar     http.CookieJar
	vars    map[string]string
}

func (w *walk) check(ctx context.Context, c Check) (Result, error) {
	r := Result{Name: c.Name}
	path, err := expand(c.Path, w.vars)
	if err != nil {
		return r, err
	}
	u, err := url.Parse("https://" + w.Host)
	if err != nil {
		return r, err
	}
	if u, err = u.Parse(path); err != nil {
		return r, err
	}
	if u.Hostname() != w.Host {
		return r, fmt.Errorf("%s leads away from %s", u, w.Host)
	}
	form, secrets, err := w.form(c)
	if err != nil {
		return r, err
	}
	res, err := w.fetch(ctx, c, web.Request{Method: c.method(), URL: u, Form: form, Cookies: w.jar.Cookies(u)})
	if err != nil {
		return r, secret.Redact(err, secrets...)
	}
	w.jar.SetCookies(u, (&http.Response{Header: res.Header}).Cookies())
	r.Status, r.Bytes, r.Millis = res.Status, len(res.Body), res.Took.Milliseconds()
	if err := w.judge(ctx, c, res); err != nil {
		return r, secret.Redact(fmt.Errorf("%s %s at %s answers %d: %w", c.method(), u, w.address, res.Status, err), secrets...)
	}
	return r, nil
}

func (w *walk) form(c Check) (url.Values, []secret.String, error) {
	form := url.Values{}
	var secrets []secret.String
	for _, f := range c.Form {
		v, err := expand(f.Value, w.vars)
		if err != nil {
			return nil, nil, err
		}
		if !f.From.IsZero() {
			s, err := f.From.Resolve()
			if err != nil {
				return nil, nil, fmt.Errorf("field %s: %w", f.Name, err)
			}
			v, secrets = s.Reveal(), append(secrets, s)
		}
		form.Add(f.Name, v)
	}
	return form, secrets, nil
}

// fetch asks again, for a read, while the answer is that the new side isn't up yet: a LoadBalancer's first seconds.
func (w *walk) fetch(ctx context.Context, c Check, r web.Request) (web.Response, error) {
	began := time.Now()
	for {
		res, err := w.v.Fetch(ctx, w.address, r)
		early := err != nil || res.Status == http.StatusBadGateway || res.Status == http.StatusServiceUnavailable || res.Status == http.StatusGatewayTimeout
		if c.writes() || !early || ctx.Err() != nil || time.Since(began) >= w.Patience {
			return res, err
		}
		t := time.NewTimer(500 * time.Millisecond)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return res, context.Cause(ctx)
		}
	}
}

// judge compares an answer with what must come of the check, and captures.
func (w *walk) judge(ctx context.Context, c Check, res web.Response) error {
	if res.Status != c.status() {
		return fmt.Errorf("not %d; it begins %q", c.status(), begin(string(res.Body)))
	}
	if c.Location != "" {
		want, err := expand(c.Location, w.vars)
		if err != nil {
			return err
		}
		if at := res.Header.Get("Location"); !strings.HasPrefix(strings.TrimPrefix(at, "https://"+w.Host), want) {
			return fmt.Errorf("it leads to %q, not to %q", at, want)
		}
	}
	for _, text := range c.Contains {
		want, err := expand(text, w.vars)
		if err != nil {
			return err
		}
		if !contains(res.Body, want) {
			return fmt.Errorf("%q is not in it; it begins %q", want, begin(string(res.Body)))
		}
	}
	if err := w.row(ctx, c, res); err != nil {
		return err
	}
	if err := w.asset(ctx, c, res); err != nil {
		return err
	}
	for _, k := range c.Capture {
		v, err := k.find(res.Header.Get, res.Body)
		if err != nil {
			return err
		}
		w.vars[k.Name] = v
	}
	return nil
}

// contains looks for a text as it is and, since HTML may write a character in several ways, in what the page's entities stand for.
func contains(body []byte, text string) bool {
	return bytes.Contains(body, []byte(text)) || strings.Contains(html.UnescapeString(string(body)), text)
}

func (w *walk) row(ctx context.Context, c Check, res web.Response) error {
	if c.Row == nil {
		return nil
	}
	var args []string
	for _, a := range c.Row.Args {
		v, err := expand(a, w.vars)
		if err != nil {
			return err
		}
		args = append(args, v)
	}
	row, err := w.v.Row(ctx, c.Row.Query, args)
	if err != nil {
		return fmt.Errorf("ask the target's database: %w", err)
	}
	if len(row) == 0 {
		return errors.New("the target's database has no such row")
	}
	for i, v := range row {
		if v == "" {
			return fmt.Errorf("column %d of the target's row is empty: it proves nothing", i+1)
		}
		if !contains(res.Body, v) {
			return fmt.Errorf("column %d of the target's row, %q, is not in it; it begins %q", i+1, v, begin(string(res.Body)))
		}
	}
	return nil
}

func (w *walk) asset(ctx context.Context, c Check, res web.Response) error {
	if c.Asset == "" {
		return nil
	}
	name, err := expand(c.Asset, w.vars)
	if err != nil {
		return err
	}
	want, err := w.v.Digest(ctx, name)
	if err != nil {
		return fmt.Errorf("look %s up in the snapshot: %w", name, err)
	}
	sum := sha256.Sum256(res.Body)
	if got := hex.EncodeToString(sum[:]); got != want {
		return fmt.Errorf("its %d bytes have SHA-256 %s, and the snapshot's %s has %s; it begins %x", len(res.Body), got, name, want, res.Body[:min(16, len(res.Body))])
	}
	return nil
}
