package shop

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A table is one table's seed: its columns, how many rows, and row i of them (from 0).
type table struct {
	name    string
	columns []string
	rows    int
	row     func(i int) []any
}

// epoch is the day on which the seeded history begins; it lasts history days.
var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

const history = 900

// at is a moment of the seeded history.
func at(r *rand.Rand) time.Time {
	return epoch.Add(time.Duration(r.Int64N(int64(history * 24 * time.Hour))))
}

func seconds(t time.Time) string { return t.Format("2006-01-02 15:04:05") }
func micros(t time.Time) string  { return t.Format("2006-01-02 15:04:05.000000") }
func cents(c int) string         { return fmt.Sprintf("%d.%02d", c/100, c%100) }

// maybe is v, or NULL in one of n cases.
func maybe(r *rand.Rand, n int, v any) any {
	if r.IntN(n) == 0 {
		return nil
	}
	return v
}

// tables are all tables in an order in which parents come before children. Together they have exactly s.Rows rows.
func (s Size) tables() []table {
	products, customers, orders := s.Products(), s.Customers(), s.Rows*3/25
	ts := []table{
		{"categories", []string{"id", "parent_id", "slug", "name", "position", "visible"}, 60, s.category},
		{"products", []string{"id", "sku", "category_id", "name", "description", "attributes", "price", "vat_rate", "weight_kg", "flags", "state", "image_path", "thumbnail", "created_at", "updated_at"}, products, s.product},
		{"stock", []string{"product_id", "warehouse", "quantity", "reserved", "shelf", "updated_at"}, 2 * products, s.stock},
		{"customers", []string{"id", "email", "password_hash", "name", "legacy_note", "born", "newsletter", "balance", "locale", "created_at", "last_login"}, customers, s.customer},
		{"addresses", []string{"customer_id", "kind", "seq", "street", "postcode", "city", "country", "latitude", "longitude"}, customers * 3 / 2, s.address},
		{"orders", []string{"id", "number", "token", "customer_id", "state", "currency", "total", "checksum", "note", "placed_at", "confirmed_at"}, orders, s.order},
		{"order_lines", []string{"order_id", "line_no", "product_id", "quantity", "unit_price"}, s.orderLines(), s.orderLine},
		{"payments", []string{"id", "order_id", "method", "state", "amount", "reference", "receipt", "created_at"}, orders, s.payment},
		{"reviews", []string{"id", "product_id", "customer_id", "rating", "title", "body", "created_at"}, s.Rows / 20, s.review},
		{"view_counters", []string{"product_id", "day", "views"}, s.Rows / 10, s.viewCounter},
		{"carts", []string{"id", "customer_id", "created_at", "updated_at", "expires_at"}, s.carts(), s.cart},
		{"cart_lines", []string{"cart_id", "product_id", "quantity", "added_at"}, 2 * s.carts(), s.cartLine},
		{"mails", []string{"id", "order_number", "kind", "recipient", "subject", "body", "headers", "created_at"}, s.Rows / 200, s.mail},
	}
	rest := s.Rows
	for _, t := range ts {
		rest -= t.rows
	}
	return append(ts, table{"session_log", []string{"id", "session_hash", "customer_id", "address", "user_agent", "load_average", "seen_at"}, rest, s.session})
}

func (s Size) carts() int      { return s.Rows / 100 }
func (s Size) orderLines() int { return s.Rows * 3 / 10 }
func (s Size) orders() int     { return s.Rows * 3 / 25 }

const topCategories = 12

func (s Size) category(i int) []any {
	r := s.random("category", i)
	var parent any
	if i >= topCategories {
		parent = i%topCategories + 1
	}
	return []any{i + 1, parent, fmt.Sprintf("category-%d", i+1), pick(r, adjectives) + " " + pick(r, nouns), i / topCategories, i%13 != 12}
}

// netCents is a product's price without VAT.
func (s Size) netCents(product int) int { return 99 + s.random("price", product).IntN(49_900) }

// vat is a product's rate in per cent.
func vat(product int) int { return []int{21, 21, 21, 9, 0}[product%5] }

// grossCents is what MariaDB computes for price_gross: half away from zero.
func (s Size) grossCents(product int) int {
	return (s.netCents(product)*(100+vat(product)) + 50) / 100
}

func (s Size) product(i int) []any {
	id := i + 1
	r := s.random("product", id)
	attributes, err := json.Marshal(struct {
		Colour    string   `json:"colour"`
		Size      int      `json:"size"`
		Ratio     float64  `json:"ratio"`
		Materials []string `json:"materials"`
		Washable  bool     `json:"washable"`
	}{pick(r, colours), r.IntN(60), float64(r.IntN(1000)) / 8, []string{pick(r, materials), pick(r, materials)}, r.IntN(2) == 0})
	if err != nil {
		panic(err) // plain values always encode
	}
	text := string(attributes)
	if id%7 == 0 { // what people wrote by hand keeps its spaces and its order of keys
		text = `{ "washable" : false,  "colour":"` + pick(r, colours) + `", "note": "caf\u00e9" }`
	}
	var flags []string
	for _, f := range []string{"new", "sale", "eco", "bulky"} {
		if r.IntN(4) == 0 {
			flags = append(flags, f)
		}
	}
	state := "active"
	if !active(id) {
		state = []string{"draft", "retired"}[id%20]
	}
	var thumbnail any
	if s.hasThumbnail(id) {
		thumbnail = picture(r, 1200)
	}
	made := at(r)
	return []any{
		id, fmt.Sprintf("SKU-%08d", id), r.IntN(60) + 1, pick(r, adjectives) + " " + pick(r, nouns) + fmt.Sprintf(" %d", id), prose(r, 1+r.IntN(6)), text,
		cents(s.netCents(id)), fmt.Sprintf("%d.00", vat(id)), maybe(r, 10, r.ExpFloat64()*3), strings.Join(flags, ","), state, s.imageOf(id), thumbnail,
		seconds(made), seconds(made.Add(time.Duration(r.IntN(1e6)) * time.Second)),
	}
}

func (s Size) stock(i int) []any {
	id, r := i%s.Products()+1, s.random("stock", i)
	return []any{id, []string{"AMS", "RTM"}[i/s.Products()], 2_000 + r.IntN(50_000), r.IntN(20), maybe(r, 3, fmt.Sprintf("%c%02d", 'A'+r.IntN(20), r.IntN(99))), seconds(at(r))}
}

func (s Size) customer(i int) []any {
	id := i + 1
	r := s.random("customer", id)
	hash := passwordHash
	if id > s.Shoppers() {
		hash = fmt.Sprintf("!%x", noise(r, 24)) // nobody's password
	}
	made := at(r)
	return []any{
		id, Email(id), hash, pick(r, names) + " " + pick(r, surname), maybe(r, 2, pick(r, notes)),
		maybe(r, 3, time.Date(1940+r.IntN(65), time.Month(1+r.IntN(12)), 1+r.IntN(28), 0, 0, 0, 0, time.UTC).Format("2006-01-02")),
		r.IntN(2), fmt.Sprintf("%.4f", float64(r.IntN(4_000_000)-1_000_000)/10_000), []string{"nl_NL", "de_DE", "fr_BE", "en_GB"}[r.IntN(4)],
		made.Format("2006-01-02 15:04:05.000"), maybe(r, 4, seconds(made.Add(time.Hour))),
	}
}

func (s Size) address(i int) []any {
	r, land := s.random("address", i), i%len(lands)
	return []any{
		i%s.Customers() + 1, []string{"billing", "shipping"}[i/s.Customers()], 1, fmt.Sprintf("%s %d", streets[land], 1+r.IntN(200)),
		fmt.Sprintf("%04d AB", 1000+r.IntN(8999)), cities[land], lands[land], maybe(r, 4, r.Float64()*180-90), maybe(r, 4, r.Float64()*360-180),
	}
}

func (s Size) review(i int) []any {
	r := s.random("review", i)
	var customer any
	if r.IntN(5) > 0 {
		customer = 1 + r.IntN(s.Customers())
	}
	return []any{i + 1, 1 + r.IntN(s.Products()), customer, 1 + r.IntN(5), pick(r, titles), maybe(r, 6, prose(r, 1+r.IntN(12))), seconds(at(r))}
}

func (s Size) viewCounter(i int) []any {
	r := s.random("views", i)
	return []any{i%s.Products() + 1, epoch.AddDate(0, 0, i/s.Products()).Format("2006-01-02"), 1 + r.IntN(5000)}
}

func (s Size) cartID(i int) []byte { return noise(s.random("cart id", i), 16) }

func (s Size) cart(i int) []any {
	r := s.random("cart", i)
	made := at(r)
	expires := time.Date(2037, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.IntN(1e7)) * time.Second)
	if i%5 == 0 { // work for the cron job
		expires = made.AddDate(0, 0, 30)
	}
	var customer any
	if i%2 == 0 {
		customer = s.Customers() - i // one cart a customer, and none of those who can log in unless the shop is tiny
	}
	return []any{s.cartID(i), customer, seconds(made), seconds(made), seconds(expires)}
}

func (s Size) cartLine(i int) []any {
	cart, r := i%s.carts(), s.random("cart line", i)
	first := s.random("cart", cart).IntN(s.Products())
	return []any{s.cartID(cart), (first+i/s.carts())%s.Products() + 1, 1 + r.IntN(9), seconds(at(r))}
}

func (s Size) session(i int) []any {
	r := s.random("session", i)
	address := noise(r, []int{4, 16}[r.IntN(2)])
	return []any{i + 1, noise(r, 16), maybe(r, 2, 1+r.IntN(s.Customers())), address, pick(r, agents), maybe(r, 5, float32(r.IntN(64))/8), seconds(at(r))}
}
