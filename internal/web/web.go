// Package web makes single HTTPS requests to an address under a host name that need not point there yet: the way to look at a site before
// its names are flipped. It imports nothing of the project.
package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// MaxBody bounds what is read of an answer, in bytes. A longer one is an error.
const MaxBody = 32 << 20

// ErrTooLong: an answer is longer than MaxBody.
var ErrTooLong = errors.New("the answer is too long")

// Request is one request. Its URL's host is the public name.
type Request struct {
	Method  string
	URL     *url.URL
	Form    url.Values // sent as application/x-www-form-urlencoded where the method has a body
	Cookies []*http.Cookie
}

// Response is its answer, whole. Redirects are answers like any other.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
	Took   time.Duration
}

// Client makes requests.
type Client struct {
	Roots     *x509.CertPool // nil: the system's
	UserAgent string
	Timeout   time.Duration // of one request; 0: 30 s
}

// Fetch makes one request to an address: the TLS server name, the certificate that is checked and the Host header are the URL's.
func (c Client) Fetch(ctx context.Context, address string, r Request) (Response, error) {
	if r.URL.Scheme != "https" {
		return Response{}, fmt.Errorf("%s: not https", r.URL)
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %s", timeout))
	defer cancel()
	port := r.URL.Port()
	if port == "" {
		port = "443"
	}
	tr := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: c.Roots, ServerName: r.URL.Hostname(), MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(address, port))
		},
	}
	defer tr.CloseIdleConnections()
	var body io.Reader
	if len(r.Form) > 0 {
		body = strings.NewReader(r.Form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL.String(), body)
	if err != nil {
		return Response{}, err
	}
	req.Header.Set("User-Agent", c.UserAgent)
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, k := range r.Cookies {
		req.AddCookie(k)
	}
	began := time.Now()
	res, err := tr.RoundTrip(req)
	if err != nil {
		return Response{}, fmt.Errorf("%s %s at %s: %w", r.Method, r.URL, address, because(ctx, err))
	}
	defer res.Body.Close()
	var buf bytes.Buffer
	if _, err := io.Copy(&buf, io.LimitReader(res.Body, MaxBody+1)); err != nil {
		return Response{}, fmt.Errorf("%s %s at %s: %w", r.Method, r.URL, address, because(ctx, err))
	}
	if buf.Len() > MaxBody {
		return Response{}, fmt.Errorf("%s %s at %s: %w: more than %d bytes", r.Method, r.URL, address, ErrTooLong, MaxBody)
	}
	return Response{res.StatusCode, res.Header, buf.Bytes(), time.Since(began)}, nil
}

func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
