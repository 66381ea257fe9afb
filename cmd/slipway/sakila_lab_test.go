//go:build lab

package main

import (
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/dbtest"
	"github.com/slipway-dev/slipway/internal/lab/sakila"
)

// sample fills the sample database at the source.
func (s *switched) sample() {
	s.Helper()
	if err := sakila.Load(s.ctx, s.maria); err != nil {
		s.Fatal(err)
	}
	s.ledgers = append(s.ledgers, "SELECT email FROM sakila.customer")
}

// never is a day that the sample's triggers put NOW() in the place of.
const never = "2000-01-01"

// rent has people come to the sample's shop: each signs up, takes a film, pays what a function says, while others bring theirs back and
// films come and go. Meanwhile somebody wants a report, which makes a temporary table. Each of the sample's six triggers fires, and each of
// its functions and procedures is called.
func (s *switched) rent(customers int) {
	s.serve(customers, 3*s.pause, sakila.Name, func(c, n int) (string, []string) {
		no, copy := fmt.Sprintf("v%d-%d", c, n), 1+(n*7+c)%4580
		return no, []string{
			fmt.Sprintf("INSERT INTO address (address, district, city_id, phone, location) VALUES ('%s', '', %d, '', ST_GeomFromText('POINT(%d.5 %d)'))", no, 1+n%600, n%180, c),
			fmt.Sprintf("INSERT INTO customer (store_id, first_name, last_name, email, address_id, create_date) VALUES (1 + %d %% 2, 'NEW', '', '%s', LAST_INSERT_ID(), '%s')", n, no, never),
			"SET @customer = LAST_INSERT_ID()",
			fmt.Sprintf("CALL film_in_stock(%d, 1, @n)", 1+n%1000), fmt.Sprintf("CALL film_not_in_stock(%d, 2, @n)", 1+n%1000), fmt.Sprintf("SET @held = inventory_held_by_customer(%d)", copy),
			fmt.Sprintf("INSERT INTO rental (rental_date, inventory_id, customer_id, staff_id) VALUES ('%s', %d, @customer, 1)", never, copy),
			fmt.Sprintf("INSERT INTO payment (customer_id, staff_id, rental_id, amount, payment_date) VALUES (@customer, 2, LAST_INSERT_ID(), get_customer_balance(@customer, NOW()), '%s')", never),
			fmt.Sprintf("UPDATE rental SET return_date = NOW() WHERE rental_id = %d", 1+n*17%16000),
			fmt.Sprintf("INSERT INTO film (title, description, language_id, special_features) VALUES ('%s', 'Épopée d''un écureuil', 1, 'Trailers,Deleted Scenes')", no), "SET @film = LAST_INSERT_ID()",
			"UPDATE film SET title = CONCAT(title, ' II'), description = REPLACE(description, 'un', 'deux') WHERE film_id = @film",
			fmt.Sprintf("DELETE FROM film WHERE film_id = @film AND %d %% 4 > 0", n),
		}
	})
	dbs := s.sides(sakila.Name)
	s.writers.Go(func() {
		for {
			select {
			case <-s.stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
			side := s.side.Load()
			if _, err := dbs[side].ExecContext(s.ctx, "CALL rewards_report(1, 0.5, @n)"); err == nil {
				s.reports[side].Add(1)
			}
		}
	})
}

// rented holds when the sample's triggers have fired, on whichever side: none of the days that were written is left, and the texts that
// are looked through are those of the films. One that fires twice for a film is refused by the text's key, and so no purchase.
func (s *switched) rented() {
	s.Helper()
	if a, y := s.reports[0].Load(), s.reports[1].Load(); a == 0 || y == 0 {
		s.Errorf("%d reports from the source, %d from the target", a, y)
	}
	my := dbtest.Admin(s.T, s.my, sakila.Name)
	for _, x := range [][2]string{
		{"SELECT COUNT(*) FROM customer WHERE create_date = '" + never + "'", "0"}, {"SELECT COUNT(*) FROM rental WHERE rental_date = '" + never + "'", "0"}, {"SELECT COUNT(*) FROM payment WHERE payment_date = '" + never + "'", "0"},
		{"SELECT COUNT(*) FROM film LEFT JOIN film_text USING (film_id) WHERE film_text.title IS NULL OR film.title <> film_text.title OR film.description <> film_text.description", "0"},
		{"SELECT COUNT(*) - (SELECT COUNT(*) FROM film) FROM film_text", "0"},
		{"SELECT COUNT(*) = COUNT(DISTINCT customer_id) AND MIN(amount) > 0 FROM payment JOIN customer USING (customer_id) WHERE first_name = 'NEW'", "1"},
	} {
		if got := dbtest.One(s.T, my, x[0]); got != x[1] {
			s.Errorf("%s: %s, want %s", x[0], got, x[1])
		}
	}
	texts := dbtest.One(s.T, my, "SELECT COUNT(*) FROM film_text WHERE MATCH (title, description) AGAINST ('écureuil')")
	films := dbtest.One(s.T, my, "SELECT COUNT(*) FROM film WHERE description LIKE '%écureuil%'")
	if texts == "0" || texts != films {
		s.Errorf("the full text index finds %s of %s films", texts, films)
	}
}
