// Package bench measures the copy of files beside rsync: see bench_test.go.
package bench
