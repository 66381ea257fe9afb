package zone

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/ovh"
	"github.com/slipway-dev/slipway/internal/secret"
)

// ovhWorld is OVH's API, as the lab has it, before two name servers.
type ovhWorld struct {
	*world
	api  *ovh.API
	srv  *httptest.Server
	z    *OVH
	cut  atomic.Int32 // writes whose answers are lost after they were done
	seen atomic.Int32 // writes
}

func newOVHWorld(t *testing.T, rules []ovh.Rule, records ...ovh.Data) *ovhWorld {
	t.Helper()
	w := &ovhWorld{world: newWorld(t, "rehearsal.example.", records...)}
	var err error
	w.api, err = ovh.New(context.Background(), ovh.Options{Zones: []string{"rehearsal.example"}, NameServers: []string{"ns1.rehearsal.example", "ns2.rehearsal.example"},
		Backend: w, Log: slog.New(slog.DiscardHandler), Delay: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.api.Close)
	h := w.api.Handler()
	w.srv = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		write := r.Method != http.MethodGet
		if write {
			w.seen.Add(1)
		}
		if write && w.cut.Add(-1) >= 0 {
			h.ServeHTTP(httptest.NewRecorder(), r)
			c, _, _ := rw.(http.Hijacker).Hijack()
			_ = c.Close()
			return
		}
		h.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.srv.Close)
	if rules == nil {
		rules = []ovh.Rule{{Method: "GET", Path: "/domain/zone/*"}, {Method: "POST", Path: "/domain/zone/*"}, {Method: "PUT", Path: "/domain/zone/*"}, {Method: "DELETE", Path: "/domain/zone/*"}}
	}
	cred, err := w.api.Grant(rules...)
	if err != nil {
		t.Fatal(err)
	}
	w.z = w.open(t, cred)
	return w
}

func (w *ovhWorld) open(t *testing.T, c ovh.Credentials) *OVH {
	t.Helper()
	z, err := NewOVH(OVHAccess{Endpoint: w.srv.URL + "/1.0", AppKey: secret.New(c.ApplicationKey), AppSecret: secret.New(c.ApplicationSecret), ConsumerKey: secret.New(c.ConsumerKey),
		UserAgent: "slipway-test"}, "Rehearsal.example", w.servers())
	if err != nil {
		t.Fatal(err)
	}
	z.api.Client = w.srv.Client()
	z.pace = pace{first: 5 * time.Millisecond, most: 20 * time.Millisecond, republish: 150 * time.Millisecond, patience: 700 * time.Millisecond}
	return z
}

func rec(name, typ string, ttl uint32, target string) ovh.Data {
	return ovh.Data{Name: name, Type: typ, TTL: ttl, Target: target}
}

func quietly(string, int64, int64) {}

func (w *ovhWorld) point(t *testing.T, names ...string) Changes {
	t.Helper()
	sets, err := w.z.Sets(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	cs, err := Point(w.z, sets, names, "10.77.3.1", 60)
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

func start() []ovh.Data {
	return []ovh.Data{
		rec("www", "A", 3600, "10.77.0.10"), rec("www", "A", 3600, "10.77.0.11"), rec("www", "AAAA", 0, "2001:db8::1"),
		rec("img", "CNAME", 300, "www.rehearsal.example."), rec("", "MX", 0, "10 mail.rehearsal.example."), rec("", "TXT", 600, `"v=spf1 -all"`),
	}
}

func all(t *testing.T, z Looker) string {
	t.Helper()
	sets, err := z.Sets(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, s := range sets {
		b.WriteString(s.Name + " " + s.Type + " " + s.Data() + "\n")
	}
	return b.String()
}

func TestOVHThereAndBack(t *testing.T) {
	w := newOVHWorld(t, nil, start()...)
	was := all(t, w.z)
	cs := w.point(t, "www", "img", "new")
	if err := w.z.Apply(context.Background(), cs, quietly); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, typ, want string }{{"www", "A", "60 10.77.3.1"}, {"www", "AAAA", "none"}, {"img", "A", "60 10.77.3.1"}, {"img", "CNAME", "none"}, {"new", "A", "60 10.77.3.1"}} {
		if got := w.served(t, c.name, c.typ); got != c.want {
			t.Errorf("%s %s is %s, want %s", c.name, c.typ, got, c.want)
		}
	}
	if got := w.served(t, "@", "TXT"); got != `600 "v=spf1 -all"` {
		t.Errorf("an untouched set: %s", got)
	}
	if err := w.z.Apply(context.Background(), cs, quietly); err != nil {
		t.Errorf("a second time: %v", err)
	}
	for i := range 2 {
		if err := w.z.Apply(context.Background(), cs.Reverse(), quietly); err != nil {
			t.Fatalf("back, %d: %v", i, err)
		}
		if got := all(t, w.z); got != was {
			t.Errorf("after the way back\n%s\nwant\n%s", got, was)
		}
		if got := w.served(t, "www", "A"); got != "3600 10.77.0.10 10.77.0.11" {
			t.Errorf("www is %s", got)
		}
	}
}

// A write whose answer is lost is not made twice, wherever it happens.
func TestOVHLostAnswers(t *testing.T) {
	for lost := range int32(8) {
		w := newOVHWorld(t, nil, start()...)
		cs := w.point(t, "www", "img", "new")
		w.cut.Store(lost)
		if err := w.z.Apply(context.Background(), cs, quietly); err != nil {
			t.Errorf("%d answers lost: %v", lost, err)
			continue
		}
		w.cut.Store(0)
		if err := w.z.Apply(context.Background(), cs, quietly); err != nil {
			t.Errorf("%d answers lost, again: %v", lost, err)
		}
		if got := w.served(t, "www", "A") + ", " + w.served(t, "new", "A"); got != "60 10.77.3.1, 60 10.77.3.1" {
			t.Errorf("%d answers lost: %s", lost, got)
		}
	}
}

// Killed after each single write, the next attempt goes on from there.
func TestOVHKilledHalfWay(t *testing.T) {
	for n := int32(1); n < 9; n++ {
		w := newOVHWorld(t, nil, start()...)
		was := all(t, w.z)
		cs := w.point(t, "www", "img", "new")
		ctx, kill := context.WithCancel(context.Background())
		tell := func(string, int64, int64) {
			if w.seen.Load() >= n {
				kill()
			}
		}
		_ = w.z.Apply(ctx, cs, tell)
		kill()
		if n%2 == 0 {
			if err := w.z.Apply(context.Background(), cs, quietly); err != nil {
				t.Errorf("killed after %d writes, forward: %v", n, err)
			}
		}
		if err := w.z.Apply(context.Background(), cs.Reverse(), quietly); err != nil {
			t.Errorf("killed after %d writes, back: %v", n, err)
		}
		if got := all(t, w.z); got != was {
			t.Errorf("killed after %d writes: %s", n, got)
		}
	}
}

func TestOVHSilentlyFailedRefresh(t *testing.T) {
	w := newOVHWorld(t, nil, start()...)
	cs := w.point(t, "www")
	if err := w.api.FailRefreshes("rehearsal.example", 1); err != nil {
		t.Fatal(err)
	}
	said := false
	if err := w.z.Apply(context.Background(), cs, func(s string, _, _ int64) { said = said || strings.Contains(s, "publishing again") }); err != nil {
		t.Errorf("one failed refresh: %v", err)
	}
	if !said {
		t.Error("nothing was said of publishing again")
	}
	if err := w.api.FailRefreshes("rehearsal.example", 100); err != nil {
		t.Fatal(err)
	}
	err := w.z.Apply(context.Background(), cs.Reverse(), quietly)
	if !errors.Is(err, ErrNotServed) || !strings.Contains(err.Error(), "ns2.rehearsal.example. (127.0.0.2) answers www.rehearsal.example. A: 60 10.77.3.1, not 3600") {
		t.Errorf("refreshes that never work: %v", err)
	}
}

func TestOVHOneServerLags(t *testing.T) {
	w := newOVHWorld(t, nil, start()...)
	cs := w.point(t, "www")
	w.ns[1].set(func(n *nameserver) { n.silent = true })
	if err := w.z.Apply(context.Background(), cs, quietly); err == nil || !strings.Contains(err.Error(), "ns2.rehearsal.example.") {
		t.Errorf("a server that is down: %v", err)
	}
}

func TestOVHRefusals(t *testing.T) {
	post := func(t *testing.T, w *ovhWorld, r ovhRecord) {
		t.Helper()
		if err := w.z.call(context.Background(), http.MethodPost, w.z.path("record"), r, nil); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		before func(*testing.T, *ovhWorld)
		want   error
		text   string
	}{
		"unpublished edits of others": {func(t *testing.T, w *ovhWorld) {
			post(t, w, ovhRecord{FieldType: "A", SubDomain: "theirs", Target: "192.0.2.9", TTL: 60})
		}, ErrUnpublished, "theirs.rehearsal.example."},
		"changed since the plan": {func(t *testing.T, w *ovhWorld) {
			post(t, w, ovhRecord{FieldType: "A", SubDomain: "www", Target: "192.0.2.9", TTL: 3600})
		}, ErrChanged, "192.0.2.9"},
		"gone since the plan": {func(t *testing.T, w *ovhWorld) {
			other := w.z
			sets, err := other.Sets(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			was := Find(sets, "www.rehearsal.example.", "A")
			if err := other.Apply(context.Background(), Changes{{was.Name, "A", was, Set{Name: was.Name, Type: "A"}}}, quietly); err != nil {
				t.Fatal(err)
			}
		}, ErrChanged, "is gone"},
	} {
		w := newOVHWorld(t, nil, start()...)
		cs := w.point(t, "www")
		c.before(t, w)
		n := w.seen.Load()
		served := w.served(t, "www", "AAAA")
		err := w.z.Apply(context.Background(), cs, quietly)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %v, %q", name, err, c.want, c.text)
		}
		if w.seen.Load() != n || w.served(t, "www", "AAAA") != served {
			t.Errorf("%s: it wrote", name)
		}
	}
}

func TestOVHLeastRights(t *testing.T) {
	w := newOVHWorld(t, []ovh.Rule{{Method: "GET", Path: "/domain/zone/*"}}, start()...)
	cs := w.point(t, "www")
	err := w.z.Apply(context.Background(), cs, quietly)
	if err == nil || !strings.Contains(err.Error(), "consumer key has no valid rule") {
		t.Errorf("a key that may only read: %v", err)
	}
	for _, s := range w.z.secrets {
		if err != nil && strings.Contains(err.Error(), s.Reveal()) {
			t.Error("the error shows a key")
		}
	}
	if _, err := NewOVH(OVHAccess{Endpoint: "ovh-eu", AppKey: secret.New("a")}, "x.example", Servers{}); err == nil {
		t.Error("missing keys are taken from elsewhere")
	}
}

// OVH stores a TTL under 60 as 60 and says 200: what reads back otherwise than it was written is never published.
func TestOVHReadsBack(t *testing.T) {
	w := newOVHWorld(t, nil, start()...)
	sets, err := w.z.Sets(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	was := Find(sets, "www.rehearsal.example.", "A")
	is := was
	is.TTL = 30
	cs := Changes{{was.Name, "A", was, is}}
	if err := w.z.Apply(context.Background(), cs, quietly); !errors.Is(err, ErrRefused) {
		t.Errorf("a TTL of 30: %v, want it refused before anything is written", err)
	}
	if w.seen.Load() != 0 {
		t.Error("it wrote")
	}
	if err := w.z.stage(context.Background(), cs, without(sets, cs), quietly); !errors.Is(err, ErrChanged) {
		t.Errorf("a stage that reads back otherwise: %v, want ErrChanged", err)
	}
}

// Somebody who edits between our look and our writes is noticed before anything is published.
func TestOVHEditedMeanwhile(t *testing.T) {
	w := newOVHWorld(t, nil, start()...)
	cs := w.point(t, "www")
	theirs := false
	err := w.z.Apply(context.Background(), cs, func(what string, _, _ int64) {
		if strings.Contains(what, "staging") && !theirs {
			theirs = true
			if err := w.z.call(context.Background(), http.MethodPost, w.z.path("record"), ovhRecord{FieldType: "A", SubDomain: "theirs", Target: "192.0.2.9", TTL: 60}, nil); err != nil {
				t.Error(err)
			}
		}
	})
	if !errors.Is(err, ErrChanged) || w.served(t, "www", "A") != "3600 10.77.0.10 10.77.0.11" {
		t.Errorf("%v, www is %s", err, w.served(t, "www", "A"))
	}
}
