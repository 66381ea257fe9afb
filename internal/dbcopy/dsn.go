package dbcopy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/slipway-dev/slipway/internal/secret"
)

// ErrDSN: a text isn't a data source name that this program takes. Its text isn't in the error: it may hold a password.
// Fix what the reference leads to.
var ErrDSN = errors.New("not a data source name: write user:password@tcp(host:3306)/ with nothing behind the slash, or ?tls=true")

// ParseDSN reads a data source name in go-sql-driver's form. Of its parameters only tls is taken: what a session must
// have is this package's to set, and a schema is named apart. name is what messages call the server.
func ParseDSN(name string, dsn secret.String) (Endpoint, error) {
	bad := func(what string) (Endpoint, error) {
		return Endpoint{}, fmt.Errorf("%s: %w (%s)", name, ErrDSN, what)
	}
	cfg, err := mysql.ParseDSN(dsn.Reveal())
	if err != nil {
		return bad("it can't be read")
	}
	_, params, _ := strings.Cut(dsn.Reveal()[strings.LastIndexByte(dsn.Reveal(), '/')+1:], "?")
	for _, p := range strings.Split(params, "&") {
		if key, _, _ := strings.Cut(p, "="); key != "" && key != "tls" {
			return bad("it has a parameter other than tls")
		}
	}
	switch {
	case cfg.User == "":
		return bad("it names no user")
	case cfg.DBName != "":
		return bad("it names a schema: that is what --schema is for")
	case cfg.Net != "tcp" && cfg.Net != "unix":
		return bad("its network is neither tcp nor unix")
	case cfg.TLSConfig == "preferred":
		return bad("tls=preferred signs in without encryption where the server has none: write true, skip-verify or false")
	}
	ep := Endpoint{Name: name, Addr: cfg.Addr, User: cfg.User, Password: secret.New(cfg.Passwd)}
	switch network := cfg.Net; {
	case network == "unix":
		ep.Dial = func(ctx context.Context, _, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		}
	case slices.Contains([]string{"true", "1", "TRUE", "True", "skip-verify"}, cfg.TLSConfig):
		host, _, err := net.SplitHostPort(cfg.Addr)
		if err != nil {
			return bad("its address can't be read")
		}
		ep.TLS = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: cfg.TLSConfig == "skip-verify"}
	}
	return ep, nil
}
