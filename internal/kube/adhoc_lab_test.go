//go:build lab

package kube

import (
	"bytes"
	"os"
	"testing"
	"time"
)

func TestLabAdhoc(t *testing.T) {
	ns, m := space(t)
	if err := m.ApplyPod(t.Context(), tools(ns, "p"), say(t)); err != nil {
		t.Fatal(err)
	}
	p, _, _ := lab.View().pod(t.Context(), ns, "p")
	_ = os.WriteFile("/var/tmp/target-adhoc", []byte(p.Spec.NodeName), 0o644)
	for _, c := range []string{"ws"} {
		var out bytes.Buffer
		began := time.Now()
		err := lab.Exec(t.Context(), ExecRequest{Namespace: ns, Pod: "p", Command: []string{"/bin/sh", "-c", "echo begin; sleep 25; echo end"}, Stdout: &out})
		t.Logf("%s: %q %v after %s", c, out.String(), err, time.Since(began))
	}
	time.Sleep(20 * time.Second)
}
