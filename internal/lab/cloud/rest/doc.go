// Package rest is the common ground of the lab's Google APIs: routing by
// method and path, authentication, strict decoding of requests, and errors in
// the JSON that Google answers.
//
// What it is for: an API of the lab lists its methods as Routes; whatever is
// not listed is answered 404 or 501 and never 200. Nothing here knows a single
// API; it imports no other package of the lab.
//
// Sources of the formats: exchanges recorded against the real APIs (the tests
// of the API packages read them), the discovery documents that come with
// google.golang.org/api, and the AIP-193 error model.
package rest
