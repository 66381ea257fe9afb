//go:build lab

package shop_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/slipway-dev/slipway/internal/lab/fleet"
	"github.com/slipway-dev/slipway/internal/lab/place"
	"github.com/slipway-dev/slipway/internal/lab/shop"
)

// The shopper, which may run beside, leaves customer 1 alone; the other only logs in here.
const (
	buyer   = 1
	another = 2
)

// ways are how the tests reach the shop: as everybody does, and each kind of web host by itself.
var ways = []struct{ name, base, php string }{
	{"public", "https://www.shop.example", ""},
	{"web1", "http://10.77.0.31", "8.2"},
	{"web5", "http://10.77.0.35", "7.4"},
}

func access(t *testing.T) (place.Place, fleet.Secrets) {
	t.Helper()
	p, err := place.FromEnv()
	if err != nil {
		t.Fatal(err)
	}
	s, err := fleet.LoadAccess(p.Access())
	if err != nil {
		t.Fatalf("the lab isn't up: %v", err)
	}
	return p, s
}

func database(t *testing.T) *sql.DB {
	t.Helper()
	_, s := access(t)
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.DBName, c.InterpolateParams = "tcp", "10.77.0.51:3306", "lab", s.LabPassword, "shop", true
	connector, err := mysql.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

// A visitor is a browser of its own.
type visitor struct {
	t      *testing.T
	base   string
	client *http.Client
}

func newVisitor(t *testing.T, base string) *visitor {
	t.Helper()
	p, _ := access(t)
	pem, err := os.ReadFile(filepath.Join(p.Access(), fleet.AuthorityFile))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("the lab's authority has no certificate")
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &visitor{t, base, &http.Client{Transport: transport, Jar: jar, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// do sends a request and returns the answer and its body; it fails the test on any other status.
func (v *visitor) do(status int, method, path string, form url.Values, header ...string) (*http.Response, string) {
	v.t.Helper()
	req, err := http.NewRequest(method, v.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	if resp.StatusCode != status {
		v.t.Fatalf("%s %s answered %d, want %d:\n%.500s", method, path, resp.StatusCode, status, body)
	}
	return resp, string(body)
}

var hidden = regexp.MustCompile(`<input type="hidden" name="(\w+)" value="([^"]*)">`)

// form gets a page and returns its hidden fields, and more that are given in pairs.
func (v *visitor) form(path string, more ...string) url.Values {
	v.t.Helper()
	_, body := v.do(200, "GET", path, nil)
	f := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(body, -1) {
		if !f.Has(m[1]) {
			f.Set(m[1], html.UnescapeString(m[2]))
		}
	}
	for i := 0; i < len(more); i += 2 {
		f.Set(more[i], more[i+1])
	}
	return f
}

func (v *visitor) login(customer int) {
	v.t.Helper()
	v.do(303, "POST", "/login", v.form("/login", "email", shop.Email(customer), "password", shop.Password))
}

func TestLabEveryPartAnswers(t *testing.T) {
	for _, w := range ways {
		_, body := newVisitor(t, w.base).do(200, "GET", "/health/full", nil)
		var got struct{ Database, Cache, Sessions, Queue, Assets, PHP, Host string }
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(got.PHP, w.php) || w.php != "" && got.Host != w.name {
			t.Errorf("%s is %s with PHP %s", w.name, got.Host, got.PHP)
		}
	}
}

func TestLabEdge(t *testing.T) {
	v := newVisitor(t, "https://www.shop.example")
	plain := newVisitor(t, "http://www.shop.example")
	resp, _ := plain.do(301, "GET", "/product/1", nil)
	if to := resp.Header.Get("Location"); to != "https://www.shop.example/product/1" {
		t.Errorf("plain HTTP goes to %s", to)
	}
	resp, page := v.do(200, "GET", "/product/1", nil)
	if c := resp.Header.Get("Set-Cookie"); !strings.Contains(strings.ToLower(c), "secure") || !strings.Contains(strings.ToLower(c), "httponly") {
		t.Errorf("the session's cookie is %q", c)
	}
	picture := regexp.MustCompile(`<img class="picture" src="([^"]+)"`).FindStringSubmatch(page)
	if picture == nil {
		t.Fatal("product 1 has no picture")
	}
	for range 2 {
		resp, _ = v.do(200, "GET", html.UnescapeString(picture[1]), nil)
	}
	if resp.Header.Get("X-Cache") != "hit" || resp.Header.Get("Content-Type") != "image/png" {
		t.Errorf("the picture came as %s, cache %s", resp.Header.Get("Content-Type"), resp.Header.Get("X-Cache"))
	}
	for _, name := range []string{"Zomer%20actie%202025%20(kopie).png", "%C3%9Cberraschung%20%E2%98%80%EF%B8%8F.png", "caf%E9.png", "100%25%20katoen%20&%20wol.png"} {
		v.do(200, "GET", "/assets/campaigns/summer%20&%20co/"+name, nil)
	}
	v.do(404, "GET", "/assets/campaigns/none.png", nil)
	v.do(403, "GET", "/assets/campaigns/dangling.png", nil) // so Apache says of a link that it can't follow
	v.do(403, "GET", "/assets/campaigns/", nil)             // no listing
	if resp, _ := v.do(200, "GET", "/cart", nil); resp.Header.Get("X-Cache") == "hit" {
		t.Error("a visitor was given another's cart")
	}
}

func TestLabBelievesTheEdgeAboutAddresses(t *testing.T) {
	db := database(t)
	agent := fmt.Sprintf("lab test %d", time.Now().UnixNano())
	newVisitor(t, "https://www.shop.example").do(200, "GET", "/product/1", nil, "X-Forwarded-For", "203.0.113.9", "User-Agent", agent)
	var raw []byte
	if err := db.QueryRow("SELECT address FROM session_log WHERE user_agent = ?", agent).Scan(&raw); err != nil {
		t.Fatal(err)
	}
	if got := net.IP(raw).String(); got != "10.77.0.1" {
		t.Errorf("a visitor from 10.77.0.1 who claims to be 203.0.113.9 is logged as %s", got)
	}
}

func TestLabOrders(t *testing.T) {
	db := database(t)
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			v := newVisitor(t, w.base)
			cart := v.form("/product/1", "quantity", "2")
			v.do(403, "POST", "/cart", url.Values{"csrf": {"0"}, "product": {"1"}, "quantity": {"2"}}) // a forged form
			v.do(303, "POST", "/cart", cart)
			v.do(401, "POST", "/login", v.form("/login", "email", shop.Email(buyer), "password", "wrong"))
			v.do(401, "GET", "/order", nil)
			v.login(buyer)
			_, page := v.do(200, "GET", "/cart", nil) // a GET that writes: merges the carts
			if !strings.Contains(page, `name="remove" value="1"`) {
				t.Fatal("what was in the cart before the login isn't in it after")
			}
			order := v.form("/order", "method", "ideal", "note", "café ☕")
			first, _ := v.do(303, "POST", "/order", order)
			again, _ := v.do(303, "POST", "/order", order)
			number := first.Header.Get("X-Order-Number")
			if number == "" || again.Header.Get("X-Order-Number") != number {
				t.Fatalf("the same wish gave orders %q and %q", number, again.Header.Get("X-Order-Number"))
			}
			v.do(409, "POST", "/order", url.Values{"csrf": order["csrf"], "method": {"card"}, "token": {strings.Repeat("0", 32)}}) // nothing is left in the cart
			_, page = v.do(200, "GET", first.Header.Get("Location"), nil)
			if !strings.Contains(page, first.Header.Get("X-Order-Checksum")) {
				t.Error("the order's page doesn't show its checksum")
			}
			stranger := newVisitor(t, w.base)
			stranger.login(another)
			stranger.do(404, "GET", "/order/"+number, nil)
			token, err := hex.DecodeString(order.Get("token"))
			if err != nil {
				t.Fatal(err)
			}
			var count int
			if err := db.QueryRow("SELECT COUNT(*) FROM orders WHERE token = ?", token).Scan(&count); err != nil || count != 1 {
				t.Errorf("%d orders for one wish, %v", count, err)
			}
			eventually(t, 60*time.Second, "the worker confirms "+number, func() bool {
				var mails, confirmed int
				err := db.QueryRow("SELECT (SELECT COUNT(*) FROM mails WHERE order_number = ?), confirmed_at IS NOT NULL FROM orders WHERE number = ?", number, number).Scan(&mails, &confirmed)
				return err == nil && mails == 1 && confirmed == 1
			})
		})
	}
}

func TestLabThumbnail(t *testing.T) {
	db := database(t)
	var id int
	if err := db.QueryRow("SELECT id FROM products WHERE thumbnail IS NULL AND image_path LIKE 'catalogue/%' AND state = 'active' ORDER BY id DESC LIMIT 1").Scan(&id); err != nil {
		t.Fatal(err)
	}
	v := newVisitor(t, "https://www.shop.example")
	v.do(200, "GET", fmt.Sprintf("/product/%d", id), nil) // a GET that writes: orders the thumbnail
	eventually(t, 60*time.Second, fmt.Sprintf("the worker makes the thumbnail of product %d", id), func() bool {
		var there bool
		err := db.QueryRow("SELECT thumbnail IS NOT NULL FROM products WHERE id = ?", id).Scan(&there)
		return err == nil && there
	})
	v.do(200, "GET", fmt.Sprintf("/assets/thumbs/%02x/%d.png", id%256, id), nil)
}

func TestLabCron(t *testing.T) {
	db := database(t)
	id := make([]byte, 16)
	copy(id, fmt.Sprintf("%016x", time.Now().UnixNano()))
	if _, err := db.Exec("INSERT INTO carts (id, expires_at) VALUES (?, '2026-01-01')", id); err != nil {
		t.Fatal(err)
	}
	eventually(t, 150*time.Second, "the cron job deletes an expired cart", func() bool {
		var n int
		err := db.QueryRow("SELECT COUNT(*) FROM carts WHERE id = ?", id).Scan(&n)
		return err == nil && n == 0
	})
}

func eventually(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited %s in vain: %s", limit, what)
		case <-time.After(300 * time.Millisecond):
		}
	}
}
