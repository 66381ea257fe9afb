// Package bench measures the copy beside other programs that do as much, on two real servers: make bench-db. There is nothing in it
// but a test, which needs root.
package bench
