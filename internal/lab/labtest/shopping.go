package labtest

import (
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/verb"
)

// StartShopping lets the lab's customers browse, log in and order, until StopShopping or the test's end.
func (l *Lab) StartShopping(t testing.TB) {
	t.Helper()
	must(t, l.Place, verb.Shopper, verb.ShopperRequest{Do: verb.StartShopping, Rate: 2, Browsers: 1})
	t.Cleanup(func() {
		if t.Failed() {
			_, _ = ask(t, l.Place, verb.Shopper, verb.ShopperRequest{Do: verb.StopShopping})
		}
	})
}

// StopShopping lets the visits under way finish, and holds the customers' ledger against the orders on db1.
func (l *Lab) StopShopping(t testing.TB) verb.Shopping {
	t.Helper()
	must(t, l.Place, verb.Shopper, verb.ShopperRequest{Do: verb.StopShopping})
	return must(t, l.Place, verb.Shopper, verb.ShopperRequest{Do: verb.ShowLedger})
}
