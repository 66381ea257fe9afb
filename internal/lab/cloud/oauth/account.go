package oauth

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
)

// account is a service account with its one key.
type account struct {
	email       string
	keyID       string
	key         *rsa.PublicKey
	roles       []string
	permissions []string
}

// keyFile is a service-account key as Google's console hands it out.
type keyFile struct {
	Type                    string `json:"type"`
	ProjectID               string `json:"project_id"`
	PrivateKeyID            string `json:"private_key_id"`
	PrivateKey              string `json:"private_key"`
	ClientEmail             string `json:"client_email"`
	ClientID                string `json:"client_id"`
	AuthURI                 string `json:"auth_uri"`
	TokenURI                string `json:"token_uri"`
	AuthProviderX509CertURL string `json:"auth_provider_x509_cert_url"`
	ClientX509CertURL       string `json:"client_x509_cert_url"`
	UniverseDomain          string `json:"universe_domain"`
}

// CreateAccount makes the service account id@project with the given roles and
// returns its key file, which holds the only copy of the private key.
func (s *Server) CreateAccount(id string, roles ...string) ([]byte, error) {
	permissions, err := permissionsOf(roles)
	if err != nil {
		return nil, fmt.Errorf("service account %s: %w", id, err)
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("service account %s: key: %w", id, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("service account %s: key: %w", id, err)
	}
	keyID, err := randomHex(20)
	if err != nil {
		return nil, err
	}
	clientID, err := rand.Int(rand.Reader, new(big.Int).Exp(big.NewInt(10), big.NewInt(21), nil))
	if err != nil {
		return nil, fmt.Errorf("client id: %w", err)
	}
	email := id + "@" + s.project + ".iam.gserviceaccount.com"

	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.accounts[email]; ok {
		return nil, fmt.Errorf("service account %s exists", email)
	}
	s.accounts[email] = &account{email: email, keyID: keyID, key: &private.PublicKey, roles: roles, permissions: permissions}
	return json.MarshalIndent(keyFile{
		Type: "service_account", ProjectID: s.project, PrivateKeyID: keyID,
		PrivateKey:              string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		ClientEmail:             email,
		ClientID:                fmt.Sprintf("%021d", clientID),
		AuthURI:                 "https://accounts.google.com/o/oauth2/auth",
		TokenURI:                s.tokenURI,
		AuthProviderX509CertURL: "https://www.googleapis.com/oauth2/v1/certs",
		ClientX509CertURL:       "https://www.googleapis.com/robot/v1/metadata/x509/" + url.PathEscape(email),
		UniverseDomain:          "googleapis.com",
	}, "", "  ")
}

// SetRoles changes what a service account may do from its next request on.
func (s *Server) SetRoles(id string, roles ...string) error {
	permissions, err := permissionsOf(roles)
	if err != nil {
		return fmt.Errorf("service account %s: %w", id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.accounts[id+"@"+s.project+".iam.gserviceaccount.com"]
	if !ok {
		return fmt.Errorf("service account %s: there is none", id)
	}
	a.roles, a.permissions = roles, permissions
	return nil
}

func randomHex(n int) (string, error) {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("random bytes: %w", err)
	}
	return hex.EncodeToString(b), nil
}
