package shop

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// An OrderLine is what a line of an order says, as the database prints it.
type OrderLine struct {
	Product, Quantity uint64
	UnitPrice         string // with two decimals
}

// Checksum is the checksum that the application gives with an order (Orders::checksum in the PHP code): SHA-256 in
// hex over all that the customer agreed to. total and the prices are as the database prints them.
func Checksum(number string, customer uint64, currency, total string, lines []OrderLine) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%d\n%s\n%s\n", number, customer, currency, total)
	for i, l := range lines {
		fmt.Fprintf(&b, "%d\t%d\t%d\t%s\n", i+1, l.Product, l.Quantity, l.UnitPrice)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:])
}

// A seeded order, whole: its row, its lines and its payment are made from it.
type order struct {
	number   string
	customer int
	currency string
	total    int // cents
	lines    []OrderLine
	placed   time.Time
}

// firstLine is the index among all order lines of an order's first: the lines are spread evenly over the orders.
func (s Size) firstLine(i int) int { return i * s.orderLines() / s.orders() }

func (s Size) orderOf(i int) order {
	r := s.random("order", i)
	o := order{number: orderNumber(r), customer: 1 + r.IntN(s.Customers()), currency: "EUR", placed: at(r)}
	if r.IntN(20) == 0 {
		o.currency = "GBP"
	}
	first := r.IntN(s.Products())
	for n := range s.firstLine(i+1) - s.firstLine(i) {
		product, quantity := (first+n*7)%s.Products()+1, 1+r.IntN(4)
		price := s.grossCents(product)
		o.total += quantity * price
		o.lines = append(o.lines, OrderLine{uint64(product), uint64(quantity), cents(price)})
	}
	return o
}

func (s Size) order(i int) []any {
	o, r := s.orderOf(i), s.random("order row", i)
	state := []string{"confirmed", "shipped", "shipped", "shipped", "cancelled"}[r.IntN(5)]
	return []any{
		i + 1, o.number, maybe(r, 2, noise(r, 16)), o.customer, state, o.currency, cents(o.total),
		Checksum(o.number, uint64(o.customer), o.currency, cents(o.total), o.lines), maybe(r, 2, pick(r, sentences)), micros(o.placed), seconds(o.placed.Add(time.Minute)),
	}
}

func (s Size) orderLine(i int) []any {
	n := i * s.orders() / s.orderLines()
	for s.firstLine(n+1) <= i {
		n++
	}
	l := s.orderOf(n).lines[i-s.firstLine(n)]
	return []any{n + 1, i - s.firstLine(n) + 1, l.Product, l.Quantity, l.UnitPrice}
}

func (s Size) payment(i int) []any {
	o, r := s.orderOf(i), s.random("payment", i)
	var receipt any
	if r.IntN(5) == 0 {
		receipt = noise(r, 200+r.IntN(1800))
	}
	return []any{
		i + 1, i + 1, []string{"card", "ideal", "invoice"}[r.IntN(3)], []string{"captured", "captured", "captured", "refunded", "failed"}[r.IntN(5)],
		cents(o.total), noise(r, 12+r.IntN(20)), receipt, seconds(o.placed),
	}
}

func (s Size) mail(i int) []any {
	o, r := s.orderOf(i), s.random("mail", i)
	sentencesIn := 3
	if i%100 == 99 {
		sentencesIn = 1500 // some are long
	}
	return []any{
		i + 1, o.number, "confirmation", Email(o.customer), "Your order " + o.number + " 🛒", prose(r, sentencesIn),
		maybe(r, 3, `{"Message-ID": "<`+o.number+`@shop.example>"}`), micros(o.placed),
	}
}
