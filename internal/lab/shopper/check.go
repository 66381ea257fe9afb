package shopper

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/shop"
)

// A Report is what a ledger proves about a database.
type Report struct {
	Acknowledged int      // orders that the shop gave a number for
	Lost         []string // acknowledged, and not there
	Altered      []string // acknowledged, and there with other contents
	Duplicated   []string // one order of a customer's that is there more than once
	Phantom      []string // refused, and there all the same
	Arrived      []string // unknown, and there: nothing is wrong with that
	Absent       []string // unknown, and not there: nor with that
}

// Sound says whether the database has all that it must have, as it was.
func (r Report) Sound() bool {
	return len(r.Lost)+len(r.Altered)+len(r.Duplicated)+len(r.Phantom) == 0
}

// Print writes the report: one line of numbers, and one for each order with which something is wrong.
func (r Report) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d orders acknowledged: %d lost, %d altered, %d duplicated; %d refused but there; %d of unknown outcome, of which %d are there\n",
		r.Acknowledged, len(r.Lost), len(r.Altered), len(r.Duplicated), len(r.Phantom), len(r.Arrived)+len(r.Absent), len(r.Arrived))
	for _, part := range []struct {
		what   string
		orders []string
	}{{"lost", r.Lost}, {"altered", r.Altered}, {"duplicated", r.Duplicated}, {"refused but there", r.Phantom}} {
		for _, o := range part.orders {
			fmt.Fprintf(&b, "%s: %s\n", part.what, o)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// A found order is what a database has under a token or a number, with the checksum that its rows give.
type found struct {
	id       uint64
	number   string
	token    string
	checksum string // computed from the rows; empty when their numbers have a gap
	kept     string // the one in the row
}

// A Querier is a database, or a connection or transaction of one.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Check compares a ledger with the orders in the schema shop of the server that db is connected to. A database that is being
// written is read as it is at each statement: check what has come to rest.
func Check(ctx context.Context, db Querier, entries []Entry) (Report, error) {
	last := map[string]Entry{} // by token, what became of it
	var tokens, numbers []string
	for _, e := range entries {
		if _, known := last[e.Token]; !known {
			tokens = append(tokens, e.Token)
		}
		if e.Kind == Acknowledged {
			numbers = append(numbers, e.Number)
		}
		last[e.Token] = e
	}
	rows, err := findAll(ctx, db, tokens, numbers)
	if err != nil {
		return Report{}, err
	}
	return compare(tokens, last, rows), nil
}

// compare is Check without the database.
func compare(tokens []string, last map[string]Entry, rows []found) Report {
	byToken, byNumber := map[string][]found{}, map[string][]found{}
	for _, o := range rows {
		if o.token != "" {
			byToken[o.token] = append(byToken[o.token], o)
		}
		byNumber[o.number] = append(byNumber[o.number], o)
	}
	var r Report
	given := map[string]string{} // number -> token that it was given to
	for _, token := range tokens {
		e, there := last[token], byToken[token]
		if e.Kind != Acknowledged {
			name := fmt.Sprintf("token %s of customer %d", token, e.Customer)
			switch {
			case len(there) > 1:
				r.Duplicated = append(r.Duplicated, fmt.Sprintf("%s is there %d times", name, len(there)))
			case e.Kind == Refused && len(there) == 1:
				r.Phantom = append(r.Phantom, fmt.Sprintf("%s is order %s", name, there[0].number))
			case e.Kind == Refused:
			case len(there) == 1:
				r.Arrived = append(r.Arrived, name)
			default: // unknown, or attempted by a shopper that was killed
				r.Absent = append(r.Absent, name)
			}
			continue
		}
		r.Acknowledged++
		name := fmt.Sprintf("%s of customer %d at %s", e.Number, e.Customer, e.Time.Format("15:04:05.000"))
		if other, twice := given[e.Number]; twice {
			r.Duplicated = append(r.Duplicated, fmt.Sprintf("%s was given to two orders, tokens %s and %s", name, other, token))
		}
		given[e.Number] = token
		orders := byNumber[e.Number]
		switch {
		case len(orders) == 0:
			r.Lost = append(r.Lost, name)
		case len(orders) > 1:
			r.Duplicated = append(r.Duplicated, fmt.Sprintf("%s is there %d times", name, len(orders)))
		case orders[0].checksum != e.Checksum || orders[0].kept != e.Checksum || orders[0].token != token:
			r.Altered = append(r.Altered, name)
		}
		for _, o := range there {
			if o.number != e.Number {
				r.Duplicated = append(r.Duplicated, fmt.Sprintf("%s is also there as %s", name, o.number))
			}
		}
	}
	return r
}

// findAll reads the orders with these tokens or numbers, each once, with the checksums of their rows.
func findAll(ctx context.Context, db Querier, tokens, numbers []string) ([]found, error) {
	const atOnce = 200
	seen := map[uint64]bool{}
	var all []found
	take := func(column string, keys []any) error {
		rows, err := find(ctx, db, column, keys)
		for _, o := range rows {
			if !seen[o.id] {
				seen[o.id] = true
				all = append(all, o)
			}
		}
		return err
	}
	for from := 0; from < len(tokens); from += atOnce {
		var keys []any
		for _, t := range tokens[from:min(from+atOnce, len(tokens))] {
			raw, err := hex.DecodeString(t)
			if err != nil {
				return nil, fmt.Errorf("token %q of the ledger: %w", t, err)
			}
			keys = append(keys, raw)
		}
		if err := take("token", keys); err != nil {
			return nil, err
		}
	}
	for from := 0; from < len(numbers); from += atOnce {
		var keys []any
		for _, n := range numbers[from:min(from+atOnce, len(numbers))] {
			keys = append(keys, n)
		}
		if err := take("number", keys); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func find(ctx context.Context, db Querier, column string, keys []any) ([]found, error) {
	list := strings.TrimSuffix(strings.Repeat("?,", len(keys)), ",")
	rows, err := db.QueryContext(ctx, `SELECT o.id, o.number, o.token, o.customer_id, o.currency, o.total, o.checksum, l.line_no, l.product_id, l.quantity, l.unit_price
		FROM shop.orders o LEFT JOIN shop.order_lines l ON l.order_id = o.id WHERE o.`+column+` IN (`+list+`) ORDER BY o.id, l.line_no`, keys...)
	if err != nil {
		return nil, fmt.Errorf("read the orders by %s: %w", column, err)
	}
	defer rows.Close()
	var all []found
	var customer uint64
	var currency, total string
	var lines []shop.OrderLine
	whole := true
	finish := func() {
		if n := len(all); n > 0 && whole {
			all[n-1].checksum = shop.Checksum(all[n-1].number, customer, currency, total, lines)
		}
		lines, whole = nil, true
	}
	for rows.Next() {
		var o found
		var token []byte
		var line, product, quantity sql.Null[uint64]
		var price sql.NullString
		var c uint64
		var cur, tot string
		if err := rows.Scan(&o.id, &o.number, &token, &c, &cur, &tot, &o.kept, &line, &product, &quantity, &price); err != nil {
			return nil, fmt.Errorf("read the orders by %s: %w", column, err)
		}
		if len(all) == 0 || all[len(all)-1].id != o.id {
			finish()
			o.token = hex.EncodeToString(token)
			all = append(all, o)
			customer, currency, total = c, cur, tot
		}
		if product.Valid {
			whole = whole && line.V == uint64(len(lines)+1)
			lines = append(lines, shop.OrderLine{Product: product.V, Quantity: quantity.V, UnitPrice: price.String})
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the orders by %s: %w", column, err)
	}
	finish()
	return all, nil
}
