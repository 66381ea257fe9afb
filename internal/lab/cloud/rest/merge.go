package rest

import "encoding/json"

// Merge applies patch to current by Google's patch semantics (RFC 7396): objects
// merge, null removes, everything else, lists too, is replaced whole. current is
// a pointer to a message; the result is decoded into merged, a pointer to the
// same type.
func Merge(current any, patch Object, merged any) *Error {
	raw, err := json.Marshal(current)
	if err != nil {
		return Internal(err)
	}
	var base map[string]any
	if err := json.Unmarshal(raw, &base); err != nil {
		return Internal(err)
	}
	return Fill(mergeInto(base, patch), merged)
}

func mergeInto(base, patch map[string]any) map[string]any {
	if base == nil {
		base = make(map[string]any, len(patch))
	}
	for name, value := range patch {
		switch v := value.(type) {
		case nil:
			delete(base, name)
		case map[string]any:
			below, _ := base[name].(map[string]any)
			base[name] = mergeInto(below, v)
		default:
			base[name] = v
		}
	}
	return base
}
