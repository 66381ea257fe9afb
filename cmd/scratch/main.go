package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/shop"
)

func cpu() map[string]float64 {
	out := map[string]float64{}
	for _, h := range []string{"web1", "files1", "files2", "files3"} {
		b, _ := os.ReadFile("/sys/fs/cgroup/unified/slipway-lab/fleet/" + h + "/cpu.stat")
		for _, l := range strings.Split(string(b), "\n") {
			if v, ok := strings.CutPrefix(l, "usage_usec "); ok {
				n, _ := strconv.Atoi(v)
				out[h] = float64(n) / 1e6
			}
		}
	}
	return out
}

func main() {
	root := os.Args[1]
	w, _ := strconv.Atoi(os.Args[2])
	os.MkdirAll(root, 0o755)
	a := cpu()
	t := time.Now()
	err := shop.SeedFiles(context.Background(), root, shop.Size{Seed: 1, Rows: 5000, Files: 2000}, w, func(n, total, b int64) {})
	fmt.Println(err, time.Since(t))
	b := cpu()
	sum := 0.0
	for _, h := range []string{"web1", "files1", "files2", "files3"} {
		fmt.Printf("%s %.1f ", h, b[h]-a[h])
		sum += b[h] - a[h]
	}
	fmt.Printf("sum %.1f s cpu for 2000\n", sum)
}
