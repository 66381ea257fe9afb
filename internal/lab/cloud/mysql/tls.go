package mysql

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/sqladmin"
)

// certificates are an instance's own CA and the server certificate under it.
type certificates struct {
	caPEM, certPEM, keyPEM []byte
	ca                     *x509.Certificate
	dnsName                string
}

// casCA is the CA mode in which the server's certificate carries a DNS name.
const casCA = "GOOGLE_MANAGED_CAS_CA"

// lifetimes as Cloud SQL's: ten years for the CA of an instance.
const lifetime = 10 * 365 * 24 * time.Hour

// newCertificates makes a CA and a server certificate. As at Cloud SQL the
// certificate of an instance in the mode GOOGLE_MANAGED_INTERNAL_CA has
// "project:instance" as common name and no DNS name, which clients must check
// for themselves; that of GOOGLE_MANAGED_CAS_CA has the instance's DNS name.
func newCertificates(instance string, c sqladmin.Config, now time.Time) (*certificates, error) {
	qualifier := make([]byte, 16)
	if _, err := rand.Read(qualifier); err != nil {
		return nil, err
	}
	h := hex.EncodeToString(qualifier)
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("CA key: %w", err)
	}
	// The serial number is 0 in what Cloud SQL shows; x509 wants a positive one in
	// the certificate.
	caTemplate := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject: pkix.Name{
			Country: []string{"US"}, Organization: []string{"Google, Inc"}, CommonName: "Google Cloud SQL Server CA",
			ExtraNames: []pkix.AttributeTypeAndValue{{Type: []int{2, 5, 4, 46}, Value: h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]}},
		},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(lifetime),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, caTemplate, caTemplate, &caKey.PublicKey, caKey)
	if err != nil {
		return nil, fmt.Errorf("CA certificate: %w", err)
	}
	ca, err := x509.ParseCertificate(caDER)
	if err != nil {
		return nil, err
	}
	out := &certificates{ca: ca, caPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("server key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(qualifier[:8]),
		Subject:      pkix.Name{Country: []string{"US"}, Organization: []string{"Google, Inc"}, CommonName: c.Project + ":" + instance},
		NotBefore:    now.Add(-time.Minute), NotAfter: now.Add(lifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if c.CAMode == casCA {
		out.dnsName = h[:12] + "." + h[20:] + "." + c.Region + ".sql.goog"
		template.DNSNames = []string{out.dnsName}
		out.dnsName += "."
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, &key.PublicKey, caKey)
	if err != nil {
		return nil, fmt.Errorf("server certificate: %w", err)
	}
	out.certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	out.keyPEM = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	return out, nil
}

// identity is what the API shows of the CA.
func (c *certificates) identity() sqladmin.Identity {
	sum := sha1.Sum(c.ca.Raw)
	qualifier := ""
	for _, n := range c.ca.Subject.Names {
		if n.Type.Equal([]int{2, 5, 4, 46}) {
			qualifier, _ = n.Value.(string)
		}
	}
	return sqladmin.Identity{
		CACert: string(bytes.TrimSpace(c.caPEM)), CACommonName: `C=US,O=Google\, Inc,CN=Google Cloud SQL Server CA,dnQualifier=` + qualifier,
		CASerial: "0", CANotBefore: c.ca.NotBefore, CANotAfter: c.ca.NotAfter, CASHA1: hex.EncodeToString(sum[:]), DNSName: c.dnsName,
	}
}
