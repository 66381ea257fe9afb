// Package errlist is how this program writes several errors at once. It imports nothing of the project.
package errlist

import (
	"fmt"
	"strings"

	"github.com/hashicorp/go-multierror"
)

// OrNil is the list's ErrorOrNil with this package's format: what every list of errors ends in.
func OrNil(list *multierror.Error) error {
	if list != nil {
		list.ErrorFormat = Format
	}
	return list.ErrorOrNil()
}

// Format writes one error as it is, and several under their count, in their order, each beginning a line of its own. The text is
// journaled too.
func Format(errs []error) string {
	if len(errs) == 1 {
		return errs[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d problems:", len(errs))
	for _, e := range errs {
		b.WriteString("\n  - " + strings.ReplaceAll(e.Error(), "\n", "\n    "))
	}
	return b.String()
}
