package remote

import (
	"strings"
	"testing"
)

func TestTreeQueries(t *testing.T) {
	for name, make := range map[string]func(string) (Query, error){"mount": TreeMount, "list": TreeList, "stat": TreeStat, "tar": TreeTar} {
		for _, bad := range []string{"", ".", "srv", "-srv", "/srv/", "/srv/../etc", "/srv\x00", "//srv", "/srv/."} {
			if _, err := make(bad); err == nil {
				t.Errorf("%s takes %q for a tree's directory", name, bad)
			}
		}
		for _, good := range []string{"/", "/srv/assets", "/srv/it's"} {
			q, err := make(good)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if line := strings.Join(Argv(q), " "); !strings.Contains(line, good) || strings.Contains(line, "delete") && name != "tar" || strings.Contains(line, "-exec") {
				t.Errorf("%s runs %s", name, line)
			}
		}
	}
}
