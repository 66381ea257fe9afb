package mysql

import "github.com/slipway-dev/slipway/internal/lab/rootfs"

// Layer is what an instance's machine is made of: MySQL 9.7 is in no Debian
// release but unstable.
var Layer = rootfs.Layer{Name: "mysql", Suite: rootfs.Sid, On: &rootfs.BaseSid, Packages: []string{"mysql-server", "nftables", "e2fsprogs"}}
