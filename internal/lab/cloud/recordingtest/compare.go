package recordingtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Replay sends recorded requests to a handler and holds the answers against the
// recorded ones.
type Replay struct {
	Handler http.Handler
	Token   string
	// Values stand in for placeholders, by name without ${}: both in what is sent
	// and in what is expected. A placeholder without a value stands for any text.
	Values map[string]string
	// Path maps a recorded URL path to the handler's.
	Path func(string) string
	// Free are fields, by path as settings.etag, whose value is the API's to
	// choose: only presence and type are compared. A [] stands for any index.
	Free []string
	// Extra are fields that may be answered though they were not recorded.
	Extra []string
}

var placeholder = regexp.MustCompile(`\$\{([A-Za-z0-9]+)\}`)

// fill replaces placeholders that have a value.
func (r *Replay) fill(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(p string) string {
		if v, ok := r.Values[p[2:len(p)-1]]; ok {
			return v
		}
		return p
	})
}

// Do sends one exchange's request and holds the answer against the recorded one.
// It returns the answer's JSON.
func (r *Replay) Do(t *testing.T, e Exchange) map[string]any {
	t.Helper()
	got := r.Send(t, e)
	label := fmt.Sprintf("exchange %d (%s %s)", e.Number, e.Method, e.URL)
	if got.Code != e.Status {
		t.Fatalf("%s: answered %d, recorded %d\n%s", label, got.Code, e.Status, got.Body)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Header)) {
		if !slices.Equal(got.Header()[name], e.Header[name]) {
			t.Errorf("%s: header %s is %q, recorded %q", label, name, got.Header()[name], e.Header[name])
		}
	}
	var recorded, answered any
	if e.Answer != nil {
		if err := json.Unmarshal(e.Answer, &recorded); err != nil {
			t.Fatalf("%s: recorded answer: %v", label, err)
		}
	}
	if got.Body.Len() > 0 {
		if err := json.Unmarshal(got.Body.Bytes(), &answered); err != nil {
			t.Fatalf("%s: answer: %v", label, err)
		}
	}
	for _, d := range r.diff(recorded, answered, "") {
		t.Errorf("%s: %s", label, d)
	}
	object, _ := answered.(map[string]any)
	return object
}

// Send sends one exchange's request.
func (r *Replay) Send(t *testing.T, e Exchange) *httptest.ResponseRecorder {
	t.Helper()
	target := r.fill(e.URL)
	if host := strings.Index(target, "://"); host >= 0 {
		rest := target[host+3:]
		path, query, _ := strings.Cut(rest[strings.Index(rest, "/"):], "?")
		if r.Path != nil {
			path = r.Path(path)
		}
		target = "https://lab" + path
		if query != "" {
			target += "?" + query
		}
	}
	req := httptest.NewRequestWithContext(t.Context(), e.Method, target, strings.NewReader(r.fill(string(e.Request))))
	req.Header.Set("Authorization", "Bearer "+r.Token)
	if e.Request != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	r.Handler.ServeHTTP(w, req)
	return w
}

// diff compares two JSON values: same fields, same types, and the same values
// where they are not free.
func (r *Replay) diff(recorded, answered any, path string) []string {
	if fmt.Sprintf("%T", recorded) != fmt.Sprintf("%T", answered) {
		return []string{fmt.Sprintf("%s is a %T, recorded %T", or(path, "the answer"), answered, recorded)}
	}
	switch want := recorded.(type) {
	case map[string]any:
		return r.diffObject(want, answered.(map[string]any), path)
	case []any:
		got := answered.([]any)
		if r.free(path) {
			return nil
		}
		if len(want) != len(got) {
			return []string{fmt.Sprintf("%s has %d elements, recorded %d", path, len(got), len(want))}
		}
		var out []string
		for i := range want {
			out = append(out, r.diff(want[i], got[i], path+"[]")...)
		}
		return out
	case string:
		return r.diffString(want, answered.(string), path)
	default:
		if recorded != answered && !r.free(path) {
			return []string{fmt.Sprintf("%s is %v, recorded %v", path, answered, recorded)}
		}
		return nil
	}
}

func (r *Replay) diffObject(want, got map[string]any, path string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		at := strings.TrimPrefix(path+"."+name, ".")
		value, ok := got[name]
		if !ok {
			out = append(out, fmt.Sprintf("%s is not answered, recorded %v", at, want[name]))
			continue
		}
		out = append(out, r.diff(want[name], value, at)...)
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		at := strings.TrimPrefix(path+"."+name, ".")
		if _, ok := want[name]; !ok && !slices.Contains(r.Extra, at) {
			out = append(out, fmt.Sprintf("%s is answered and was not recorded: %v", at, got[name]))
		}
	}
	return out
}

func (r *Replay) diffString(want, got, path string) []string {
	if _, err := time.Parse(time.RFC3339Nano, want); err == nil {
		if _, err := time.Parse(time.RFC3339Nano, got); err != nil {
			return []string{fmt.Sprintf("%s is %q, recorded a time", path, got)}
		}
		return nil
	}
	if r.free(path) {
		if got == "" {
			return []string{path + " is empty"}
		}
		return nil
	}
	filled := r.fill(want)
	if filled == got {
		return nil
	}
	// Placeholders without a value stand for any text.
	if placeholder.MatchString(filled) {
		parts := placeholder.Split(filled, -1)
		for i, p := range parts {
			parts[i] = regexp.QuoteMeta(p)
		}
		if regexp.MustCompile("^" + strings.Join(parts, ".+") + "$").MatchString(got) {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s is %q, recorded %q", path, got, filled)}
}

func (r *Replay) free(path string) bool { return slices.Contains(r.Free, path) }

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}
