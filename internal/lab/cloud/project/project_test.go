package project_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/cloud/project"
	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
)

type caller []string

func (c caller) Authenticate(*http.Request) (rest.Principal, *rest.Error) {
	return rest.Principal{Email: "user@example.com", Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"}, Permissions: c}, nil
}

func newAPI(held ...string) *project.API {
	return project.New(project.Options{
		Project: "shop-lab", ProjectNumber: "271828182845", Enabled: []string{"dns.googleapis.com"}, Auth: caller(held),
		Known: func(p string) bool { return strings.HasPrefix(p, "dns.") }, Log: slog.New(slog.DiscardHandler),
	})
}

func TestPermissions(t *testing.T) {
	for _, tt := range []struct {
		name, path, body string
		code             int
		held             []string
	}{
		{"the subset that is held", "shop-lab:testIamPermissions", `{"permissions":["dns.changes.create","dns.managedZones.list"]}`, 200, []string{"dns.managedZones.list"}},
		{"none", "shop-lab:testIamPermissions", `{"permissions":["dns.changes.create"]}`, 200, nil},
		{"a misspelt one", "shop-lab:testIamPermissions", `{"permissions":["storage.oops"]}`, 400, nil},
		{"no list", "shop-lab:testIamPermissions", `{}`, 400, nil},
		{"another project", "other:testIamPermissions", `{"permissions":["dns.changes.create"]}`, 403, nil},
		{"another verb", "shop-lab:setIamPolicy", `{}`, 501, nil},
		{"an unknown field", "shop-lab:testIamPermissions", `{"permission":["dns.changes.create"]}`, 400, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			newAPI("dns.managedZones.list").ResourceManager().ServeHTTP(w, httptest.NewRequest("POST", "https://lab/v1/projects/"+tt.path, strings.NewReader(tt.body)))
			var answer struct{ Permissions []string }
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			if w.Code != tt.code || !slices.Equal(answer.Permissions, tt.held) {
				t.Errorf("answered %d %s, want %d %v", w.Code, w.Body, tt.code, tt.held)
			}
		})
	}
}
