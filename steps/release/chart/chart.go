// Package chart is the Helm chart of the shop's stack, as data: the starting point that Slipway installs on a
// target. It holds no code beyond reading itself, and must not import anything of Slipway.
package chart

import (
	"embed"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Files is the chart: its root is the chart's folder.
//
//go:embed Chart.yaml values.yaml values-development.yaml values-staging.yaml values-production.yaml values.schema.json all:templates
var Files embed.FS

// An Environment is a set of values beside the chart's own: the same objects, in other sizes.
type Environment string

// The environments.
const (
	Development Environment = "development"
	Staging     Environment = "staging"
	Production  Environment = "production"
)

// Values are the environment's own values, which go over the chart's. An unknown environment is an error.
func Values(e Environment) (map[string]any, error) {
	data, err := Files.ReadFile("values-" + string(e) + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("no environment %q: there are %s, %s and %s", e, Development, Staging, Production)
	}
	var values map[string]any
	if err := yaml.Unmarshal(data, &values); err != nil {
		return nil, fmt.Errorf("read the values of %s: %w", e, err)
	}
	return values, nil
}
