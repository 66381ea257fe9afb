package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/config"
	"github.com/slipway-dev/slipway/internal/remote/sshtest"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/inventory"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

// configured is the directory of a whole configuration, with every file that it names; nothing in it leads anywhere.
func configured(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write := func(name string, text []byte) {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^[^#\n]*file:(secrets/[a-z0-9.-]+)`).FindAllStringSubmatch(config.Example, -1) {
		write(m[1], []byte("x"))
	}
	_, key := sshtest.NewKey(t)
	write("id_ed25519", key)
	write("known_hosts", nil)
	google, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{"type": "service_account", "project_id": "example-project", "client_email": "a@b", "private_key_id": "1",
		"token_uri":   "https://127.0.0.1:1/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(google)}))})
	if err != nil {
		t.Fatal(err)
	}
	write("secrets/google.json", account)
	write("slipway.yaml", []byte(regexp.MustCompile(`(?m)file: .*id_ed25519.*$`).ReplaceAllString(config.Example, "file: id_ed25519")))
	write("inventory.yaml", []byte(inventory.Example))
	return dir
}

// slipway runs the program in this process.
func slipway(t *testing.T, dir string, args ...string) (exit int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	exit = run(t.Context(), append([]string{"-c", filepath.Join(dir, "slipway.yaml")}, args...), streams{strings.NewReader(""), &o, &e})
	return exit, o.String(), e.String()
}

// opened opens a run and does nothing in it. reuse is the snapshot that it is told to use.
func opened(t *testing.T, dir, id string, reuse snapshot.ID, change func(*migrate.Options)) *journal.Dir {
	t.Helper()
	p := &program{configFile: filepath.Join(dir, "slipway.yaml")}
	r, err := p.openRehearsal(t.Context(), reuse, "")
	if err != nil {
		t.Fatal(err)
	}
	o, err := r.options()
	if err != nil {
		t.Fatal(err)
	}
	change(&o)
	d, err := journal.MakeDir(filepath.Join(dir, ".slipway", "runs"), id)
	if err != nil {
		t.Fatal(err)
	}
	run, err := r.begin(d, id, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(run.Close(), r.close()); err != nil {
		t.Fatal(err)
	}
	return d
}

// What is missing for the source, for Google and for OVH is told at once.
func TestMissingSecretsTogether(t *testing.T) {
	dir := configured(t)
	if err := os.RemoveAll(filepath.Join(dir, "secrets")); err != nil {
		t.Fatal(err)
	}
	exit, _, errs := slipway(t, dir, "plan")
	for _, want := range []string{"problems:", "source.mariadb.password: ", "google.credentials: ", "dns.ovh.application_key: ", "dns.ovh.consumer_key: "} {
		if exit != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("exit %d, and %q is not in %s", exit, want, errs)
		}
	}
	if n := strings.Count(errs, "problems:"); n != 1 {
		t.Errorf("%d lists in %s", n, errs)
	}
}

// What a run was told when it was opened, it need not be told again.
func TestTakenUpWithItsArguments(t *testing.T) {
	dir := configured(t)
	const id, reused = "20261123-010203-7f3a", "20261122-010203-7f3a"
	opened(t, dir, id, reused, func(o *migrate.Options) { o.Arguments = []migrate.Argument{{Name: argSnapshot, Value: reused}} })
	exit, out, errs := slipway(t, dir, "rollback", id)
	if exit != exitDone || !strings.Contains(out, "rolled back") {
		t.Errorf("exit %d: %s%s", exit, out, errs)
	}
}

// A program or a configuration that is not what opened the run is refused with what differs and what to type; that typed, with a
// reason, is on record.
func TestAcceptAnotherProgram(t *testing.T) {
	dir := configured(t)
	const id = "20261123-010203-7f3a"
	text, err := os.ReadFile(filepath.Join(dir, "slipway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	const steps = "\nsteps:\n  - {id: mails, phase: flip, host: web1, read-only: true, run: [mailq]}\n" +
		"  - {id: here, phase: open, local: true, read-only: true, run: [\"true\"]}\n" +
		"  - {id: pod, phase: open, pod: {label: app=web}, check: [\"true\"], run: [\"true\"], undo: [\"true\"]}\n"
	configure := func(more string) {
		if err := os.WriteFile(filepath.Join(dir, "slipway.yaml"), append(bytes.Clone(text), more...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure(steps)
	d := opened(t, dir, id, "", func(o *migrate.Options) { o.Tool = "slipway of yesterday" })
	before, err := os.ReadFile(filepath.Join(d.Path(), journal.Name))
	if err != nil {
		t.Fatal(err)
	}
	configure(strings.Replace(steps, "[mailq]", "[mailq, -v]", 1))
	for _, verb := range []string{"resume", "rollback"} {
		exit, _, errs := slipway(t, dir, verb, id)
		for _, want := range []string{"not what the run was opened with", "program: was slipway of yesterday, is slipway", "configuration: steps.mails has changed",
			"slipway " + verb + " " + id + " --accept REASON"} {
			if exit != exitUsage || !strings.Contains(errs, want) {
				t.Errorf("%s: exit %d, and %q is not in %s", verb, exit, want, errs)
			}
		}
	}
	configure("") // one step less
	if exit, _, errs := slipway(t, dir, "rollback", id); exit != exitUsage || !strings.Contains(errs, "step own.mails: is gone") || !strings.Contains(errs, "configuration: steps.mails is gone") {
		t.Errorf("exit %d: %s", exit, errs)
	}
	if now, err := os.ReadFile(filepath.Join(d.Path(), journal.Name)); err != nil || !bytes.Equal(now, before) {
		t.Errorf("a refused run was written to: %v", err)
	}
	exit, out, errs := slipway(t, dir, "rollback", id, "--accept", "we don't count mails")
	if exit != exitDone || !strings.Contains(out, "rolled back") {
		t.Errorf("exit %d: %s%s", exit, out, errs)
	}
	_, show, _ := slipway(t, dir, "journal", "show", id)
	if !strings.Contains(show, "we don't count mails") || !strings.Contains(show, "step own.mails: is gone") {
		t.Errorf("the journal says %s", show)
	}
}
