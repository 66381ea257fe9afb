package ui

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/migrate"
)

// Bytes is n with a binary unit, three digits at most before the point: "666.2 MiB".
func Bytes(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	v, units := float64(n), "KMGTPE"
	i := -1
	for v >= 1<<10 {
		v /= 1 << 10
		i++
	}
	return fmt.Sprintf("%.1f %ciB", v, units[i])
}

// Count is n with its thousands apart: "200,000".
func Count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return sign + digits
}

// Took is a duration as precise as a person needs it: "0.04 s", "14.2 s", "3m07s", "1h02m".
func Took(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
}

// clock is the time since the process began, as the terminal's lines begin: "01:14", "1:02:03".
func clock(d time.Duration) string {
	s := int(d / time.Second)
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%02d:%02d", s/60, s%60)
}

// Moved is a tally in words: "310.4 MiB, 200,000 rows"; "" when nothing was moved.
func Moved(t migrate.Tally) string {
	var parts []string
	if t.Bytes != 0 {
		parts = append(parts, Bytes(t.Bytes))
	}
	if t.Rows != 0 {
		parts = append(parts, Count(t.Rows)+" rows")
	}
	if t.Files != 0 {
		parts = append(parts, Count(t.Files)+" files")
	}
	return strings.Join(parts, ", ")
}

// progress is how far a call is, in words: "copy table shop.orders: 1,200 of 5,000 rows, 24%".
func progress(p migrate.Progress) string {
	amount := func(n int64) string {
		if p.Unit == "bytes" {
			return Bytes(n)
		}
		return Count(n)
	}
	unit := ""
	if p.Unit != "" && p.Unit != "bytes" {
		unit = " " + p.Unit
	}
	switch {
	case p.Total > 0:
		return fmt.Sprintf("%s: %s of %s%s, %d%%", p.What, amount(p.Done), amount(p.Total), unit, min(100, 100*p.Done/p.Total))
	case p.Done > 0:
		return fmt.Sprintf("%s: %s%s", p.What, amount(p.Done), unit)
	}
	return p.What
}
