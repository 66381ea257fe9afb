package cluster

import (
	"github.com/slipway-dev/slipway/internal/stamp"
	"github.com/slipway-dev/slipway/migrate"
)

// ofAnother is nil for what this run made.
func ofAnother(labels map[string]string, s migrate.Stamp) error {
	return stamp.Stamp{Run: s.Run, Step: string(s.Step), Fence: s.Fence}.Check(labels)
}
