// Package whole tries copy, follow and verify together on made-up schemas, under made-up changes, while the copier, the follower and
// both servers are killed. There is nothing in it but that test.
package whole
