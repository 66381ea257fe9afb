package storage_test

import (
	"log/slog"
	"net/http"
	"slices"
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	"github.com/slipway-dev/slipway/internal/lab/cloud/storage"
)

const (
	project    = "shop-lab"
	everything = "token-of-an-admin"
)

type tokens struct{}

func (tokens) Authenticate(r *http.Request) (rest.Principal, *rest.Error) {
	p := rest.Principal{Email: "user@example.com", Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"}}
	if r.Header.Get("Authorization") == "Bearer "+everything {
		for _, kind := range []string{"buckets", "objects"} {
			for _, verb := range []string{"create", "delete", "get", "list"} {
				p.Permissions = append(p.Permissions, "storage."+kind+"."+verb)
			}
		}
		slices.Sort(p.Permissions)
	}
	return p, nil
}

func newAPI(t *testing.T) (*storage.API, string) {
	t.Helper()
	dir := t.TempDir()
	a, err := storage.New(storage.Options{Project: project, ProjectNumber: 271828182845, Dir: dir, Auth: tokens{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return a, dir
}
