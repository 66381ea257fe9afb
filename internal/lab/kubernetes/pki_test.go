package kubernetes

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"testing"
	"time"
)

func TestAuthorityIssues(t *testing.T) {
	ca, err := newAuthority("one")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddr("10.77.2.1")
	server, err := ca.server("kube-apiserver", []string{"kubernetes"}, addr)
	if err != nil {
		t.Fatal(err)
	}
	client, err := ca.client("system:node:k1-node1", "system:nodes")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca.pem) {
		t.Fatal("the authority's PEM is none")
	}
	leaf := func(p pair) *x509.Certificate {
		c, err := tls.X509KeyPair(p.Cert, p.Key)
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf
	}
	check := func(p pair, usage x509.ExtKeyUsage, name string) error {
		_, err := leaf(p).Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}, DNSName: name})
		return err
	}
	if err := check(server, x509.ExtKeyUsageServerAuth, "10.77.2.1"); err != nil {
		t.Errorf("server by address: %v", err)
	}
	if err := check(server, x509.ExtKeyUsageServerAuth, "kubernetes"); err != nil {
		t.Errorf("server by name: %v", err)
	}
	if err := check(server, x509.ExtKeyUsageServerAuth, "10.77.2.17"); err == nil {
		t.Error("server by another cluster's address is accepted")
	}
	if err := check(server, x509.ExtKeyUsageClientAuth, ""); err == nil {
		t.Error("a server's certificate is accepted as a client's")
	}
	if err := check(client, x509.ExtKeyUsageClientAuth, ""); err != nil {
		t.Errorf("client: %v", err)
	}
	if c := leaf(client); c.Subject.CommonName != "system:node:k1-node1" || len(c.Subject.Organization) != 1 || c.Subject.Organization[0] != "system:nodes" {
		t.Errorf("client's subject: %v", c.Subject)
	}
	if left := time.Until(leaf(client).NotAfter); left < 24*time.Hour {
		t.Errorf("valid for %v", left)
	}
}
