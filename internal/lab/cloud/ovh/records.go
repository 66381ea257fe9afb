package ovh

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// record is domain.zone.Record.
type record struct {
	ID        int64  `json:"id"`
	Zone      string `json:"zone"`
	SubDomain string `json:"subDomain"`
	FieldType string `json:"fieldType"`
	Target    string `json:"target"`
	TTL       uint32 `json:"ttl"` // seconds; 0: the zone's default
}

const (
	minTTL     = 60   // seconds; less is stored as this
	defaultTTL = 3600 // seconds; what 0 stands for
)

// fieldTypes are the types that the lab takes; OVH has more.
var fieldTypes = []string{"A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TLSA", "TXT"}

// edit is the body of a POST or PUT; a field that is nil was not sent.
type edit struct {
	FieldType *string `json:"fieldType"`
	SubDomain *string `json:"subDomain"`
	Target    *string `json:"target"`
	TTL       *int64  `json:"ttl"`
	// Read-only fields, which clients send back as they got them.
	ID   *int64  `json:"id"`
	Zone *string `json:"zone"`
}

func bad(format string, args ...any) *apiError {
	return clientError(http.StatusBadRequest, "Client::BadRequest", "", fmt.Sprintf(format, args...))
}

func readEdit(c call) (edit, *apiError) {
	dec := json.NewDecoder(bytes.NewReader(c.body))
	dec.DisallowUnknownFields()
	var e edit
	if err := dec.Decode(&e); err != nil {
		return edit{}, bad("Invalid body: %v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return edit{}, bad("Invalid body: more than one document")
	}
	return e, nil
}

// apply checks an edit and puts it into a record.
func (e edit) apply(r *record) *apiError {
	if e.FieldType != nil {
		r.FieldType = *e.FieldType
	}
	if e.SubDomain != nil {
		r.SubDomain = strings.ToLower(*e.SubDomain)
	}
	if e.Target != nil {
		r.Target = *e.Target
	}
	if e.TTL != nil {
		switch ttl := *e.TTL; {
		case ttl < 0 || ttl > 1<<31-1:
			return bad("Invalid ttl %d", ttl)
		case ttl > 0 && ttl < minTTL:
			r.TTL = minTTL
		default:
			r.TTL = uint32(ttl)
		}
	}
	if !slices.Contains(fieldTypes, r.FieldType) {
		return bad("Invalid field type %q", r.FieldType)
	}
	if strings.HasSuffix(r.SubDomain, ".") {
		return bad("Invalid subdomain %q", r.SubDomain)
	}
	if r.FieldType == "TXT" && !strings.HasPrefix(r.Target, `"`) {
		r.Target = strconv.Quote(r.Target)
	}
	if _, err := r.rr(); err != nil {
		return bad("Invalid record: %v", err)
	}
	return nil
}

// rr is the record as the name servers will have it.
func (r *record) rr() (dns.RR, error) {
	name := r.Zone + "."
	if r.SubDomain != "" {
		name = r.SubDomain + "." + name
	}
	ttl := r.TTL
	if ttl == 0 {
		ttl = defaultTTL
	}
	if r.Target == "" || strings.ContainsAny(r.Target, "\n") {
		return nil, errors.New("no target")
	}
	rr, err := dns.NewRR(fmt.Sprintf("$ORIGIN %s.\n%s %d IN %s %s\n", r.Zone, name, ttl, r.FieldType, r.Target))
	if err != nil {
		return nil, err
	}
	if rr == nil {
		return nil, errors.New("no record")
	}
	return rr, nil
}

// find looks up the zone that a call names. a.mu must be held.
func (a *API) find(c call) (*zone, *apiError) {
	z, ok := a.zones[c.PathValue("zone")]
	if !ok {
		return nil, clientError(http.StatusNotFound, "Client::NotFound", "", "This service does not exist")
	}
	return z, nil
}

func (a *API) findRecord(c call) (*zone, int, *apiError) {
	z, e := a.find(c)
	if e != nil {
		return nil, 0, e
	}
	id, err := strconv.ParseInt(c.PathValue("id"), 10, 64)
	if err != nil {
		return nil, 0, bad("[id] Given data (%s) is not valid for type long", c.PathValue("id"))
	}
	for i, r := range z.records {
		if r.ID == id {
			return z, i, nil
		}
	}
	return nil, 0, clientError(http.StatusNotFound, "Client::NotFound", "", fmt.Sprintf("The requested object (id = %d) does not exist", id))
}

func (a *API) listRecords(c call) (int, any, *apiError) {
	q, e := query(c.Request, "fieldType", "subDomain")
	if e != nil {
		return 0, nil, e
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	z, e := a.find(c)
	if e != nil {
		return 0, nil, e
	}
	ids := []int64{}
	for _, r := range z.records {
		if q.Has("fieldType") && r.FieldType != q.Get("fieldType") || q.Has("subDomain") && r.SubDomain != strings.ToLower(q.Get("subDomain")) {
			continue
		}
		ids = append(ids, r.ID)
	}
	return http.StatusOK, ids, nil
}

func (a *API) getRecord(c call) (int, any, *apiError) {
	a.mu.Lock()
	defer a.mu.Unlock()
	z, i, e := a.findRecord(c)
	if e != nil {
		return 0, nil, e
	}
	return http.StatusOK, z.records[i], nil
}

func (a *API) createRecord(c call) (int, any, *apiError) {
	body, e := readEdit(c)
	if e != nil {
		return 0, nil, e
	}
	if body.ID != nil || body.Zone != nil {
		return 0, nil, bad("id and zone cannot be set")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	z, e := a.find(c)
	if e != nil {
		return 0, nil, e
	}
	a.next++
	r := &record{ID: a.next, Zone: z.name}
	if e := body.apply(r); e != nil {
		return 0, nil, e
	}
	if e := z.conflict(r); e != nil {
		return 0, nil, e
	}
	z.records = append(z.records, r)
	return http.StatusOK, r, nil
}

// conflict refuses a second record beside a CNAME, and one that is there.
func (z *zone) conflict(r *record) *apiError {
	for _, other := range z.records {
		if other.ID == r.ID || other.SubDomain != r.SubDomain {
			continue
		}
		if other.FieldType == "CNAME" || r.FieldType == "CNAME" {
			return clientError(http.StatusConflict, "Client::Conflict", "", "A CNAME record cannot be beside another record of the same name")
		}
		if other.FieldType == r.FieldType && other.Target == r.Target {
			return clientError(http.StatusConflict, "Client::Conflict", "", "This record already exists")
		}
	}
	return nil
}

func (a *API) updateRecord(c call) (int, any, *apiError) {
	body, e := readEdit(c)
	if e != nil {
		return 0, nil, e
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	z, i, e := a.findRecord(c)
	if e != nil {
		return 0, nil, e
	}
	next := *z.records[i]
	if body.FieldType != nil && *body.FieldType != next.FieldType {
		return 0, nil, bad("The type of a record cannot be changed")
	}
	if e := body.apply(&next); e != nil {
		return 0, nil, e
	}
	if e := z.conflict(&next); e != nil {
		return 0, nil, e
	}
	z.records[i] = &next
	return http.StatusOK, nil, nil
}

func (a *API) deleteRecord(c call) (int, any, *apiError) {
	a.mu.Lock()
	defer a.mu.Unlock()
	z, i, e := a.findRecord(c)
	if e != nil {
		return 0, nil, e
	}
	z.records = slices.Delete(slices.Clone(z.records), i, i+1)
	return http.StatusOK, nil, nil
}
