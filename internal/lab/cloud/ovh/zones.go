package ovh

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// zoneInfo is domain.zone.Zone.
type zoneInfo struct {
	Name            string    `json:"name"`
	NameServers     []string  `json:"nameServers"`
	LastUpdate      time.Time `json:"lastUpdate"`
	HasDNSAnycast   bool      `json:"hasDnsAnycast"`
	DNSSECSupported bool      `json:"dnssecSupported"`
}

func (a *API) listZones(call) (int, any, *apiError) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return http.StatusOK, slices.Sorted(maps.Keys(a.zones)), nil
}

func (a *API) getZone(c call) (int, any, *apiError) {
	a.mu.Lock()
	defer a.mu.Unlock()
	z, e := a.find(c)
	if e != nil {
		return 0, nil, e
	}
	return http.StatusOK, zoneInfo{Name: z.name, NameServers: a.o.NameServers, LastUpdate: z.updated}, nil
}

func (a *API) getSOA(c call) (int, any, *apiError) {
	soa, e := a.soa(c)
	return http.StatusOK, soa, e
}

func (a *API) soa(c call) (SOA, *apiError) {
	a.mu.Lock()
	z, e := a.find(c)
	a.mu.Unlock()
	if e != nil {
		return SOA{}, e
	}
	soa, err := a.o.Backend.SOA(c.Context(), z.name)
	if err != nil {
		return SOA{}, &apiError{code: http.StatusInternalServerError, Class: "Server::InternalServerError", Message: "the lab failed: " + err.Error()}
	}
	return soa, nil
}

// export is the stage as the text of a zone file, in a JSON string.
func (a *API) export(c call) (int, any, *apiError) {
	s, e := a.soa(c)
	if e != nil {
		return 0, nil, e
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	z, e := a.find(c)
	if e != nil {
		return 0, nil, e
	}
	var b strings.Builder
	fmt.Fprintf(&b, "$TTL %d\n@\tIN SOA %s %s (%d %d 3600 %d %d)\n", defaultTTL, s.Server, s.Email, s.Serial, s.Refresh, s.Expire, s.NXDomainTTL)
	sorted := slices.Clone(z.records)
	slices.SortStableFunc(sorted, func(x, y *record) int { return strings.Compare(x.SubDomain, y.SubDomain) })
	for _, r := range sorted {
		ttl := "" // the zone's default
		if r.TTL != 0 {
			ttl = fmt.Sprint(r.TTL)
		}
		fmt.Fprintf(&b, "%s\t%s\tIN %s\t%s\n", r.SubDomain, ttl, r.FieldType, r.Target)
	}
	return http.StatusOK, b.String(), nil
}

// refresh takes the stage, as it is now, to the name servers after the delay.
// The answer comes before, and a failure is not told to anyone but the lab's log.
func (a *API) refresh(c call) (int, any, *apiError) {
	a.mu.Lock()
	defer a.mu.Unlock()
	z, e := a.find(c)
	if e != nil {
		return 0, nil, e
	}
	if z.refreshing {
		return 0, nil, clientError(http.StatusConflict, "Client::Conflict", "", "A refresh of this zone is already in progress")
	}
	staged, err := z.data()
	if err != nil {
		return 0, nil, bad("The zone is invalid: %v", err)
	}
	z.refreshing = true
	fails := z.fail > 0
	if fails {
		z.fail--
	}
	a.work.Go(func(ctx context.Context) { a.push(ctx, z, staged, fails) })
	return http.StatusNoContent, nil, nil
}

func (a *API) push(ctx context.Context, z *zone, staged []Data, fails bool) {
	var err error
	select {
	case <-time.After(a.o.Delay):
		if fails {
			err = errors.New("it was told to fail")
		} else {
			err = a.o.Backend.Replace(ctx, z.name, staged)
		}
	case <-ctx.Done():
		err = ctx.Err()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	z.refreshing = false
	if err != nil {
		a.o.Log.Warn("refresh failed", "zone", z.name, "error", err.Error())
		return
	}
	z.updated = a.o.Now()
}

// data are the staged records as name servers have them.
func (z *zone) data() ([]Data, error) {
	out := make([]Data, 0, len(z.records))
	for _, r := range z.records {
		rr, err := r.rr()
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", r.ID, err)
		}
		target := strings.TrimPrefix(rr.String(), rr.Header().String())
		out = append(out, Data{Name: r.SubDomain, Type: dns.TypeToString[rr.Header().Rrtype], TTL: rr.Header().Ttl, Target: target})
	}
	return out, nil
}
