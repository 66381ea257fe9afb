//go:build lab

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// dbDesk is a MariaDB, a MySQL, and a place from which slipway is typed at them, as a person with two data source names has it.
type dbDesk struct {
	*testing.T
	ctx       context.Context
	lab       *dbpair.Lab
	maria, my *dbpair.Server
	dir       string
	schemas   []string
	env       []string
	hidden    []string // what nothing that is printed may have
}

// newDBDesk starts both servers in a lab of the test's own. SRC has what the product's account has at a MariaDB, DST what an instance's has.
func newDBDesk(t *testing.T, ctx context.Context, name string, maria, my dbpair.Options, schemas ...string) *dbDesk {
	t.Helper()
	lab := dbtest.Lab(t, name)
	return dbDeskAt(t, ctx, lab, dbtest.Server(t, lab.MariaDB, "maria", maria), dbtest.Server(t, lab.MySQL, "mysql", my), schemas...)
}

func dbDeskAt(t *testing.T, ctx context.Context, lab *dbpair.Lab, maria, my *dbpair.Server, schemas ...string) *dbDesk {
	d := &dbDesk{T: t, ctx: ctx, lab: lab, maria: maria, my: my, dir: t.TempDir(), schemas: schemas, hidden: []string{dbpair.Password}}
	d.set("SRC", maria, dbpair.Reader)
	d.set("DST", my, dbpair.Loader)
	return d
}

// set gives a variable with a data source name, in the place of one of before.
func (d *dbDesk) set(name string, s *dbpair.Server, user string) {
	d.env = append(d.env, name+"="+dbtest.DSN(s, user))
}

// do runs statements with all rights.
func (d *dbDesk) do(s *dbpair.Server, stmts ...string) {
	d.Helper()
	dbtest.Do(d.T, s, stmts...)
}

// verb are the arguments of one of the db verbs for these servers.
func (d *dbDesk) verb(name string, more ...string) []string {
	args := []string{"db", name, "--source", "env:SRC", "--target", "env:DST"}
	for _, s := range d.schemas {
		args = append(args, "--schema", s)
	}
	return append(args, more...)
}

func (d *dbDesk) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(d.ctx, "slipway", args...)
	cmd.Dir, cmd.Env = d.dir, append(os.Environ(), d.env...)
	return cmd
}

// start types a command that goes on; all that it prints goes into one buffer.
func (d *dbDesk) start(args ...string) (*exec.Cmd, *bytes.Buffer) {
	d.Helper()
	var out bytes.Buffer
	cmd := d.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		d.Fatal(err)
	}
	return cmd, &out
}

// run types a command that ends by itself.
func (d *dbDesk) run(args ...string) (stdout, stderr string, ended *os.ProcessState) {
	d.Helper()
	var out, complaints bytes.Buffer
	cmd := d.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		d.Fatal(err)
	}
	for _, h := range d.hidden {
		if all := out.String() + complaints.String(); strings.Contains(all, h) {
			d.Errorf("a password or a value is printed: %s", all)
		}
	}
	return out.String(), complaints.String(), cmd.ProcessState
}

// typed types a command that must end with a code, and gives all that it prints.
func (d *dbDesk) typed(want int, args ...string) string {
	d.Helper()
	out, complaints, ended := d.run(args...)
	if code := ended.ExitCode(); code != want {
		d.Fatalf("slipway %q: exit code %d, want %d\n%s%s", args, code, want, out, complaints)
	}
	return out + complaints
}

// same fails the test where a table of the schemas isn't the same on both sides, by an oracle of the tests' own, and gives how many rows
// were compared. user may read all at the source; but are tables that each side writes by itself.
func (d *dbDesk) same(user string, but ...string) (rows int) {
	d.Helper()
	for _, schema := range d.schemas {
		var own []string
		for _, b := range but {
			if table, ok := strings.CutPrefix(b, schema+"."); ok {
				own = append(own, table)
			}
		}
		rows += dbtest.EqualTables(d.T, dbtest.As(d.T, d.maria, user, schema), dbtest.Admin(d.T, d.my, schema), own...)
	}
	return rows
}
