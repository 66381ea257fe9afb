// Package shop is the company that the lab moves: a small PHP shop with its schema, its configuration for each
// role of the fleet, the images that a cluster runs it from, and the seeder that fills it.
//
// It returns files, statements and rows; it starts nothing and dials nothing. It must not import another package
// of the lab, and the product must not import it.
package shop
