package rehearsal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/slipway-dev/slipway/internal/config"
	"github.com/slipway-dev/slipway/internal/lab/fleet"
)

// TestProductAcceptsWhatIsWritten: the product's own strict loader takes the files, and finds all hosts in them.
func TestProductAcceptsWhatIsWritten(t *testing.T) {
	secrets, err := fleet.NewSecrets()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	source := Source{Secrets: secrets, Files: 20_000, Image: "catalogue/03/00/picture-000003.png"}
	for range 2 { // twice: files are replaced
		if err := Write(dir, source); err != nil {
			t.Fatal(err)
		}
	}
	// The cloud's part writes these.
	for _, name := range []string{"google.json", "ovh-application-key", "ovh-application-secret", "ovh-consumer-key"} {
		if err := os.WriteFile(filepath.Join(dir, "secrets", name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, inv, err := config.Load(filepath.Join(dir, "slipway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(inv.Hosts) != 17 {
		t.Errorf("the inventory has %d hosts", len(inv.Hosts))
	}
	entries, err := os.ReadDir(filepath.Join(dir, "secrets"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("secrets/%s: mode %v, error %v", e.Name(), info.Mode(), err)
		}
	}
}
