package proof

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/fleet"
	"github.com/slipway-dev/slipway/internal/lab/verb"
)

// rule explains changes by what a host's own daemons do while nobody touches it. A rule never explains a file of Slipway's account.
type rule struct {
	roles []fleet.Role // empty: every host
	under string       // the path itself and all below; a last element may be a pattern (path.Match), and then all below what matches
	owner []uint32     // if set, only files of these owners
	why   string
}

// Numbers of accounts as Debian's base-passwd fixes them.
const (
	rootUID    = 0
	wwwDataUID = 33
)

// ordinary are the rules. Each is as narrow as what it explains: a rule for a whole tree is there only where one daemon owns the tree.
var ordinary = []rule{
	{under: "/var/log", why: "logs and the journal; logins (lastlog, wtmp) are counted from the journal"},
	{under: "/var/lib/systemd", owner: []uint32{rootUID}, why: "systemd's time stamps of timers, its random seed, its catalog"},
	{under: "/var/lib/logrotate", owner: []uint32{rootUID}, why: "logrotate's state, from its daily timer"},
	{under: "/tmp/systemd-private-*", why: "private /tmp of units that are restarted"},
	{under: "/var/tmp/systemd-private-*", why: "the same of /var/tmp"},
	{roles: []fleet.Role{fleet.Database}, under: "/var/lib/mysql", why: "MariaDB's data: what Slipway's account did there is in the general log"},
	{roles: []fleet.Role{fleet.Redis}, under: "/var/lib/redis", why: "Redis's append-only files and dumps: the shop's sessions"},
	{roles: []fleet.Role{fleet.Cache}, under: "/var/lib/varnish", why: "Varnish's working directory"},
	{roles: []fleet.Role{fleet.Web}, under: "/etc/alternatives/php-fpm.sock", owner: []uint32{rootUID}, why: "PHP-FPM's unit chooses its socket when it starts"},
	{roles: []fleet.Role{fleet.Web}, under: "/var/lib/dpkg/alternatives/php-fpm.sock", owner: []uint32{rootUID}, why: "the same"},
	{roles: []fleet.Role{fleet.Files}, under: "/var/lib/rabbitmq", why: "RabbitMQ's queues"},
	{roles: []fleet.Role{fleet.Files}, under: "/srv/brick/assets/.glusterfs", why: "Gluster's own bookkeeping in the brick"},
	{roles: []fleet.Role{fleet.Files}, under: "/srv/brick/assets/thumbs", owner: []uint32{wwwDataUID}, why: "the shop's worker makes thumbnails"},
}

// explains says whether the rule accounts for a change on a host of a role.
func (r rule) explains(role fleet.Role, c change) bool {
	if len(r.roles) > 0 && !slices.Contains(r.roles, role) {
		return false
	}
	if len(r.owner) > 0 && !slices.Contains(r.owner, c.owner) {
		return false
	}
	return within(r.under, c.path)
}

// within compares element by element, so that /var/logs is not under /var/log.
func within(under, name string) bool {
	want, have := strings.Split(under, "/"), strings.Split(name, "/")
	if len(have) < len(want) {
		return false
	}
	for i, w := range want {
		if ok, err := path.Match(w, have[i]); !ok || err != nil {
			return false
		}
	}
	return true
}

// sortOut tells findings from the host's ordinary life.
func sortOut(h fleet.Host, changes []change) (found []verb.Finding, ordinaryCount int) {
	for _, c := range changes {
		switch {
		case c.owner == fleet.SlipwayUID:
			found = append(found, verb.Finding{Where: h.Name, What: fmt.Sprintf("slipway's own file: %v", c)})
		case slices.ContainsFunc(ordinary, func(r rule) bool { return r.explains(h.Role, c) }):
			ordinaryCount++
		default:
			found = append(found, verb.Finding{Where: h.Name, What: c.String()})
		}
	}
	return found, ordinaryCount
}
