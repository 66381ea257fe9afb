//go:build lab

package dbcopy

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/machine"
)

// servers are the two that most tests share; a test that kills or fills one starts its own.
var servers struct {
	lab   *dbpair.Lab
	maria *dbpair.Server
	mysql *dbpair.Server
}

func TestMain(m *testing.M) {
	machine.Main()
	if order := os.Getenv(copierVar); order != "" {
		os.Exit(copierMain(order))
	}
	if order := os.Getenv(loaderVar); order != "" {
		os.Exit(loaderMain(order))
	}
	os.Exit(func() int {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
		defer cancel()
		lab, err := dbpair.Open(ctx, "dbcopy", os.Stderr)
		if err == nil {
			servers.lab = lab
			defer func() {
				if err := lab.Close(context.Background()); err != nil {
					fmt.Fprintln(os.Stderr, "error:", err)
				}
			}()
			servers.maria, err = lab.MariaDB(ctx, "maria", dbpair.Options{})
		}
		if err == nil {
			servers.mysql, err = lab.MySQL(ctx, "mysql", dbpair.Options{})
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "error: start the servers:", err)
			return 1
		}
		return m.Run()
	}())
}
