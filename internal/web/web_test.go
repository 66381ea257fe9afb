package web_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/web"
)

func site(t *testing.T, h http.HandlerFunc) (address string, c web.Client, base string) {
	t.Helper()
	srv := httptest.NewTLSServer(h) // its certificate is for example.com and 127.0.0.1
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Hostname(), web.Client{Roots: roots, UserAgent: "slipway-test"}, "https://example.com:" + u.Port()
}

func parse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestFetch(t *testing.T) {
	address, c, base := site(t, func(w http.ResponseWriter, r *http.Request) {
		if r.TLS.ServerName != "example.com" || !strings.HasPrefix(r.Host, "example.com") || r.UserAgent() != "slipway-test" {
			t.Errorf("server name %q, host %q, agent %q", r.TLS.ServerName, r.Host, r.UserAgent())
		}
		k, err := r.Cookie("sid")
		if err != nil || k.Value != "s1" || r.FormValue("q") != "a&b" || r.Method != "POST" {
			t.Errorf("%v %v %s %s", k, err, r.FormValue("q"), r.Method)
		}
		http.Redirect(w, r, "/there", http.StatusSeeOther)
	})
	res, err := c.Fetch(context.Background(), address, web.Request{Method: "POST", URL: parse(t, base+"/x"), Form: url.Values{"q": {"a&b"}}, Cookies: []*http.Cookie{{Name: "sid", Value: "s1"}}})
	if err != nil || res.Status != 303 || res.Header.Get("Location") != "/there" || res.Took <= 0 {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestRefusals(t *testing.T) {
	address, c, base := site(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			time.Sleep(300 * time.Millisecond)
		case "/long":
			for range web.MaxBody/1024 + 2 {
				fmt.Fprint(w, strings.Repeat("x", 1024))
			}
		}
	})
	get := func(c web.Client, u string) error {
		_, err := c.Fetch(context.Background(), address, web.Request{Method: "GET", URL: parse(t, u)})
		return err
	}
	if err := get(c, base+"/"); err != nil {
		t.Error(err)
	}
	if err := get(c, strings.Replace(base, "example.com", "another.example", 1)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate for another name: %v", err)
	}
	if err := get(web.Client{}, base+"/"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
	if err := get(c, strings.Replace(base, "https", "http", 1)); err == nil {
		t.Error("plain HTTP")
	}
	c.Timeout = 50 * time.Millisecond
	if err := get(c, base+"/slow"); err == nil || !strings.Contains(err.Error(), "no answer within 50ms") {
		t.Errorf("slow: %v", err)
	}
	c.Timeout = 20 * time.Second
	if err := get(c, base+"/long"); !errors.Is(err, web.ErrTooLong) {
		t.Errorf("long: %v", err)
	}
}
