package google

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// errAnotherServer: the certificate is good and names somebody else. Asking again doesn't help.
var errAnotherServer = errors.New("another server")

// TLS is how a client proves that it speaks with this instance. Where the certificate names the instance (a CA mode with DNS names), the
// name is checked. With Google's default mode there is one authority per instance and no DNS name: then the chain is checked and that
// the certificate's common name is "project:instance", as Google's own connectors do
// (https://cloud.google.com/sql/docs/mysql/configure-ssl-instance).
func (i Instance) TLS() (*tls.Config, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(i.CA)) {
		return nil, fmt.Errorf("instance %s: Google names no certificate authority for it", i.Name)
	}
	conf := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if i.DNSName != "" {
		conf.ServerName = i.DNSName
		return conf, nil
	}
	want := i.Project + ":" + i.Name
	conf.InsecureSkipVerify = true // there is no name to check; VerifyConnection checks chain, dates and common name instead
	conf.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("the server shows no certificate")
		}
		leaf := s.PeerCertificates[0]
		between := x509.NewCertPool()
		for _, c := range s.PeerCertificates[1:] {
			between.AddCert(c)
		}
		opts := x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: time.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		if _, err := leaf.Verify(opts); err != nil {
			return fmt.Errorf("the server at instance %s's address: %w", i.Name, err)
		}
		if leaf.Subject.CommonName != want {
			return fmt.Errorf("the server at instance %s's address is %q, not %q: %w", i.Name, leaf.Subject.CommonName, want, errAnotherServer)
		}
		return nil
	}
	return conf, nil
}
