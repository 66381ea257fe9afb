package ovh_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/ovh/go-ovh/ovh"
	"github.com/slipway-dev/slipway/internal/lab/cloud/ovh"
	"github.com/slipway-dev/slipway/internal/lab/cloud/recordingtest"
)

// servers is a Backend of this test.
type servers struct {
	mu    sync.Mutex
	zones map[string][]ovh.Data
}

func (s *servers) Records(_ context.Context, zone string) ([]ovh.Data, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.zones[zone], nil
}

func (s *servers) Replace(_ context.Context, zone string, records []ovh.Data) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zones[zone] = records
	return nil
}

func (s *servers) SOA(context.Context, string) (ovh.SOA, error) {
	return ovh.SOA{Server: "ns1.shop.example.", Email: "hostmaster.shop.example.", Serial: 7, TTL: 3600, Refresh: 3600, Expire: 1209600, NXDomainTTL: 60}, nil
}

func (s *servers) answers(zone, name, typ string) []ovh.Data {
	list, _ := s.Records(context.Background(), zone)
	var out []ovh.Data
	for _, d := range list {
		if d.Name == name && d.Type == typ {
			out = append(out, d)
		}
	}
	return out
}

type lab struct {
	servers *servers
	api     *ovh.API
}

// as is the real client with a consumer key of these rules.
func (l lab) as(t *testing.T, rules ...ovh.Rule) *client.Client {
	t.Helper()
	k, err := l.api.Grant(rules...)
	if err != nil {
		t.Fatal(err)
	}
	return l.with(t, k.ApplicationKey, k.ApplicationSecret, k.ConsumerKey)
}

func (l lab) with(t *testing.T, key, secret, consumer string) *client.Client {
	t.Helper()
	c, err := client.NewClient("https://api.ovh.lab/1.0", key, secret, consumer)
	if err != nil {
		t.Fatal(err)
	}
	c.Client = &http.Client{Transport: recordingtest.Transport{Handler: l.api.Handler()}}
	return c
}

var everything = []ovh.Rule{{Method: "GET", Path: "/*"}, {Method: "POST", Path: "/*"}, {Method: "PUT", Path: "/*"}, {Method: "DELETE", Path: "/*"}}

// bubble runs f in a bubble where time is fake.
func bubble(t *testing.T, f func(t *testing.T, l lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &servers{zones: map[string][]ovh.Data{
			"shop.example": {
				{Type: "NS", TTL: 3600, Target: "ns1.shop.example."}, {Name: "www", Type: "A", TTL: 300, Target: "10.77.0.10"},
				{Name: "", Type: "MX", TTL: 3600, Target: "10 mail.shop.example."}, {Name: "", Type: "TXT", TTL: 3600, Target: `"v=spf1 -all"`},
			},
			"rehearsal.example": {{Type: "NS", TTL: 3600, Target: "ns1.shop.example."}},
		}}
		a, err := ovh.New(t.Context(), ovh.Options{Zones: []string{"shop.example", "rehearsal.example"}, NameServers: []string{"ns1.shop.example."}, Backend: s, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		f(t, lab{s, a})
	})
}

func refused(t *testing.T, what string, err error, code int, class string) {
	t.Helper()
	var e *client.APIError
	if !errors.As(err, &e) || e.Code != code || e.Class != class || e.QueryID == "" {
		t.Errorf("%s: %v, want %d %s", what, err, code, class)
	}
}

type record struct {
	ID        int64  `json:"id,omitempty"`
	Zone      string `json:"zone,omitempty"`
	FieldType string `json:"fieldType,omitempty"`
	SubDomain string `json:"subDomain"`
	Target    string `json:"target"`
	TTL       int    `json:"ttl"`
}

// TestStageAndRefresh: what is edited is read back at once and answered by the
// servers only after a refresh.
func TestStageAndRefresh(t *testing.T) {
	bubble(t, func(t *testing.T, l lab) {
		c := l.as(t, everything...)
		var made record
		if err := c.Post("/domain/zone/rehearsal.example/record", record{FieldType: "A", SubDomain: "WWW", Target: "10.77.3.1", TTL: 5}, &made); err != nil {
			t.Fatal(err)
		}
		if made.TTL != 60 || made.SubDomain != "www" || made.Zone != "rehearsal.example" || made.ID == 0 {
			t.Errorf("made %+v, want a TTL of 60", made)
		}
		var ids []int64
		if err := c.Get("/domain/zone/rehearsal.example/record?fieldType=A&subDomain=www", &ids); err != nil || len(ids) != 1 || ids[0] != made.ID {
			t.Errorf("ids %v %v", ids, err)
		}
		time.Sleep(time.Minute)
		if got := l.servers.answers("rehearsal.example", "www", "A"); got != nil {
			t.Errorf("without a refresh the servers answer %v", got)
		}
		if err := c.Post("/domain/zone/rehearsal.example/refresh", nil, nil); err != nil {
			t.Fatal(err)
		}
		err := c.Post("/domain/zone/rehearsal.example/refresh", nil, nil)
		refused(t, "a second refresh", err, 409, "Client::Conflict")
		if err := c.Post("/domain/zone/shop.example/refresh", nil, nil); err != nil {
			t.Errorf("another zone's refresh: %v", err)
		}
		if got := l.servers.answers("rehearsal.example", "www", "A"); got != nil {
			t.Errorf("the refresh is answered, and the servers answer %v already", got)
		}
		time.Sleep(time.Second)
		if got := l.servers.answers("rehearsal.example", "www", "A"); len(got) != 1 || got[0].TTL != 60 || got[0].Target != "10.77.3.1" {
			t.Errorf("the servers answer %v", got)
		}
		if err := c.Put("/domain/zone/rehearsal.example/record/"+id(made.ID), record{SubDomain: "www", Target: "10.77.3.2", TTL: 120}, nil); err != nil {
			t.Fatal(err)
		}
		var now record
		if err := c.Get("/domain/zone/rehearsal.example/record/"+id(made.ID), &now); err != nil || now.Target != "10.77.3.2" || now.TTL != 120 || now.FieldType != "A" {
			t.Errorf("%+v %v", now, err)
		}
		if err := c.Delete("/domain/zone/rehearsal.example/record/"+id(made.ID), nil); err != nil {
			t.Fatal(err)
		}
		err = c.Get("/domain/zone/rehearsal.example/record/"+id(made.ID), &now)
		refused(t, "a record that is gone", err, 404, "Client::NotFound")
		if err := c.Post("/domain/zone/rehearsal.example/refresh", nil, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := l.servers.answers("rehearsal.example", "", "NS"); len(got) != 1 || len(l.servers.zones["rehearsal.example"]) != 1 {
			t.Errorf("the servers answer %v", l.servers.zones["rehearsal.example"])
		}
	})
}

func id(n int64) string { return strconv.FormatInt(n, 10) }

// TestSilentFailure: a refresh that fails is answered as one that does not.
func TestSilentFailure(t *testing.T) {
	bubble(t, func(t *testing.T, l lab) {
		c := l.as(t, everything...)
		if err := l.api.FailRefreshes("rehearsal.example", 1); err != nil {
			t.Fatal(err)
		}
		if err := c.Post("/domain/zone/rehearsal.example/record", record{FieldType: "TXT", SubDomain: "x", Target: "hello"}, nil); err != nil {
			t.Fatal(err)
		}
		for try, want := range []int{0, 1} {
			if err := c.Post("/domain/zone/rehearsal.example/refresh", nil, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if got := l.servers.answers("rehearsal.example", "x", "TXT"); len(got) != want {
				t.Errorf("after refresh %d the servers answer %v", try+1, got)
			}
		}
		if got := l.servers.answers("rehearsal.example", "x", "TXT"); got[0].Target != `"hello"` || got[0].TTL != 3600 {
			t.Errorf("the servers answer %v", got)
		}
	})
}

// TestAccessRules: a key that reads all zones and writes one.
func TestAccessRules(t *testing.T) {
	bubble(t, func(t *testing.T, l lab) {
		c := l.as(t, ovh.Rule{Method: "GET", Path: "/domain/zone"}, ovh.Rule{Method: "GET", Path: "/domain/zone/*"}, ovh.Rule{Method: "POST", Path: "/domain/zone/rehearsal.example/*"})
		var zones []string
		if err := c.Get("/domain/zone", &zones); err != nil || !slices.Equal(zones, []string{"rehearsal.example", "shop.example"}) {
			t.Errorf("zones %v %v", zones, err)
		}
		var ids []int64
		if err := c.Get("/domain/zone/shop.example/record", &ids); err != nil || len(ids) != 4 {
			t.Errorf("ids %v %v", ids, err)
		}
		err := c.Post("/domain/zone/shop.example/record", record{FieldType: "A", SubDomain: "x", Target: "192.0.2.1"}, nil)
		refused(t, "a write to production's zone", err, 403, "Client::Forbidden")
		err = c.Post("/domain/zone/shop.example/refresh", nil, nil)
		refused(t, "a refresh of production's zone", err, 403, "Client::Forbidden")
		err = c.Delete("/domain/zone/rehearsal.example/record/"+id(ids[0]), nil)
		refused(t, "a method that was not granted", err, 403, "Client::Forbidden")
		if err := c.Post("/domain/zone/rehearsal.example/record", record{FieldType: "A", SubDomain: "x", Target: "192.0.2.1"}, nil); err != nil {
			t.Error(err)
		}
		var info struct {
			Status string
			Rules  []ovh.Rule
		}
		if err := c.Get("/auth/currentCredential", &info); err != nil || info.Status != "validated" || len(info.Rules) != 3 {
			t.Errorf("%+v %v", info, err)
		}
	})
}

func TestSignature(t *testing.T) {
	bubble(t, func(t *testing.T, l lab) {
		k, err := l.api.Grant(everything...)
		if err != nil {
			t.Fatal(err)
		}
		var zones []string
		err = l.with(t, k.ApplicationKey, "wrong", k.ConsumerKey).Get("/domain/zone", &zones)
		refused(t, "a wrong secret", err, 400, "Client::BadRequest")
		err = l.with(t, k.ApplicationKey, k.ApplicationSecret, "wrong").Get("/domain/zone", &zones)
		refused(t, "a wrong consumer key", err, 403, "Client::Forbidden")
		err = l.with(t, "wrong", k.ApplicationSecret, k.ConsumerKey).Get("/domain/zone", &zones)
		refused(t, "a wrong application key", err, 403, "Client::Forbidden")

		c := l.with(t, k.ApplicationKey, k.ApplicationSecret, k.ConsumerKey)
		send := func(change func(*http.Request)) (int, string) {
			r, err := c.NewRequest("GET", "/domain/zone", nil, true)
			if err != nil {
				t.Fatal(err)
			}
			change(r)
			w := httptest.NewRecorder()
			l.api.Handler().ServeHTTP(w, r)
			return w.Code, w.Body.String()
		}
		for _, tt := range []struct {
			name   string
			change func(*http.Request)
			code   int
			want   string
		}{
			{"as it was signed", func(*http.Request) {}, 200, "shop.example"},
			{"another path than was signed", func(r *http.Request) { r.URL.Path += "/shop.example" }, 400, "INVALID_SIGNATURE"},
			{"an old timestamp", func(r *http.Request) { r.Header.Set("X-Ovh-Timestamp", "1") }, 400, "QUERY_TIME_OUT"},
			{"a verb that there is not", func(r *http.Request) { r.Method = "DELETE" }, 404, "Client::NotFound"},
		} {
			if code, got := send(tt.change); code != tt.code || !strings.Contains(got, tt.want) {
				t.Errorf("%s: %d %s, want %d %s", tt.name, code, got, tt.code, tt.want)
			}
		}
	})
}

func TestRefusesRecords(t *testing.T) {
	bubble(t, func(t *testing.T, l lab) {
		c := l.as(t, everything...)
		at := "/domain/zone/rehearsal.example/record"
		if err := c.Post(at, record{FieldType: "A", SubDomain: "x", Target: "192.0.2.1"}, nil); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name  string
			r     any
			code  int
			class string
		}{
			{"a type that is none", record{FieldType: "B", Target: "x"}, 400, "Client::BadRequest"},
			{"no address", record{FieldType: "A", SubDomain: "y", Target: "x"}, 400, "Client::BadRequest"},
			{"no target", record{FieldType: "A", SubDomain: "y"}, 400, "Client::BadRequest"},
			{"a negative TTL", record{FieldType: "A", SubDomain: "y", Target: "192.0.2.1", TTL: -1}, 400, "Client::BadRequest"},
			{"the same again", record{FieldType: "A", SubDomain: "x", Target: "192.0.2.1"}, 409, "Client::Conflict"},
			{"a CNAME beside it", record{FieldType: "CNAME", SubDomain: "x", Target: "y"}, 409, "Client::Conflict"},
			{"an unknown field", map[string]string{"fieldType": "A", "type": "A"}, 400, "Client::BadRequest"},
		} {
			refused(t, tt.name, c.Post(at, tt.r, nil), tt.code, tt.class)
		}
		refused(t, "a zone that is not there", c.Post("/domain/zone/example.org/record", record{}, nil), 404, "Client::NotFound")
		refused(t, "an unknown path", c.Get("/domain/nonsense", nil), 404, "Client::NotFound")
		refused(t, "an unknown parameter", c.Get(at+"?type=A", nil), 400, "Client::BadRequest")
		refused(t, "what the lab has not", c.Post("/domain/zone/rehearsal.example/import", nil, nil), 501, "Server::NotImplemented")
		var text string
		if err := c.Get("/domain/zone/shop.example/export", &text); err != nil || !strings.Contains(text, "www\t300\tIN A\t10.77.0.10\n") || !strings.Contains(text, "IN SOA ns1.shop.example.") {
			t.Errorf("export %q %v", text, err)
		}
		var soa ovh.SOA
		if err := c.Get("/domain/zone/shop.example/soa", &soa); err != nil || soa.Serial != 7 {
			t.Errorf("%+v %v", soa, err)
		}
	})
}
