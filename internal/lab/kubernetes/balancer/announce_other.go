//go:build !linux

package balancer

import (
	"errors"
	"net/netip"
	"os"
)

func announce(*os.File, string, netip.Addr) error {
	return errors.New("the lab's load balancers need Linux")
}
