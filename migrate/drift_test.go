package migrate

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestDriftSaysWhatDiffers(t *testing.T) {
	long := `"` + strings.Repeat("x", 500) + `"`
	for _, c := range []struct{ recorded, now, want string }{
		{`{"a":1,"b":"same"}`, `{"a":2,"b":"same"}`, "a was 1, is 2"},
		{`{"a":1}`, `{"b":1}`, "a was 1, is nothing; b was nothing, is 1"},
		{`{"a":` + long + `}`, `{"a":""}`, `a was "` + strings.Repeat("x", cut-1) + `…, is ""`},
		{`[1]`, `[2]`, "recorded [1], found [2]"},
		{`{"a":1}`, ``, "nothing of it is there"},
	} {
		var now json.RawMessage
		if c.now != "" {
			now = json.RawMessage(c.now)
		}
		d := Drift{Step: "a.step", Recorded: json.RawMessage(c.recorded), Now: now, Effects: []Effect{{Verb: "create", Object: "it"}}}
		if got := d.err().Error(); !strings.HasSuffix(got, ": "+c.want+"; would create it") {
			t.Errorf("%s, %s: %q, want %q", c.recorded, c.now, got, c.want)
		}
	}
}
