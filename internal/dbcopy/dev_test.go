package dbcopy

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/snapshot"
)

func TestDev(t *testing.T) {
	schemas := strings.Split(os.Getenv("DEV_SCHEMAS"), ",")
	if schemas[0] == "" {
		t.Skip()
	}
	ctx := context.Background()
	src := NewSource(Endpoint{Name: "db2", Addr: "127.0.0.1:45306", User: "slipway", Password: secret.New("pw")})
	sv, err := src.Survey(ctx, schemas)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range sv.Findings {
		fmt.Println(f)
	}
	dir := t.TempDir()
	store, _ := snapshot.At(dir)
	run := snapshot.ID("20261123-010203-7f3a")
	t0 := time.Now()
	out, err := src.Take(ctx, store, run, Options{Tool: "dev", Schemas: schemas, Progress: func(p Progress) {}})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("TAKEN %s %+v\n", time.Since(t0), out)
	art, err := store.Open(run, snapshot.MariaDB)
	if err != nil {
		t.Fatal(err)
	}
	tg := NewTarget(Endpoint{Name: "instance", Addr: "127.0.0.1:45307", User: "admin", Password: secret.New("pw")})
	own := Owner{string(run), 1}
	if os.Getenv("DEV_KEEP") == "" {
		defer func() {
			if err := tg.Drop(ctx, own); err != nil {
				t.Fatal(err)
			}
		}()
	}
	t0 = time.Now()
	ld, err := tg.Load(ctx, art, own, LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("LOADED %s %+v\n", time.Since(t0), ld)
	t0 = time.Now()
	vf, err := tg.Verify(ctx, art, VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("VERIFIED %s %+v\n", time.Since(t0), vf)
	os.RemoveAll(dir)
}
