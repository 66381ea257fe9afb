package oauth

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// claims of a JWT bearer assertion.
type claims struct {
	Issuer   string `json:"iss"`
	Scope    string `json:"scope"`
	Audience string `json:"aud"`
	IssuedAt int64  `json:"iat"` // seconds since 1970
	Expires  int64  `json:"exp"` // seconds since 1970
	Subject  string `json:"sub"`
}

type jwtHeader struct {
	Algorithm string `json:"alg"`
	Type      string `json:"typ"`
	KeyID     string `json:"kid"`
}

// assertion is a JWT taken apart; nothing in it is believed before verify.
type assertion struct {
	header    jwtHeader
	claims    claims
	signed    []byte
	signature []byte
}

func parseAssertion(text string) (assertion, *grantError) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return assertion{}, invalidGrant("Bad Request")
	}
	var a assertion
	if !unpack(parts[0], &a.header) || !unpack(parts[1], &a.claims) {
		return assertion{}, invalidGrant("Bad Request")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return assertion{}, invalidGrant("Bad Request")
	}
	a.signed, a.signature = []byte(parts[0]+"."+parts[1]), signature
	return a, nil
}

// unpack decodes one part of a JWT. Claims that are not known are allowed, as
// at Google: clients send more than is needed.
func unpack(part string, into any) bool {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.NewDecoder(bytes.NewReader(raw)).Decode(into) == nil
}

// maxLifetime is the longest that Google takes an assertion for; skew is what it
// forgives between two clocks.
const (
	maxLifetime = time.Hour
	skew        = 5 * time.Minute
)

func (a assertion) verify(signer *account, audience string, now time.Time) *grantError {
	if a.header.Algorithm != "RS256" || a.header.KeyID != "" && a.header.KeyID != signer.keyID {
		return invalidGrant("Invalid JWT Signature.")
	}
	digest := sha256.Sum256(a.signed)
	if err := rsa.VerifyPKCS1v15(signer.key, crypto.SHA256, digest[:], a.signature); err != nil {
		return invalidGrant("Invalid JWT Signature.")
	}
	if a.claims.Audience != audience {
		return invalidGrant("Invalid JWT: Failed audience check.")
	}
	issued, expires := time.Unix(a.claims.IssuedAt, 0), time.Unix(a.claims.Expires, 0)
	if issued.After(now.Add(skew)) || !expires.After(now.Add(-skew)) || expires.Sub(issued) > maxLifetime || !expires.After(issued) {
		return invalidGrant("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.")
	}
	if a.claims.Subject != "" && a.claims.Subject != a.claims.Issuer {
		return &grantError{Code: 401, Name: "unauthorized_client", Description: "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested."}
	}
	return nil
}
