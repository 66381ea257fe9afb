package ovh

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/background"
)

// Backend is the name servers that serve the zones.
type Backend interface {
	// Records are a zone's records as the primary answers them, without the SOA.
	Records(ctx context.Context, zone string) ([]Data, error)
	// Replace makes the servers answer exactly these records, NS with them, all or
	// none; the SOA stays but for its serial.
	Replace(ctx context.Context, zone string, records []Data) error
	// SOA is what the primary answers.
	SOA(ctx context.Context, zone string) (SOA, error)
}

// Data is one record as name servers have it.
type Data struct {
	Name   string // relative to the zone; empty: the zone itself
	Type   string // as A
	TTL    uint32 // seconds
	Target string // in presentation form; names in it are absolute
}

// SOA as GET /domain/zone/{zone}/soa answers it.
type SOA struct {
	Server      string `json:"server"`
	Email       string `json:"email"`
	Serial      uint32 `json:"serial"`
	Refresh     uint32 `json:"refresh"`     // seconds
	Expire      uint32 `json:"expire"`      // seconds
	NXDomainTTL uint32 `json:"nxDomainTtl"` // seconds
	TTL         uint32 `json:"ttl"`         // seconds
}

// Options is what an API is made of.
type Options struct {
	Zones       []string // without the dot at the end
	NameServers []string
	Backend     Backend
	Log         *slog.Logger
	// Delay is how long a refresh takes to reach the servers; 0: 500 ms. OVH takes
	// from seconds to minutes.
	Delay time.Duration
	Now   func() time.Time // nil: time.Now
}

// API is OVH's zone API for one account.
type API struct {
	o    Options
	work background.Work // operations

	mu    sync.Mutex
	keys  map[string]*Credentials // by consumer key
	zones map[string]*zone
	next  int64 // last record id that was given out
}

// zone is a zone's stage.
type zone struct {
	name       string
	records    []*record // by id
	refreshing bool
	fail       int // refreshes that are to fail without a word
	updated    time.Time
}

// New makes the API with the zones as the servers answer them now.
func New(ctx context.Context, o Options) (*API, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Delay == 0 {
		o.Delay = 500 * time.Millisecond
	}
	a := &API{o: o, keys: make(map[string]*Credentials), zones: make(map[string]*zone), next: 5000000000}
	for _, name := range o.Zones {
		list, err := o.Backend.Records(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("read zone %s: %w", name, err)
		}
		z := &zone{name: name, updated: o.Now()}
		for _, d := range list {
			a.next++
			z.records = append(z.records, &record{ID: a.next, Zone: name, SubDomain: d.Name, FieldType: d.Type, Target: d.Target, TTL: d.TTL})
		}
		a.zones[name] = z
	}
	return a, nil
}

// Close stops the refreshes under way and waits for them.
func (a *API) Close() {
	a.work.Close()
}

// FailRefreshes lets the next n refreshes of a zone be answered as ever and
// never reach the name servers.
func (a *API) FailRefreshes(zone string, n int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	z, ok := a.zones[zone]
	if !ok {
		return fmt.Errorf("zone %s: the OVH account has none of this name", zone)
	}
	z.fail = n
	return nil
}

// call is one request that was signed and granted.
type call struct {
	*http.Request
	body []byte
	key  *Credentials
}

type handler func(call) (int, any, *apiError)

// Handler is the API over HTTP.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /1.0/auth/time", func(w http.ResponseWriter, r *http.Request) {
		a.write(w, http.StatusOK, a.o.Now().Unix())
	})
	for _, r := range []struct {
		method, path string
		serve        handler
	}{
		{"GET", "/auth/currentCredential", a.currentCredential},
		{"GET", "/domain/zone", a.listZones},
		{"GET", "/domain/zone/{zone}", a.getZone},
		{"GET", "/domain/zone/{zone}/soa", a.getSOA},
		{"GET", "/domain/zone/{zone}/export", a.export},
		{"POST", "/domain/zone/{zone}/refresh", a.refresh},
		{"GET", "/domain/zone/{zone}/record", a.listRecords},
		{"POST", "/domain/zone/{zone}/record", a.createRecord},
		{"GET", "/domain/zone/{zone}/record/{id}", a.getRecord},
		{"PUT", "/domain/zone/{zone}/record/{id}", a.updateRecord},
		{"DELETE", "/domain/zone/{zone}/record/{id}", a.deleteRecord},
	} {
		mux.HandleFunc(r.method+" /1.0"+r.path, func(w http.ResponseWriter, req *http.Request) { a.serve(w, req, r.serve) })
	}
	for _, notServed := range []string{
		"POST /1.0/auth/credential", "PUT /1.0/domain/zone/{zone}/soa", "POST /1.0/domain/zone/{zone}/import", "POST /1.0/domain/zone/{zone}/reset",
		"GET /1.0/domain/zone/{zone}/task", "GET /1.0/domain/zone/{zone}/history", "GET /1.0/domain/zone/{zone}/status", "GET /1.0/domain/zone/{zone}/dnssec",
	} {
		mux.HandleFunc(notServed, func(w http.ResponseWriter, req *http.Request) {
			a.serve(w, req, func(call) (int, any, *apiError) {
				return 0, nil, &apiError{code: http.StatusNotImplemented, Class: "Server::NotImplemented", Message: "the lab does not serve this: " + notServed}
			})
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" {
			a.fail(w, &apiError{code: http.StatusNotFound, Class: "Client::NotFound", Message: "Got an invalid (or empty) URL"})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (a *API) serve(w http.ResponseWriter, r *http.Request, h handler) {
	c, e := a.authenticate(w, r)
	if e != nil {
		a.fail(w, e)
		return
	}
	code, body, e := h(c)
	if e != nil {
		a.fail(w, e)
		return
	}
	a.write(w, code, body)
}

// apiError is the document in which OVH answers errors.
type apiError struct {
	code      int
	Class     string `json:"class"`               // as Client::NotFound
	Message   string `json:"message"`             //
	ErrorCode string `json:"errorCode,omitempty"` // as INVALID_SIGNATURE
	HTTPCode  string `json:"httpCode,omitempty"`  // as 403 Forbidden
}

func (a *API) fail(w http.ResponseWriter, e *apiError) {
	if e.ErrorCode != "" {
		e.HTTPCode = fmt.Sprintf("%d %s", e.code, http.StatusText(e.code))
	}
	if e.code >= 500 {
		a.o.Log.Warn("answered an error", "api", "ovh", "error", e.Message)
	}
	a.write(w, e.code, e)
}

func (a *API) write(w http.ResponseWriter, code int, body any) {
	w.Header().Set("X-Ovh-Queryid", fmt.Sprintf("EU.ext-lab.%x", a.o.Now().UnixNano()))
	if code == http.StatusNoContent {
		w.WriteHeader(code)
		return
	}
	raw, err := json.Marshal(body)
	if err != nil {
		a.o.Log.Error("answer has no JSON", "error", err.Error())
		http.Error(w, `{"class":"Server::InternalServerError","message":"the lab failed"}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	if _, err := w.Write(raw); err != nil {
		a.o.Log.Debug("client went away", "error", err.Error())
	}
}
