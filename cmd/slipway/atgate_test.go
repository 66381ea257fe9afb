package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/runbooks"
)

// keys writes what the example's configuration refers to and a process must read before it dials anything: keys that open
// nothing, and passwords of nobody.
func keys(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: keys")
	}
	_, host, err := ed25519.GenerateKey(rand.Reader)
	ts.Check(err)
	block, err := ssh.MarshalPrivateKey(host, "")
	ts.Check(err)
	account, err := rsa.GenerateKey(rand.Reader, 2048)
	ts.Check(err)
	der, err := x509.MarshalPKCS8PrivateKey(account)
	ts.Check(err)
	google, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "p", "client_email": "slipway@p.iam.gserviceaccount.com", "private_key_id": "1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": "https://127.0.0.1:1/token",
	})
	ts.Check(err)
	ts.Check(os.MkdirAll(ts.MkAbs("secrets"), 0o700))
	for _, f := range []struct {
		name string
		text []byte
	}{
		{"known_hosts", nil}, {"id_ed25519", pem.EncodeToMemory(block)}, {"secrets/mariadb", []byte("x")}, {"secrets/google.json", google},
		{"secrets/ovh-application-key", []byte("x")}, {"secrets/ovh-application-secret", []byte("x")}, {"secrets/ovh-consumer-key", []byte("x")},
	} {
		ts.Check(os.WriteFile(ts.MkAbs(f.name), f.text, 0o600))
	}
}

// atGate makes a run of the configuration's own runbook, as its process left it at the gate go: every step before was found
// done, and the gate was opened with a deadline that is so far from now: atgate STATE ID DURATION.
func atGate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: atgate STATE ID DURATION")
	}
	from, err := time.ParseDuration(args[2])
	ts.Check(err)
	root := ts.MkAbs(filepath.Join(args[0], "runs"))
	p := &program{configFile: ts.MkAbs("slipway.yaml")}
	r, err := p.openRehearsal(context.Background(), "", filepath.Join(root, args[1]))
	ts.Check(err)
	defer func() { ts.Check(r.close()) }()
	o, err := r.options()
	ts.Check(err)
	o.Ending = runbooks.Ending(false)
	dir, err := journal.MakeDir(root, args[1])
	ts.Check(err)
	run, err := r.begin(dir, args[1], o)
	ts.Check(err)
	ts.Check(run.Close())
	j, err := journal.Open(dir, journal.Holder{}, func(journal.Record) error { return nil })
	ts.Check(err)
	defer func() { ts.Check(j.Close()) }()
	record := func(kind journal.Kind, step migrate.StepID, data any) {
		raw, err := json.Marshal(data)
		ts.Check(err)
		_, err = j.Append(journal.Record{Run: args[1], Fence: 1, Step: string(step), Kind: kind, Time: time.Now().UTC(), Who: o.Who, Data: raw})
		ts.Check(err)
	}
	for _, s := range r.steps {
		if s.Kind == kindGate {
			record(journal.Gate, s.ID, map[string]any{"decision": "open", "deadline": time.Now().Add(from).UTC()})
			return
		}
		record(journal.Done, s.ID, map[string]any{"out": map[string]any{}})
		record(journal.Verified, s.ID, map[string]any{})
	}
	ts.Fatalf("the runbook has no gate")
}
