package dns

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	api "google.golang.org/api/dns/v1"
)

func (a *API) createChange(c rest.Call) (rest.Answer, error) {
	var in api.Change
	sent, e := rest.Decode(c.Body, &in)
	if e != nil {
		return rest.Answer{}, e
	}
	if len(in.Additions)+len(in.Deletions) == 0 {
		return rest.Answer{}, required("entity.change")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	z, e := a.find(c)
	if e != nil {
		return rest.Answer{}, e
	}
	for _, part := range []struct {
		name string
		sets []*api.ResourceRecordSet
	}{{"additions", in.Additions}, {"deletions", in.Deletions}} {
		list, _ := sent[part.name].([]any)
		for i, s := range part.sets {
			fields, _ := list[i].(map[string]any)
			s.Kind = setKind
			if e := check(s, fields, z.message, fmt.Sprintf("entity.change.%s[%d]", part.name, i)); e != nil {
				return rest.Answer{}, e
			}
		}
	}
	change := &api.Change{Additions: in.Additions, Deletions: in.Deletions}
	if e := a.change(z, change, "entity.change", true); e != nil {
		return rest.Answer{}, e
	}
	return rest.OK(z.changes[len(z.changes)-1])
}

// change applies deletions and additions to a zone, all or none, logs the change
// and has the name servers follow. Compare-and-swap: a deletion must say exactly
// what is there. what names the request's body in errors; logged says whether
// the sets are numbered in it. a.mu must be held.
func (a *API) change(z *zone, change *api.Change, what string, numbered bool) *rest.Error {
	place := func(part string, i int) string {
		if numbered {
			return fmt.Sprintf("%s.%s[%d]", what, part, i)
		}
		return what
	}
	sets := slices.Clone(z.sets)
	for i, d := range change.Deletions {
		at := index(sets, d.Name, d.Type)
		if at < 0 {
			return notFound("The '%s' resource named '%s (%s)' does not exist.", place("deletions", i), d.Name, d.Type)
		}
		if !same(sets[at], d) {
			return legacy(412, "conditionNotMet", "Precondition not met for '%s'", place("deletions", i))
		}
		sets = slices.Delete(sets, at, at+1)
	}
	for i, s := range change.Additions {
		if index(sets, s.Name, s.Type) >= 0 {
			return exists(place("additions", i), fmt.Sprintf("%s (%s)", s.Name, s.Type))
		}
		sets = append(sets, s)
	}
	for _, typ := range []string{"SOA", "NS"} {
		if index(sets, z.message.DnsName, typ) < 0 {
			return legacy(400, "invalidZoneApex", "The resource record set '%s' is invalid because a zone must contain exactly one resource record set of type '%s' at the apex.", place("deletions", 0), typ)
		}
	}
	for i, s := range change.Additions {
		if s.Type == "SOA" && s.Name != z.message.DnsName {
			return legacy(400, "invalid", "Invalid value for '%s.type': 'SOA'", place("additions", i))
		}
		for _, other := range sets {
			if other.Name == s.Name && other != s && (other.Type == "CNAME" || s.Type == "CNAME") {
				return legacy(400, "cnameResourceRecordSetConflict", "The resource record set '%s' is invalid because the DNS name '%s' may have either one CNAME resource record set or resource record sets of other types, but not both.", place("additions", i), s.Name)
			}
		}
	}
	z.sets = ordered(sets, z.message.DnsName)
	change.Kind, change.Id = "dns#change", strconv.Itoa(len(z.changes))
	change.StartTime, change.Status = stamp(a.o.Now()), "pending"
	z.changes = append(z.changes, change)
	a.settle(z, len(z.changes)-1)
	a.follow(z, a.o.Pending+a.o.Lag)
	return nil
}

// settle makes a change done after Options.Pending.
func (a *API) settle(z *zone, i int) {
	a.work.Go(func(ctx context.Context) {
		select {
		case <-time.After(a.o.Pending):
		case <-ctx.Done():
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		done := *z.changes[i]
		done.Status = "done"
		z.changes[i] = &done
	})
}

func (a *API) getChange(c rest.Call) (rest.Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	z, e := a.find(c)
	if e != nil {
		return rest.Answer{}, e
	}
	id := c.PathValue("change")
	for _, change := range z.changes {
		if change.Id == id {
			return rest.OK(change)
		}
	}
	return rest.Answer{}, notFound("The 'parameters.changeId' resource named '%s' does not exist.", id)
}

// listChanges answers newest first unless sortOrder is ascending.
func (a *API) listChanges(c rest.Call) (rest.Answer, error) {
	if by := c.Query.Get("sortBy"); by != "" && by != "changeSequence" {
		return rest.Answer{}, invalid("parameters.sortBy", by)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	z, e := a.find(c)
	if e != nil {
		return rest.Answer{}, e
	}
	list := slices.Clone(z.changes)
	if c.Query.Get("sortOrder") != "ascending" {
		slices.Reverse(list)
	}
	from, to, next, e := page(c, len(list))
	if e != nil {
		return rest.Answer{}, e
	}
	return rest.OK(&api.ChangesListResponse{Kind: "dns#changesListResponse", Changes: list[from:to], NextPageToken: next})
}
