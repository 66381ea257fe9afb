package migrate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// cut is how much of a value stands in a drift's message; the record has all of it.
const cut = 80

// err says of a drift what differs, and what redoing the step would do.
func (d Drift) err() error {
	parts := differing(d.Recorded, d.Now)
	for _, e := range d.Effects {
		parts = append(parts, "would "+e.String())
	}
	return &StepError{d.Step, Planning, fmt.Errorf("%w: %s", ErrDrift, strings.Join(parts, "; "))}
}

// differing names what differs between a recorded result and the one of now: field by field where both are objects.
func differing(recorded, now json.RawMessage) []string {
	if now == nil {
		return []string{"nothing of it is there"}
	}
	var was, is map[string]json.RawMessage
	if json.Unmarshal(recorded, &was) != nil || json.Unmarshal(now, &is) != nil {
		return []string{"recorded " + brief(recorded) + ", found " + brief(now)}
	}
	names := slices.Collect(maps.Keys(was))
	for name := range is {
		if _, ok := was[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var parts []string
	for _, name := range names {
		if !bytes.Equal(was[name], is[name]) {
			parts = append(parts, fmt.Sprintf("%s was %s, is %s", name, brief(was[name]), brief(is[name])))
		}
	}
	return parts
}

func brief(v json.RawMessage) string {
	switch {
	case v == nil:
		return "nothing"
	case len(v) > cut:
		return strings.ToValidUTF8(string(v[:cut]), "") + "…"
	}
	return string(v)
}
