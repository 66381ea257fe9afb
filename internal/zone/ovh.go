package zone

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"github.com/ovh/go-ovh/ovh"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/secret"
)

// ovhMinTTL: a smaller TTL is stored as 60, with HTTP 200.
const ovhMinTTL = 60

// OVHAccess is how OVH's API is reached. The consumer key's rules are in docs/for-real.md.
type OVHAccess struct {
	Endpoint    string // "ovh-eu", "ovh-ca", "ovh-us", or an address such as "https://eu.api.ovh.com/1.0"
	AppKey      secret.String
	AppSecret   secret.String
	ConsumerKey secret.String
	Roots       *x509.CertPool // nil: the system's
	UserAgent   string
}

// OVH is one zone at OVH. It is safe for concurrent use.
type OVH struct {
	name    string // "shop.example", as the API's paths have it
	api     *ovh.Client
	mu      *sync.Mutex // go-ovh's client writes to itself when it makes a request
	servers Servers
	pace    pace
	secrets []secret.String
}

// NewOVH opens a zone and dials nothing. All three keys must be given: the library would look for missing ones in files of this machine.
func NewOVH(a OVHAccess, zone string, servers Servers) (*OVH, error) {
	if a.Endpoint == "" || a.AppKey.IsZero() || a.AppSecret.IsZero() || a.ConsumerKey.IsZero() {
		return nil, errors.New("ovh: endpoint, application key, application secret or consumer key is missing")
	}
	api, err := ovh.NewClient(a.Endpoint, a.AppKey.Reveal(), a.AppSecret.Reveal(), a.ConsumerKey.Reveal())
	if err != nil {
		return nil, secret.Redact(fmt.Errorf("ovh %s: %w", a.Endpoint, err), a.AppKey, a.AppSecret, a.ConsumerKey)
	}
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.TLSClientConfig = &tls.Config{RootCAs: a.Roots, MinVersion: tls.VersionTLS12}
	api.Client, api.Timeout, api.UserAgent = &http.Client{Transport: base}, 30*time.Second, a.UserAgent
	return &OVH{name: strings.TrimSuffix(dns.CanonicalName(zone), "."), api: api, mu: &sync.Mutex{}, servers: servers, pace: realPace,
		secrets: []secret.String{a.AppKey, a.AppSecret, a.ConsumerKey}}, nil
}

// Origin is the zone's name.
func (z *OVH) Origin() string { return z.name + "." }

// MinTTL is the least that OVH keeps.
func (z *OVH) MinTTL() int { return ovhMinTTL }

// ovhRecord is a record of GET /domain/zone/{zone}/record/{id}.
type ovhRecord struct {
	ID        int64  `json:"id,omitempty"`
	FieldType string `json:"fieldType,omitempty"`
	SubDomain string `json:"subDomain"`
	Target    string `json:"target"`
	TTL       int    `json:"ttl"`
}

func (z *OVH) path(parts ...string) string {
	p := "/domain/zone/" + url.PathEscape(z.name)
	for _, s := range parts {
		p += "/" + s
	}
	return p
}

func (z *OVH) call(ctx context.Context, method, path string, in, out any) error {
	z.mu.Lock()
	req, err := z.api.NewRequest(method, path, in, true) // may ask OVH for the time, once
	z.mu.Unlock()
	if err == nil {
		var res *http.Response
		if res, err = z.api.Do(req.WithContext(ctx)); err == nil {
			err = z.api.UnmarshalResponse(res, out)
		}
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return secret.Redact(z.explain(method, path, err), z.secrets...)
}

// explain makes one line of an error, with what to do.
func (z *OVH) explain(method, path string, err error) error {
	var api *ovh.APIError
	advice := ""
	if errors.As(err, &api) {
		switch api.Code {
		case http.StatusForbidden, http.StatusUnauthorized:
			advice = fmt.Sprintf("; the consumer key has no valid rule %s %s (docs/for-real.md), or has expired", method, path)
		case http.StatusNotFound:
			advice = "; is " + z.name + " a zone of this account"
		}
	}
	return fmt.Errorf("ovh zone %s: %s %s: %w%s", z.name, method, path, err, advice)
}

// passing tells whether a read may be repeated.
func passing(err error) bool {
	var api *ovh.APIError
	if errors.As(err, &api) {
		return api.Code == http.StatusTooManyRequests || api.Code >= 500
	}
	var cert *tls.CertificateVerificationError
	return err != nil && !errors.As(err, &cert) && !errors.Is(err, context.Canceled)
}

func conflict(err error) bool {
	var api *ovh.APIError
	return errors.As(err, &api) && api.Code == http.StatusConflict
}

// read asks until there is an answer or a refusal, five times at most.
func (z *OVH) read(ctx context.Context, path string, out any) error {
	for try, pause := 1, z.pace.first; ; try, pause = try+1, pause*2 {
		err := z.call(ctx, http.MethodGet, path, nil, out)
		if !passing(err) || try == 5 || ctx.Err() != nil {
			return err
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return err
		}
	}
}

// Nameservers are the servers that OVH names for the zone.
func (z *OVH) Nameservers(ctx context.Context) ([]string, error) {
	var got struct {
		NameServers []string `json:"nameServers"`
	}
	if err := z.read(ctx, z.path(), &got); err != nil {
		return nil, err
	}
	for i, n := range got.NameServers {
		got.NameServers[i] = dns.CanonicalName(n)
	}
	slices.Sort(got.NameServers)
	return got.NameServers, nil
}

// records are all records of the zone as they are staged, which needn't be what is served.
func (z *OVH) records(ctx context.Context) ([]ovhRecord, error) {
	var ids []int64
	if err := z.read(ctx, z.path("record"), &ids); err != nil {
		return nil, err
	}
	slices.Sort(ids)
	out := make([]ovhRecord, len(ids))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, id := range ids {
		g.Go(func() error { return z.read(gctx, z.path("record", strconv.FormatInt(id, 10)), &out[i]) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

// Sets are the zone's record sets as they are staged.
func (z *OVH) Sets(ctx context.Context) ([]Set, error) {
	recs, err := z.records(ctx)
	if err != nil {
		return nil, err
	}
	return z.sets(recs)
}

// value is a record's value in canonical form. OVH's targets are relative to the zone unless they end in a dot.
func (z *OVH) value(r ovhRecord) (name, value string, err error) {
	name = Absolute(r.SubDomain, z.Origin())
	value, err = canonical(name, r.FieldType, r.Target, z.Origin())
	return name, value, err
}

func (z *OVH) sets(recs []ovhRecord) ([]Set, error) {
	var out []Set
	for _, r := range recs {
		if _, ok := dns.StringToType[r.FieldType]; !ok {
			continue // OVH's own kinds (DKIM, SPF, DMARC) are served as TXT; they are never changed here
		}
		name, v, err := z.value(r)
		if err != nil {
			return nil, fmt.Errorf("ovh zone %s, record %d: %w", z.name, r.ID, err)
		}
		i := slices.IndexFunc(out, func(s Set) bool { return s.Name == name && s.Type == r.FieldType })
		if i < 0 {
			// TTL 0 is the zone's default, which a record doesn't tell.
			out, i = append(out, Set{Name: name, Type: r.FieldType, TTL: r.TTL}), len(out)
		}
		if out[i].TTL != r.TTL {
			out[i].TTL = MixedTTL
		}
		out[i].Values = append(out[i].Values, v)
	}
	for i := range out {
		slices.Sort(out[i].Values)
	}
	sortSets(out)
	return out, nil
}
