package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/secret"
)

func newDB(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "db",
		Short: "one MariaDB and one MySQL, by themselves: no inventory and no slipway.yaml",
		Args:  none,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDBCheck(p))
	cmd.AddCommand(newDBCopy(p))
	cmd.AddCommand(newDBVerify(p))
	cmd.AddCommand(newDBFollow(p))
	cmd.AddCommand(newDBSwitch(p))
	cmd.AddCommand(newDBStatus(p))
	return cmd
}

// pair is the flags that name two servers and what of them is meant.
type pair struct {
	source, target string // references to data source names
	schemas        []string
}

func (x *pair) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&x.source, "source", "", "where the MariaDB's data source name is: env:NAME or file:PATH; it reads user:password@tcp(host:3306)/")
	f.StringVar(&x.target, "target", "", "where the MySQL's data source name is, likewise")
	f.StringArrayVar(&x.schemas, "schema", nil, "a schema; repeat it for more")
}

// endpoints resolves both references. All that is wrong with the call is told at once.
func (x *pair) endpoints(cmd *cobra.Command) (source, target dbcopy.Endpoint, err error) {
	var bad []error
	source, target = endpoint(&bad, "source", x.source), endpoint(&bad, "target", x.target)
	bad = append(bad, x.schemasWrong()...)
	if bad != nil {
		return source, target, &usageError{errors.Join(bad...), cmd.CommandPath()}
	}
	return source, target, nil
}

func (x *pair) schemasWrong() (bad []error) {
	if len(x.schemas) == 0 {
		bad = append(bad, errors.New("--schema is missing: the name of a schema"))
	}
	seen := map[string]bool{}
	for _, s := range x.schemas {
		if s == "" || seen[s] {
			bad = append(bad, fmt.Errorf("--schema %q: a name, and each once", s))
		}
		seen[s] = true
	}
	return bad
}

// endpoint resolves the reference that a flag gives; what is wrong with it is added to bad.
func endpoint(bad *[]error, flag, text string) (ep dbcopy.Endpoint) {
	if text == "" {
		*bad = append(*bad, fmt.Errorf("--%s is missing: env:NAME or file:PATH", flag))
		return ep
	}
	ref, err := secret.ParseRef(text)
	if err != nil {
		*bad = append(*bad, fmt.Errorf("--%s: %w", flag, err))
		return ep
	}
	dsn, err := ref.Resolve()
	if err == nil {
		ep, err = dbcopy.ParseDSN(flag, dsn)
	}
	if err != nil {
		*bad = append(*bad, fmt.Errorf("--%s %s: %w", flag, ref, err))
		return ep
	}
	ep.Name = flag + " " + ep.Addr
	return ep
}
