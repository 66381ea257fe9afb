package shopper

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/shop"
)

// pages are the requests of a visit, in its order.
var pages = []string{"front", "category", "product", "image", "add", "cart", "login page", "login", "checkout", "order", "confirmation"}

var (
	productLink = regexp.MustCompile(`href="/product/(\d+)"`)
	pictureLink = regexp.MustCompile(`src="(/assets/[^"]+)"`)
	hiddenField = regexp.MustCompile(`<input type="hidden" name="(\w+)" value="([^"]*)">`)
	checksum    = regexp.MustCompile(`<code class="checksum">([0-9a-f]{64})</code>`)
)

// errNotSent marks a request of which not a byte of the headers left: the shop can't have acted on it.
var errNotSent = errors.New("it was not sent")

// A visit is one customer's time in the shop: connections, cookies and cart of their own.
type visit struct {
	s        *shopper
	client   *http.Client
	customer int
	close    func()
}

func (s *shopper) newVisit(customer int) (*visit, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("make a cookie jar: %w", err)
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			conn, addr, err := s.resolver.connect(ctx, host, port)
			if err == nil {
				s.rec.reached(addr, time.Now())
			}
			return conn, err
		},
		TLSClientConfig:     &tls.Config{RootCAs: s.cfg.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConns:        2,
	}
	return &visit{s: s, customer: customer, close: transport.CloseIdleConnections, client: &http.Client{
		Transport: transport, Jar: jar, Timeout: s.cfg.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// browse looks at some pages as a visitor who buys nothing. An error ends a visit; it was counted where it arose.
func (v *visit) browse(ctx context.Context, r *rand.Rand) (string, error) {
	if _, err := v.get(ctx, "front", "/"); err != nil {
		return "", err
	}
	page, err := v.get(ctx, "category", fmt.Sprintf("/category/%d", 1+r.IntN(categories)))
	if err != nil {
		return "", err
	}
	product := "1"
	if found := productLink.FindAllStringSubmatch(page, -1); len(found) > 0 {
		product = found[r.IntN(len(found))][1]
	}
	page, err = v.get(ctx, "product", "/product/"+product)
	if err != nil {
		return "", err
	}
	if picture := pictureLink.FindStringSubmatch(page); picture != nil {
		if _, err := v.get(ctx, "image", html.UnescapeString(picture[1])); err != nil {
			return "", err
		}
	}
	return page, nil
}

// categories is how many the shop has at least.
const categories = 12

// buy browses, puts one product into the cart, logs in and orders. Only an error of the ledger is returned: the
// shop's errors are counted and end the visit.
func (v *visit) buy(ctx context.Context, r *rand.Rand) error {
	page, err := v.browse(ctx, r)
	if err != nil {
		return nil
	}
	form := fields(page)
	form.Set("quantity", strconv.Itoa(1+r.IntN(3)))
	if err := v.post(ctx, "add", "/cart", form); err != nil {
		return nil
	}
	if _, err := v.get(ctx, "cart", "/cart"); err != nil {
		return nil
	}
	page, err = v.get(ctx, "login page", "/login")
	if err != nil {
		return nil
	}
	form = fields(page)
	form.Set("email", shop.Email(v.customer))
	form.Set("password", shop.Password)
	if err := v.post(ctx, "login", "/login", form); err != nil {
		return nil
	}
	if _, err := v.get(ctx, "cart", "/cart"); err != nil { // merges the carts
		return nil
	}
	page, err = v.get(ctx, "checkout", "/order")
	if err != nil {
		return nil
	}
	form = fields(page)
	form.Set("method", "card")
	form.Set("note", "🛍️ from the lab")
	return v.order(ctx, form)
}

// order sends the order and enters what became of it into the ledger. Its error is the ledger's.
func (v *visit) order(ctx context.Context, form url.Values) error {
	e := Entry{Kind: Attempted, Time: time.Now().UTC(), Token: form.Get("token"), Customer: v.customer}
	if err := v.s.ledger.Append(e); err != nil {
		return err
	}
	began := time.Now()
	head, err := v.send(ctx, form)
	e.Time = time.Now().UTC()
	switch status := (statusError{}); {
	case err == nil:
		e.Kind, e.Number, e.Checksum, e.Total = Acknowledged, head.Get("X-Order-Number"), head.Get("X-Order-Checksum"), head.Get("X-Order-Total")
	case errors.Is(err, errNotSent), errors.As(err, &status) && status.code >= 400 && status.code < 500:
		e.Kind, e.Why = Refused, err.Error()
	default:
		e.Kind, e.Why = Unknown, err.Error()
	}
	if failed := v.s.ledger.Append(e); failed != nil {
		return failed
	}
	v.s.rec.request("order", time.Since(began), err)
	v.s.rec.change(func(s *Stats) {
		switch e.Kind {
		case Acknowledged:
			s.Acknowledged++
		case Refused:
			s.Refused++
		default:
			s.Unknown++
		}
	})
	if e.Kind != Acknowledged {
		return nil
	}
	v.confirm(ctx, e)
	return nil
}

// send posts the order and returns the answer's headers when it acknowledges.
func (v *visit) send(ctx context.Context, form url.Values) (http.Header, error) {
	sent := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaderField: func(string, []string) { sent = true }})
	_, head, err := v.do(ctx, http.MethodPost, "/order", form)
	if err != nil {
		if !sent {
			err = fmt.Errorf("%w: %w", errNotSent, err)
		}
		return nil, err
	}
	if head.Get("X-Order-Number") == "" || len(head.Get("X-Order-Checksum")) != 64 {
		return nil, errors.New("the answer has no order number and checksum")
	}
	return head, nil
}

// confirm looks whether the shop shows the order that it acknowledged.
func (v *visit) confirm(ctx context.Context, e Entry) {
	began := time.Now()
	page, _, err := v.do(ctx, http.MethodGet, "/order/"+e.Number, nil)
	if err == nil {
		if sum := checksum.FindStringSubmatch(page); sum == nil || sum[1] != e.Checksum {
			err = fmt.Errorf("order %s is shown with another checksum or none", e.Number)
		}
	}
	v.s.rec.request("confirmation", time.Since(began), err)
}

func (v *visit) get(ctx context.Context, name, path string) (string, error) {
	began := time.Now()
	body, _, err := v.do(ctx, http.MethodGet, path, nil)
	v.s.rec.request(name, time.Since(began), err)
	return body, err
}

func (v *visit) post(ctx context.Context, name, path string, form url.Values) error {
	began := time.Now()
	_, _, err := v.do(ctx, http.MethodPost, path, form)
	v.s.rec.request(name, time.Since(began), err)
	return err
}

// statusError is an answer that isn't the one that belongs to the request.
type statusError struct {
	code int
	path string
}

func (e statusError) Error() string { return fmt.Sprintf("%s answered %d", e.path, e.code) }

// do sends a request and reads the whole answer: 200 for GET, 303 for a form. Anything else is an error.
func (v *visit) do(ctx context.Context, method, path string, form url.Values) (string, http.Header, error) {
	want := http.StatusOK
	var body io.Reader
	if form != nil {
		want, body = http.StatusSeeOther, strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, v.s.cfg.URL+path, body)
	if err != nil {
		return "", nil, err
	}
	req.Header.Set("User-Agent", "slipway-lab-shopper")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := v.client.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", nil, fmt.Errorf("read the answer of %s: %w", path, err)
	}
	if resp.StatusCode != want {
		return "", nil, statusError{resp.StatusCode, path}
	}
	return string(data), resp.Header, nil
}

// fields are the hidden fields of a page's forms; the first of a name counts.
func fields(page string) url.Values {
	form := url.Values{}
	for _, f := range hiddenField.FindAllStringSubmatch(page, -1) {
		if !form.Has(f[1]) {
			form.Set(f[1], html.UnescapeString(f[2]))
		}
	}
	return form
}
