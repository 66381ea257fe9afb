package dns

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	api "google.golang.org/api/dns/v1"
)

// last keeps what the servers were told last.
type last struct{ sets []RecordSet }

func (*last) NameServers() []string { return []string{"ns.example."} }

func (l *last) Serve(_ context.Context, _ string, sets []RecordSet) error {
	l.sets = sets
	return nil
}

func (*last) Drop(context.Context, string) error { return nil }

// TestOvertaken: an older state that comes late does not take a newer one back.
func TestOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &last{}
		a := New(Options{Project: "p", Backend: l, Log: slog.New(slog.DiscardHandler)})
		defer a.Close()
		z := &zone{message: &api.ManagedZone{DnsName: "example."}, changes: []*api.Change{{}}}
		a.follow(z, 2*time.Second)
		z.changes = append(z.changes, &api.Change{})
		z.sets = []*api.ResourceRecordSet{{Name: "www.example.", Type: "A"}}
		a.follow(z, time.Second)
		time.Sleep(3 * time.Second)
		if len(l.sets) != 1 {
			t.Errorf("the servers were told %v last", l.sets)
		}
	})
}
