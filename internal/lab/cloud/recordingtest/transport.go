package recordingtest

import (
	"net/http"
	"net/http/httptest"
)

// Transport is an http.RoundTripper that hands requests to a handler within the
// process, so that the real client libraries can be pointed at an API without a
// network (and within a synctest bubble).
type Transport struct {
	Handler http.Handler
	Token   string // sent as bearer token if not empty
}

// RoundTrip implements http.RoundTripper.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	if t.Token != "" {
		in.Header.Set("Authorization", "Bearer "+t.Token)
	}
	w := httptest.NewRecorder()
	t.Handler.ServeHTTP(w, in)
	answer := w.Result()
	answer.Request = r
	return answer, nil
}
