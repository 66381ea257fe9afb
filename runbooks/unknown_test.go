package runbooks_test

import (
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/snapshot"
)

const late = 15 * time.Minute // everything that was under way has ended

// A process dies when nobody knows yet what has become of its request. The next one finds what was left, says so in its
// plan, and goes on with it: nothing is made twice, and the run comes to the end that it would have come to.
func TestUnknownOutcomesAreProbed(t *testing.T) {
	status := func(w *world) string { return w.mine().Status }
	helmStatus := func(w *world) string {
		h := w.mine().helm
		return h.all[len(h.all)-1].Status
	}
	instance := func(w *world) *server { return w.servers["slipway-"+runID] }
	operation := func(w *world) string {
		if instance(w).until.IsZero() {
			return "no operation"
		}
		return "an operation, databases " + strings.Join(sortedKeys(instance(w).dbs), " ")
	}
	claim := func(w *world) string {
		c := w.mine().claims["shop/shop-assets"]
		return c.Phase + ", " + map[bool]string{true: "empty", false: "with files"}[len(c.tree.Nodes) == 1]
	}
	for _, x := range []struct {
		name  string
		kill  string
		pause time.Duration
		see   func(*world) string
		left  string // what see must say
		step  string // whose second intent
		plans string // has this among its effects
	}{
		{"a cluster that is half created", "create cluster: after", 0, status, "PROVISIONING", "standup.cluster", "wait for cluster slipway-" + runID},
		{"a cluster that nobody waited for", "create cluster: after", late, status, "RUNNING", "standup.cluster", "create cluster slipway-"}, // done: no second intent
		{"a cluster that GKE has given up", "create cluster: in the middle", late, status, "ERROR", "standup.cluster", "delete cluster slipway-" + runID + ": broken: no machines; create"},
		{"a cluster that is on its way out", "delete cluster: after", 0, status, "STOPPING", "", ""},
		{"an instance that is pending", "create instance: after", 0, func(w *world) string { return instance(w).Status }, "PENDING_CREATE", "standup.sql-instance", "wait for instance slipway-" + runID},
		{"an instance that is on its way out", "delete instance: after", 0, func(w *world) string { return instance(w).Status }, "PENDING_DELETE", "", ""},
		{"a database whose operation is pending", "create database shop: after", 0, operation, "an operation, databases mysql", "standup.sql-database", "create database shop"},
		{"a database that came when nobody waited", "create database shop: after", late, operation, "no operation", "", ""},
		{"an account whose operation is pending", "put account shop: after", 0, operation, "an operation, databases mysql shop", "standup.sql-users", "create account 'shop'"},
		{"a claim that is pending", "make claim shop/shop-assets: after", 0, claim, "Pending, empty", "standup.claims", "wait for claim shop/shop-assets"},
		{"a claim that is bound and empty", "make claim shop/shop-assets: after", late, claim, "Bound, empty", "standup.claims", "create claim shop/shop-sessions"},
		{"a volume that is half written", "write files: after", 0, claim, "Bound, with files", "copy.volume-fill", "write 5 files"},
		{"a release in pending-install", "install the release: in the middle", 0, helmStatus, "pending-install", "standup.release", "repair release shop/shop: revision 1 was left pending-install"},
		{"a release in pending-install, later", "install the release: in the middle", late, helmStatus, "pending-install", "standup.release", "repair release shop/shop"},
		{"a release whose pods come up", "install the release: after", 0, helmStatus, "deployed", "standup.release", "now: web 0/2 (ContainerCreating)"},
		{"a release in pending-upgrade", "open the release: in the middle", 0, helmStatus, "pending-upgrade", "open.release", "repair release shop/shop: revision 2 was left pending-upgrade"},
		{"a release in pending-rollback", "close the release: in the middle", 0, helmStatus, "pending-rollback", "", ""},
		{"a release that is being uninstalled", "uninstall the release: in the middle", 0, helmStatus, "uninstalling", "", ""},
		{"a namespace that is on its way out", "delete namespace shop: after", 0, func(w *world) string {
			return map[bool]string{true: "there", false: "ending"}[w.mine().namespaces["shop"].ends.IsZero()]
		}, "ending", "", ""},
		{"half a snapshot of the rows", "take snapshot mariadb: in the middle", 0, func(w *world) string { return string(w.store.state[snapshot.MariaDB]) }, "half", "copy.mariadb-snapshot", "write snapshot " + runID},
		{"half of the tables", "make tables: in the middle", 0, func(w *world) string { return strings.Join(sortedKeys(instance(w).rows.tables), " ") }, "orders", "copy.sql-load", "load snapshot"},
		{"a load whose first rows are in", "load chunk 0: after", 0, func(w *world) string { return strings.Join(sortedKeys(instance(w).rows.chunks), " ") }, "chunk 0", "copy.sql-load", "load snapshot"},
		{"a zone that is staged and not published", "stage www." + rehearsal + " A: 300 10.77.0.10 -> 60 10.77.3.1: after", 0, func(w *world) string {
			z := w.zones[rehearsal]
			return map[bool]string{true: "published", false: "staged"}[strings.Count(z.String(), address) == 4]
		}, "staged", "flip.dns", "delete www.rehearsal.example. AAAA"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			s := newSweep(t, stories()[0], 1)
			saw := "nothing: it was not killed there"
			got := s.try(blow{on: x.kill, pause: x.pause, see: func(w *world) {
				w.own(func() { w.settle(time.Now()); saw = x.see(w) })
			}})
			if saw != x.left {
				t.Errorf("left was %q, and should be %q", saw, x.left)
			}
			if x.step != "" && !strings.Contains(got.planned[x.step], x.plans) {
				t.Errorf("%s planned %q, without %q", x.step, got.planned[x.step], x.plans)
			}
		})
	}
}
