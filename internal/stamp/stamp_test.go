package stamp_test

import (
	"errors"
	"maps"
	"regexp"
	"testing"

	"github.com/slipway-dev/slipway/internal/stamp"
)

// A Google label value and key: https://cloud.google.com/resource-manager/docs/labels-overview#requirements
var legal = regexp.MustCompile(`^[a-z0-9_-]{1,63}$`)

func TestLabelsAreLegalAtGoogle(t *testing.T) {
	s := stamp.Stamp{Run: "20261123-010203-7f3a", Step: "standup.sql-instance", Fence: 7}
	for k, v := range s.Labels() {
		if !legal.MatchString(k) || !legal.MatchString(v) {
			t.Errorf("label %s=%s is not legal at Google", k, v)
		}
	}
	want := map[string]string{"slipway-run": "20261123-010203-7f3a", "slipway-step": "standup_sql-instance", "slipway-fence": "7"}
	if got := s.Labels(); !maps.Equal(got, want) {
		t.Errorf("labels %v, want %v", got, want)
	}
}

func TestCheck(t *testing.T) {
	mine := stamp.Stamp{Run: "r1", Step: "standup.cluster", Fence: 2}
	later := stamp.Stamp{Run: "r1", Step: "standup.cluster", Fence: 9}
	if err := later.Check(mine.Labels()); err != nil {
		t.Errorf("an earlier attempt's work is refused: %v", err)
	}
	for name, c := range map[string]struct {
		asker  stamp.Stamp
		labels map[string]string
	}{
		"no labels":       {mine, nil},
		"other labels":    {mine, map[string]string{"env": "prod"}},
		"another run":     {mine, stamp.Stamp{Run: "r2", Step: "standup.cluster"}.Labels()},
		"no run, no mark": {stamp.Stamp{}, nil},
		"no run":          {stamp.Stamp{}, map[string]string{stamp.RunLabel: ""}},
	} {
		if err := c.asker.Check(c.labels); !errors.Is(err, stamp.ErrForeign) {
			t.Errorf("%s: %v, want ErrForeign", name, err)
		}
	}
}

// Admit is for those who act: what a process with a higher fence has worked on is refused, and what it has worked on before is not.
func TestAdmit(t *testing.T) {
	mine := stamp.Stamp{Run: "r1", Step: "standup.cluster", Fence: 2}
	with := func(fence string) map[string]string {
		return map[string]string{stamp.RunLabel: "r1", stamp.FenceLabel: fence}
	}
	for _, c := range []struct {
		labels map[string]string
		err    error
		raises bool
	}{
		{with("1"), nil, true},
		{with("2"), nil, false},
		{with("3"), stamp.ErrFenced, false},
		{with("10"), stamp.ErrFenced, false}, // as numbers, not as texts
		{with("x"), stamp.ErrForeign, false},
		{map[string]string{stamp.RunLabel: "r1"}, nil, true},
		{map[string]string{stamp.RunLabel: "r2", stamp.FenceLabel: "1"}, stamp.ErrForeign, true},
	} {
		if err := mine.Admit(c.labels); !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%v: %v, want %v", c.labels, err, c.err)
		}
		if got := mine.Raises(c.labels); got != c.raises {
			t.Errorf("%v: raises %v", c.labels, got)
		}
	}
}
