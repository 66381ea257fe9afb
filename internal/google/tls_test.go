package google

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// authority is a certificate authority for one test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{t, cert, key}
}

func (a authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

func (a authority) issue(cn string, ends time.Time, names ...string) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: cn}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: ends,
		DNSNames: names, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func otherCA(t *testing.T) string { return newAuthority(t).pem() }

func handshake(t *testing.T, server tls.Certificate, client *tls.Config) error {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{server}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_ = c.(*tls.Conn).Handshake()
			_ = c.Close()
		}
	}()
	c, err := net.DialTimeout("tcp", l.Addr().String(), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	return tls.Client(c, client).Handshake()
}

func TestInstanceTLS(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	later, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	byCN := Instance{Project: "p", Name: "i", CA: ca.pem()}
	byName := Instance{Project: "p", Name: "i", CA: ca.pem(), DNSName: "abc.europe-west1.sql.goog"}
	for name, c := range map[string]struct {
		inst   Instance
		server tls.Certificate
		ok     bool
	}{
		"common name":         {byCN, ca.issue("p:i", later), true},
		"another instance":    {byCN, ca.issue("p:j", later), false},
		"another authority":   {byCN, other.issue("p:i", later), false},
		"expired":             {byCN, ca.issue("p:i", past), false},
		"DNS name":            {byName, ca.issue("", later, "abc.europe-west1.sql.goog"), true},
		"another DNS name":    {byName, ca.issue("p:i", later, "xyz.europe-west1.sql.goog"), false},
		"DNS name, other CA":  {byName, other.issue("", later, "abc.europe-west1.sql.goog"), false},
		"common name, no SAN": {byName, ca.issue("p:i", later), false},
	} {
		conf, err := c.inst.TLS()
		if err != nil {
			t.Fatal(err)
		}
		if err := handshake(t, c.server, conf); (err == nil) != c.ok {
			t.Errorf("%s: %v, want ok %v", name, err, c.ok)
		}
	}
	if _, err := (Instance{Name: "i"}).TLS(); err == nil {
		t.Error("an instance without an authority has a TLS configuration")
	}
}
