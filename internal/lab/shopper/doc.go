// Package shopper is the lab's customers: it browses the shop through its public name, orders at a set rate, and
// keeps a ledger of its own of every order that was acknowledged, so that the loss of one can be proved.
//
// It reaches the shop as any customer does (DNS, HTTPS) and compares its ledger with a database over SQL. It may
// import internal/lab/shop for what the shop's customers know of it, and nothing else of the lab.
package shopper
