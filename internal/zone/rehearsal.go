package zone

import (
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// MarkName and MarkValue are how a zone says of itself that it is there to be rehearsed on: a TXT record that a person puts into it, and
// that production's zone doesn't have.
const (
	MarkName  = "_slipway"
	MarkValue = `"rehearsal"`
)

// ErrProduction: a zone that was named for rehearsals is production's, or holds production's names. Name another zone.
var ErrProduction = errors.New("not a zone to rehearse on")

// Marked: the zone says that it is there to be rehearsed on.
func Marked(origin string, sets []Set) bool {
	return slices.Equal(Find(sets, Absolute(MarkName, origin), "TXT").Values, []string{MarkValue})
}

// Disjoint refuses a rehearsal zone that is production's, lies around it, holds one of its names, or isn't marked. All reasons at once.
func Disjoint(origin string, sets []Set, production string, productionSets []Set) error {
	var errs []error
	bad := func(format string, a ...any) {
		errs = append(errs, fmt.Errorf("rehearsal zone %s: %s: %w", origin, fmt.Sprintf(format, a...), ErrProduction))
	}
	origin, production = dns.CanonicalName(origin), dns.CanonicalName(production)
	switch {
	case origin == production:
		bad("it is production's zone")
	case dns.IsSubDomain(origin, production):
		bad("production's zone %s lies in it", production)
	}
	if Marked(production, productionSets) {
		bad("production's zone %s carries the mark of a rehearsal zone (TXT %s)", production, Absolute(MarkName, production))
	}
	if !Marked(origin, sets) {
		bad("it has no record %s TXT %s, which says that it is there to be rehearsed on", Absolute(MarkName, origin), MarkValue)
	}
	names := map[string]bool{}
	for _, s := range productionSets {
		names[s.Name] = true
	}
	last := ""
	for _, s := range sets {
		if names[s.Name] && s.Name != last {
			bad("it holds %s, which is one of production's names", s.Name)
			last = s.Name
		}
	}
	return errors.Join(errs...)
}
