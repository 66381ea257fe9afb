package dbcopy

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/secret"
)

func TestParseDSN(t *testing.T) {
	for dsn, want := range map[string]string{
		"u:p@w/d@tcp(db.example:3307)/":      "u db.example:3307 p@w/d plain",
		"u@tcp(10.0.0.1)/":                   "u 10.0.0.1:3306  plain",
		"u:p@tcp(db.example)/?tls=true":      "u db.example:3306 p db.example",
		"u:p@tcp([::1]:3306)/?tls=true":      "u [::1]:3306 p ::1",
		"u:p@tcp(db.example)/?tls=false":     "u db.example:3306 p plain",
		"u:p@unix(/run/mysqld/mysqld.sock)/": "u /run/mysqld/mysqld.sock p plain",
	} {
		ep, err := ParseDSN("source", secret.New(dsn))
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		tls := "plain"
		if ep.TLS != nil {
			tls = ep.TLS.ServerName
			if ep.TLS.InsecureSkipVerify {
				tls = "unverified"
			}
		}
		if got := strings.Join([]string{ep.User, ep.Addr, ep.Password.Reveal(), tls}, " "); got != want {
			t.Errorf("%s: got %q, want %q", dsn, got, want)
		}
		if (ep.Dial != nil) != strings.Contains(dsn, "unix") {
			t.Errorf("%s: its dial is wrong", dsn)
		}
	}
	if ep, err := ParseDSN("source", secret.New("u:p@tcp(h)/?tls=skip-verify")); err != nil || !ep.TLS.InsecureSkipVerify {
		t.Errorf("skip-verify: %+v, %v", ep.TLS, err)
	}
	const hidden = "hunter2"
	for dsn, want := range map[string]string{
		hidden:                                   "it can't be read",
		"u:" + hidden + "@tcp(h/":                "it can't be read",
		":" + hidden + "@tcp(h)/":                "it names no user",
		"u:" + hidden + "@tcp(h)/shop":           "that is what --schema is for",
		"u:" + hidden + "@tcp(h)/?loc=Local":     "a parameter other than tls",
		"u:" + hidden + "@tcp(h)/?sql_mode=''":   "a parameter other than tls",
		"u:" + hidden + "@tcp(h)/?tls=preferred": "without encryption",
		"u:" + hidden + "@tcp(h)/?tls=shiny":     "it can't be read",
		"u:" + hidden + "@pipe(h)/":              "neither tcp nor unix",
	} {
		_, err := ParseDSN("source", secret.New(dsn))
		if !errors.Is(err, ErrDSN) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: %v", dsn, err)
		}
	}
}
