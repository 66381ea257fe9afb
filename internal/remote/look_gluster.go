package remote

import (
	_ "embed"
	"fmt"
	"regexp"
	"time"
)

//go:embed gluster.sh
var glusterScript string

// volumeName is what glusterd takes for one (its manual: letters, digits, underscore, hyphen), without a leading hyphen,
// which would be read as an option.
var volumeName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,254}$`)

// GlusterState asks a Gluster server for a volume's options, its bricks, its peers and what waits to be healed, in one
// round trip, through sudo where the user isn't root. Healing is asked of every brick, and takes seconds where many entries
// wait. The format of the answer is in gluster.sh.
func GlusterState(volume string) (Query, error) {
	if !volumeName.MatchString(volume) {
		return Query{}, fmt.Errorf("%q is not the name of a Gluster volume", volume)
	}
	return Query{name: "gluster volume " + volume, argv: []string{"sh", "-s", "--", volume}, stdin: glusterScript, limit: 32 << 20, timeout: 2 * time.Minute}, nil
}
