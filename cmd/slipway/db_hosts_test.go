package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/remote"
)

func TestParseHost(t *testing.T) {
	for text, want := range map[string]remote.Host{
		"ssh://root@db1":               {Name: "db1", Address: "db1", User: "root"},
		"ssh://root@192.0.2.51:2222/":  {Name: "192.0.2.51:2222", Address: "192.0.2.51", Port: 2222, User: "root"},
		"ssh://slip@[2001:db8::1]:22":  {Name: "[2001:db8::1]:22", Address: "2001:db8::1", Port: 22, User: "slip"},
		"ssh://root@db1.example:65535": {Name: "db1.example:65535", Address: "db1.example", Port: 65535, User: "root"},
	} {
		if got, err := parseHost("source-host", text); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, says := range map[string]string{
		"db1":                     "doesn't begin with ssh://",
		"ssh://db1":               "the user is missing",
		"ssh://root@":             "the host is missing",
		"ssh://root@db1/etc":      "nothing comes after",
		"ssh://root@db1:70000":    "no such port",
		"ssh://root@db1:x":        "can't be read",
		"ssh://root:secret@db1":   "a password doesn't belong in an argument",
		"ssh://root@db1?key=file": "nothing comes after",
	} {
		_, err := parseHost("source-host", text)
		if err == nil || !strings.HasPrefix(err.Error(), "--source-host") || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v does not say %q", text, err, says)
		}
	}
}

func TestMastersHosts(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "")
	known := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(known, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for says, c := range map[string]struct {
		x       mastersHosts
		standby bool
	}{
		"":                             {},
		"without --source-host":        {x: mastersHosts{standby: "ssh://root@db2"}, standby: true},
		"or --known-hosts without":     {x: mastersHosts{reach: reach{knownHosts: known}}},
		"one host too few":             {x: mastersHosts{source: "ssh://root@db1"}, standby: true},
		"or one too many":              {x: mastersHosts{source: "ssh://root@db1", standby: "ssh://root@db2"}},
		"--standby-host \"db2\": it d": {x: mastersHosts{source: "db1", standby: "db2"}, standby: true},
		"$SSH_AUTH_SOCK is empty":      {x: mastersHosts{source: "ssh://root@db1", reach: reach{knownHosts: known}}},
		"no-such-key":                  {x: mastersHosts{source: "ssh://root@db1", reach: reach{knownHosts: known, identity: "no-such-key"}}},
	} {
		var s servers
		err := c.x.open(&s, c.standby)
		if says == "" && (err != nil || s.hosts != nil) || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%+v: %v; want %q", c.x, err, says)
		}
	}
}
