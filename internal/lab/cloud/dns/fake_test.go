package dns_test

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"

	"github.com/slipway-dev/slipway/internal/lab/cloud/dns"
	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
)

const (
	project    = "shop-lab"
	everything = "token-of-an-admin"
)

type tokens struct{}

func (tokens) Authenticate(r *http.Request) (rest.Principal, *rest.Error) {
	p := rest.Principal{Email: "user@example.com", Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"}}
	if r.Header.Get("Authorization") == "Bearer "+everything {
		for _, kind := range []string{"changes", "managedZones", "resourceRecordSets"} {
			for _, verb := range []string{"create", "delete", "get", "list", "update"} {
				p.Permissions = append(p.Permissions, "dns."+kind+"."+verb)
			}
		}
		slices.Sort(p.Permissions)
	}
	return p, nil
}

// servers is a Backend of this test: it keeps what it was told last.
type servers struct {
	letter string // of the four name servers, as Google numbers sets of them

	mu    sync.Mutex
	zones map[string][]dns.RecordSet
}

func newServers(letter string) *servers {
	return &servers{letter: letter, zones: map[string][]dns.RecordSet{}}
}

func (s *servers) NameServers() []string {
	var list []string
	for _, n := range []string{"1", "2", "3", "4"} {
		list = append(list, "ns-cloud-"+s.letter+n+".googledomains.com.")
	}
	return list
}

func (s *servers) Serve(_ context.Context, zone string, sets []dns.RecordSet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zones[zone] = sets
	return nil
}

func (s *servers) Drop(_ context.Context, zone string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.zones, zone)
	return nil
}

// answers is what the servers answer for a name and type.
func (s *servers) answers(zone, name, typ string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, set := range s.zones[zone] {
		if set.Name == name && set.Type == typ {
			return set.Data
		}
	}
	return nil
}

func newAPI(s *servers) *dns.API {
	return dns.New(dns.Options{Project: project, Backend: s, Auth: tokens{}, Log: slog.New(slog.DiscardHandler)})
}
