// Package oauth is the lab's token endpoint for service-account keys, and the
// lab's part of IAM: service accounts, their keys, the roles they hold, and the
// access tokens they got. Signatures, audiences, lifetimes and scopes are
// checked for real; what does not pass gets no token.
//
// It must not import any API of the lab: those ask it through
// rest.Authenticator.
//
// Sources: RFC 7523; Google's "Using OAuth 2.0 for Server to Server
// Applications" (claims, one hour at most, error names); the roles' permissions
// follow Google's IAM reference, cut to the permissions that are asked for.
package oauth
