//go:build lab

package whole

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/secret"
)

var servers struct{ maria, mysql *dbpair.Server }

// exec is the tests' short name.
var exec = dbtest.Exec

func TestMain(m *testing.M) {
	machine.Main()
	child.Main(order.run, childStatus)
	os.Exit(dbtest.Main(m, "whole", func(ctx context.Context, lab *dbpair.Lab) (err error) {
		// Compressed events from 10 bytes on, where they are switched on; and a new file of the log now and then by itself.
		servers.maria, servers.mysql, err = dbtest.Pair(ctx, lab, "--sql-mode=", "--log-bin-compress-min-len=10", "--max-binlog-size=1048576")
		return err
	}))
}

func endpoint(name, addr, user string) dbcopy.Endpoint {
	return dbcopy.Endpoint{Name: name, Addr: addr, User: user, Password: secret.New(dbpair.Password)}
}

// hits counts what was met.
type hits struct {
	mu sync.Mutex
	n  map[string]int
}

func (h *hits) add(what string, n int) {
	if n == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n == nil {
		h.n = map[string]int{}
	}
	h.n[what] += n
}

func (h *hits) of(what string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n[what]
}

// String lists all, by name.
func (h *hits) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names, out []string
	for n := range h.n {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		out = append(out, fmt.Sprintf("%s %d", n, h.n[n]))
	}
	return strings.Join(out, "; ")
}
